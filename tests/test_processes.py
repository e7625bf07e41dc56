"""cufft_harness.processes: children of ours run Python's own modules and ours, whatever lies about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cufft_harness
import pytest
from cufft_harness import processes
from cufft_harness.driver.report import probe_driver
from cufft_harness.errors import UserError

MODULES = ("cufft_harness.driver.child", "cufft_harness.probes.child", "cufft_harness.sampling")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory has files named like Python's own modules, which leave a word when they are imported."""
    names = ["codecs", "ctypes", "json", "os", "pathlib", "runpy", "signal", "site", "sitecustomize", "torch"]
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


@pytest.mark.parametrize("path", [None, "", ":", "/nowhere:", ":/nowhere"])
@pytest.mark.parametrize("version", [(3, 10), (3, 11)], ids=str)
@pytest.mark.parametrize("module", MODULES)
def test_a_child_imports_nothing_from_the_current_directory(
    trap: Path, monkeypatch: pytest.MonkeyPatch, module: str, version: tuple[int, int], path: str | None
):
    """Neither by ``python -m`` nor by an empty entry in PYTHONPATH; both by Python 3.10's way and by -P."""
    if version > sys.version_info[:2]:
        pytest.skip("this Python has no -P")
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(sys, "version_info", version)
    command = processes.python_module(module)
    monkeypatch.undo()
    monkeypatch.chdir(trap.parent)
    env = processes.python_environment({"PYTHONPATH": path} if path is not None else {})
    result = subprocess.run(command, env=env, capture_output=True, text=True)  # without arguments, so it ends at once
    assert "IndexError" in result.stderr or "not enough values" in result.stderr or "usage" in result.stderr.lower()
    assert not trap.exists(), f"ran {trap.read_text()}"


def test_the_question_to_the_driver_runs_nothing_from_the_current_directory(trap: Path):
    """As `doctor` asks it."""
    assert probe_driver().died == ""
    assert not trap.exists(), f"ran {trap.read_text()}"


def test_no_other_module_builds_the_command_of_a_child():
    """Only `processes` names the interpreter; `run` starts what the user wrote, which may import from where it is."""
    folder = Path(cufft_harness.__file__).parent
    named = {
        str(path.relative_to(folder)) for path in folder.rglob("*.py") if "sys.executable" in path.read_text("utf-8")
    }
    assert named <= {"processes.py", "interpreter.py", "cli/run.py", "training/launch.py"}


def test_a_child_keeps_the_paths_that_were_meant(tmp_path: Path):
    """PYTHONPATH is how clusters name their packages: what is in it stays."""
    env = processes.python_environment({"PYTHONPATH": f":{tmp_path}::/else/where", "PYTHONWARNINGS": "error", "A": "1"})
    assert env == {"PYTHONPATH": f"{tmp_path}:/else/where", "A": "1"}


def test_a_child_starts_where_the_current_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It starts in the root: oneMKL, for one, ends a process without a directory; `train` itself says it in a line."""
    from cufft_harness.cli import extra

    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    finished = processes.run([sys.executable, "-c", "import os; print(os.getcwd())"], timeout_s=20)
    assert finished.stdout == "/\n"
    with pytest.raises(UserError, match="the current directory has been removed"), extra("train"):
        pass
