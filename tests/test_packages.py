"""doctor.packages: what does not fit together is named with the command that mends it; nothing is imported for it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from cufft_harness.doctor.packages import Harm, Misfit, misfits, read_installed
from packaging.requirements import Requirement

REQUIRED = ["torch>=2.6", "coqui-tts<0.29,>=0.28", "transformers<5.24,>=4.57", "six"]
FITTING = {"torch": "2.11.0+cu130", "coqui-tts": "0.28.0", "transformers": "4.57.6", "six": "1.17.0"}


def site(folder: Path, versions: dict[str, str]) -> list[str]:
    """Packages as pip leaves them: metadata without the local version, and PyTorch's version.py with it."""
    for name, version in {"cufft-harness": "0.1", **versions}.items():
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        requires = [f'Requires-Dist: {one}; extra == "train"' for one in REQUIRED] if name == "cufft-harness" else []
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version.partition('+')[0]}", *requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('imported')")
        if "+" in version:
            cuda = version.rpartition("+cu")[2]
            line = f"cuda: Optional[str] = '{cuda[:-1]}.{cuda[-1]}'\n" if cuda != version else "cuda = None\n"
            (folder / name / "version.py").write_text(f"__version__ = '{version}'\n{line}")
    return [str(folder)]


def found(folder: Path, **versions: str) -> tuple[Misfit, ...]:
    changes = {name.replace("_", "-"): version for name, version in versions.items()}
    return misfits(read_installed(site(folder, {**FITTING, **changes})))


def test_a_set_that_fits_has_no_misfit(tmp_path: Path):
    """Neither without torchaudio and torchcodec nor with those made for this torch."""
    assert found(tmp_path / "without") == ()
    assert found(tmp_path / "with", torchaudio="2.11.0+cu130", torchcodec="0.12.0+cu130") == ()


@pytest.mark.parametrize(
    ("torch", "torchaudio", "fix"),
    [
        ("2.15.0+cu132", "2.11.0+cu130", "pip uninstall -y torchaudio"),
        ("2.13.0+cpu", "2.11.0+cu130", "torchaudio==2.11.0 --index-url https://download.pytorch.org/whl/cpu"),
        ("2.12.1+cu126", "2.11.0+cu130", "torchaudio==2.11.0 --index-url https://download.pytorch.org/whl/cu126"),
        ("2.11.0+cu130", "2.8.0+cu128", "torchaudio==2.11.0 --index-url https://download.pytorch.org/whl/cu130"),
        ("2.8.0+cu128", "2.11.0+cu130", "torchaudio==2.8.0 --index-url https://download.pytorch.org/whl/cu128"),
        ("2.8.0+cu126", "2.8.0+cu128", "torchaudio==2.8.0 --index-url https://download.pytorch.org/whl/cu126"),
    ],
)
def test_a_torchaudio_that_cannot_be_imported_is_named(tmp_path: Path, torch: str, torchaudio: str, fix: str):
    """Other CUDA, CPU beside CUDA, other release: no harm to this package, and a fix for the others."""
    (misfit,) = found(tmp_path, torch=torch, torchaudio=torchaudio)
    assert misfit.packages == ("torchaudio", "torch")
    assert misfit.harm is Harm.OTHERS
    assert misfit.fix.endswith(fix)


@pytest.mark.parametrize(
    ("torch", "torchcodec", "fix"),
    [("2.11.0+cu130", "0.9.1", "==0.11.*"), ("2.13.0+cu130", "0.9.1", ">=0.12"), ("2.8.0+cu128", "0.17.0", "==0.7.*")],
)
def test_a_torchcodec_for_another_torch_is_named(tmp_path: Path, torch: str, torchcodec: str, fix: str):
    """By the table of its own README."""
    (misfit,) = found(tmp_path, torch=torch, torchcodec=torchcodec)
    assert misfit.harm is Harm.OTHERS
    assert misfit.fix == f'pip install "torchcodec{fix}"'


def test_what_stops_training_comes_first(tmp_path: Path):
    """A transformers that coqui-tts cannot work with, the old TTS beside the new, then what harms others only."""
    first, second, last = found(tmp_path, transformers="5.24.0", TTS="0.22.0", torchaudio="2.8.0+cu128")
    assert (first.packages, first.harm) == (("transformers",), Harm.TRAINING)
    assert first.fix == 'pip install "transformers<5.24,>=4.57"'
    assert (second.packages, second.harm) == (("tts", "coqui-tts"), Harm.TRAINING)
    assert second.fix.startswith("pip uninstall -y tts && ")
    assert last.harm is Harm.OTHERS


def test_a_missing_requirement_counts_only_where_the_rest_is_there(tmp_path: Path):
    """`pip install --no-deps` leaves gaps; a light install without coqui-tts has none."""
    whole = site(tmp_path / "whole", {name: version for name, version in FITTING.items() if name != "six"})
    assert [misfit.problem for misfit in misfits(read_installed(whole))] == ["six is missing"]
    light = site(tmp_path / "light", {"torch": "2.4.1+cu121"})
    assert misfits(read_installed(light)) == ()


def test_damaged_metadata_is_passed_over(tmp_path: Path):
    """A folder that an interrupted installation left, and a version that is none."""
    path = site(tmp_path, {**FITTING, "torchaudio": "of-my-own"})
    (tmp_path / "torchcodec-0.9.dist-info").mkdir()
    assert misfits(read_installed(path)) == ()


def test_the_bounds_are_those_of_pyproject():
    """Read from this package's own metadata, not written down twice."""
    asked = {
        str(Requirement(one.partition(";")[0])) for one in metadata.requires("cufft-harness") or [] if "train" in one
    }
    assert asked
    assert asked <= {f"{one.name}{one.specifier}" for one in read_installed().required}


def test_train_warns_before_it_loads_anything(tmp_path: Path):
    """A transformers from outside the bounds is said at once, in one line, with the command."""
    newer = tmp_path / "transformers-5.24.0.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 5.24.0\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from cufft_harness.cli import extra\n"
    code += "with extra('train'): pass\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: transformers 5.24.0 is installed, and transformers ")
    assert 'pip install "transformers' in line


@pytest.mark.parametrize("error", ["ImportError('libcudart.so.13: no such file')", "ModuleNotFoundError('no GPT2')"])
def test_packages_that_do_not_fit_are_an_error_of_one_line(tmp_path: Path, error: str):
    """Where an import fails for another reason than a missing package, the error is one line that names doctor."""
    (tmp_path / "torch.py").write_text(f"raise {error}")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from cufft_harness.cli.app import main; main()"
    command = [sys.executable, "-c", code, "train", "--model", "tiny", "--output", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert line.startswith(f"error: {error.split(chr(39))[1]}. ")
    assert "doctor" in line
    assert "Traceback" not in done.stderr
