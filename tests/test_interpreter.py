"""`--python`: another Python's PyTorch is examined and guarded by this installation, which is not one of its own."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
import torch
from cufft_harness.errors import UserError
from cufft_harness.interpreter import find_interpreter, this_interpreter


def environment(folder: Path, *sites: str) -> Path:
    """A virtual environment that holds nothing but what lies in the folders `sites`."""
    venv.create(folder, with_pip=False)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "more.pth").write_text("\n".join(sites))
    return folder


@pytest.fixture(scope="module")
def with_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("torch") / "env", str(Path(torch.__file__).parent.parent))


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("plain") / "env")


def _bare(command: list[Any]) -> str:
    """What a command says on stderr that is given no way to this checkout."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60).stderr


def harness(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "cufft-harness"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=cwd)


def test_doctor_examines_the_pytorch_of_another_python(with_torch: Path, tmp_path: Path):
    """The experiments run there, though this package cannot be imported there; a folder of an environment will do."""
    inside = [with_torch / "bin" / "python", "-c", "import torch; import cufft_harness"]
    assert "No module named 'cufft_harness'" in _bare(inside)
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the current directory')")
    result = harness("doctor", "--quick", "--json", "--python", str(with_torch), cwd=tmp_path)
    found = json.loads(result.stdout)
    assert found["python"]["executable"] == str(with_torch / "bin" / "python")
    assert found["torch"]["torch"] == torch.__version__
    assert found["system"]["torch"] == found["packages"]["versions"]["torch"].split("+")[0]
    assert {probe["verdict"] for name, probe in found["probes"].items() if name in ("matmul", "stft")} == {"pass"}
    assert result.returncode == found["exit_code"]


def test_doctor_says_that_a_python_has_no_pytorch(without_torch: Path, tmp_path: Path):
    """What is installed beside this package is not taken for that Python's."""
    result = harness("doctor", "--quick", "--python", str(without_torch / "bin" / "python"), cwd=tmp_path)
    assert result.returncode == 5
    words = " ".join(result.stdout.split())
    assert "PyTorch not installed" in words
    assert "has no PyTorch; `cufft-harness doctor --python PATH`" in words


def test_run_guards_a_program_of_another_python(with_torch: Path, tmp_path: Path):
    """A script, and a command of that environment, run by its Python."""
    (tmp_path / "prog.py").write_text(
        "import sys, torch\nassert torch.fft.rfft(torch.ones(8)).abs().max() == 8\nprint(sys.prefix)\nsys.exit(7)"
    )
    guarded = ["run", "--python", str(with_torch), "--device", "cpu", "--inject", "CUFFT_INVALID_SIZE", "--"]
    for program in (["prog.py"], ["python", "prog.py"]):
        result = harness(*guarded, *program, cwd=tmp_path)
        assert (result.returncode, result.stdout.strip()) == (7, str(with_torch)), result.stderr
        assert "1 transform in one process saved" in result.stderr


def test_a_python_that_is_none_is_named(tmp_path: Path):
    """Nothing there, no Python, one that is too old: one line each."""
    (tmp_path / "empty").mkdir()
    for name, answer in (("other", "echo hello"), ("old", "echo '[[3, 8, 1], \"/usr/bin/old\", []]'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / name).chmod(0o755)
    for name, words in (
        ("nope", "there is no Python at"),
        ("empty", "there is no Python at"),
        ("other", "does not answer as a Python does"),
        ("old", "is Python 3.8.1, and 3.10 is the oldest"),
    ):
        with pytest.raises(UserError, match=words):
            find_interpreter(str(tmp_path / name))


def test_a_python_is_found_by_path_command_and_environment(monkeypatch: pytest.MonkeyPatch):
    """`--python` takes all three; this Python is known again."""
    mine = this_interpreter()
    for name in (sys.executable, sys.prefix):
        assert find_interpreter(name).is_this_one
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert find_interpreter("python").version == mine.version
