"""The wheel holds the package and nothing of the study, and tells the package index what holds there."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "harness" / "cufft_harness"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as an installer builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(wheel.read(name).decode())


def test_the_wheel_holds_the_package_alone(wheel: zipfile.ZipFile):
    """Every file of the package, data and all, the metadata, and nothing else: no study, no tests, no cache."""
    committed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {f"cufft_harness/{name}" for name in committed}
    assert {"cufft_harness/py.typed", "cufft_harness/launch/startup/sitecustomize.py"} <= names
    assert {name.split("/")[0] for name in wheel.namelist()} == {"cufft_harness", _dist_info(wheel)}


def _dist_info(wheel: zipfile.ZipFile) -> str:
    return next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)


def test_links_work_on_the_package_index(metadata: Message):
    """None is relative to the repository; those into it start with the one address that pyproject.toml names."""
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))
    links = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    assert links
    assert all(link.startswith((urls["Source"], "https://", "#")) for link in links)
    assert any(link.startswith(f"{urls['Source']}/blob/main/") for link in links)
    for link in links:  # and what they point to is there
        path = link.removeprefix(f"{urls['Source']}/blob/main/").partition("#")[0]
        assert path == link or link.startswith("#") or (ROOT / path).exists()


def test_the_address_stands_in_one_place(metadata: Message):
    """A placeholder that is replaced once is replaced everywhere."""
    address = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))["Source"]
    files = subprocess.run(["git", "grep", "-l", "-F", address], cwd=ROOT, capture_output=True, text=True, check=True)
    assert files.stdout.split() == ["pyproject.toml"]


def test_a_light_install_has_no_torch(metadata: Message):
    """What is required without an extra is small; the extra leaves out the packages that fit few torches."""
    required = metadata.get_all("Requires-Dist")
    plain = {re.split(r"[^\w-]", one)[0] for one in required if "extra ==" not in one}
    assert plain <= {"click", "packaging", "rich", "tomli", "filelock"}
    train = {re.split(r"[^\w-]", one)[0] for one in required if "'train'" in one}
    assert {"torch", "coqui-tts", "six", "transformers"} <= train
    assert not train & {"torchaudio", "torchcodec"}
