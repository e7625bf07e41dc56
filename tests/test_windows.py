"""What Windows lacks is needed by nothing but train and sample, which say so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A Python without the modules, functions and signals that Windows does not have.
LESS = """
import os, signal, subprocess, sys
subprocess.Popen.kill = lambda process: os.kill(process.pid, 9)  # Windows ends a process without a signal
for name in ("fcntl", "resource", "pwd", "grp"): sys.modules[name] = None
for name in ("killpg", "getpgid", "setsid", "fork", "nice", "getpriority"): delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCHLD", "SIGSTOP", "pthread_sigmask",
             "sigwaitinfo"):
    delattr(signal, name)
"""
MAIN = LESS + "from cufft_harness.cli.app import main; sys.argv[0] = 'cufft-harness'; main()"
CHILD = (
    LESS
    + """
from cufft_harness import processes
finished = processes.run([sys.executable, "-c", "print('here', flush=True); import time; time.sleep(60)"], timeout_s=2)
print(finished.timed_out, finished.unkillable, finished.stdout.strip())
"""
)


def python(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd
    )


def test_diagnose_works_without_them(tmp_path: Path):
    """A log is read as anywhere."""
    (tmp_path / "log.txt").write_text("RuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR")
    result = python(MAIN, "diagnose", "--json", "log.txt", cwd=tmp_path)
    assert json.loads(result.stdout)["causes"], result.stderr


def test_doctor_works_without_them(tmp_path: Path):
    """The driver is asked in a child; the Python that is examined here has no PyTorch, which is said."""
    import venv

    venv.create(tmp_path / "env", with_pip=False)
    result = python(MAIN, "doctor", "--quick", "--json", "--python", str(tmp_path / "env"), cwd=tmp_path)
    assert (result.returncode, json.loads(result.stdout)["status"]) == (5, "could-not-test"), result.stderr


def test_run_works_without_them(tmp_path: Path):
    """The program runs, and its exit code is ours."""
    result = python(MAIN, "run", "--", "-c", "print('here'); raise SystemExit(7)", cwd=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (7, "here"), result.stderr


def test_data_works_without_them(tmp_path: Path):
    """The built-in sentences are read and measured."""
    result = python(MAIN, "data", "--json", cwd=tmp_path)
    assert (result.returncode, bool(json.loads(result.stdout))) == (0, True), result.stderr


def test_a_child_is_ended_without_them(tmp_path: Path):
    """One that does not end is ended, and what it wrote is kept."""
    assert python(CHILD, cwd=tmp_path).stdout.strip() == "True False here"


@pytest.mark.parametrize("arguments", [["train"], ["sample", "--checkpoint", "x"]])
def test_what_needs_them_says_what_works(tmp_path: Path, arguments: list[str]):
    """One line that names WSL and what runs here; nothing is written."""
    result = python(MAIN, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "WSL" in result.stderr
    assert "doctor, diagnose, data and run do" in result.stderr
    assert list(tmp_path.iterdir()) == []
