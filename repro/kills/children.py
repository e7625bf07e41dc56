"""Trainers and workers forked from a process that has imported everything.

Importing torch and TTS takes ten seconds and more; forked, a run is under way in two, which is what makes some fifty
kills fit into minutes. Everything after the import is the same code as `cufft-harness train` and its worker.
This process itself computes nothing with torch, so that there are no threads whose locks a fork could tear apart.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cufft_harness import processes
from cufft_harness.cli.app import main
from cufft_harness.sampling.__main__ import die_first, end_with
from cufft_harness.sampling.worker import serve

for _name in (
    "cufft_harness.cli.train",
    "cufft_harness.training.run",
):  # what the command line imports only when it runs
    importlib.import_module(_name)

PR_SET_CHILD_SUBREAPER = 36
"""From Linux's <sys/prctl.h>: orphans below this process become its children, so that strays are seen."""

NO_STRAYS: set[int] = set()
"""Children of this process that are no part of a run."""


def become_reaper() -> None:
    """Make every stray of a run a child of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def fork(action: Callable[[], object], log: Path, terminal: str | None = None) -> int:
    """Run `action` in a forked child, in a session of its own; gives its process id.

    Args:
        action: what to do; SystemExit gives the exit status, any other exception leaves a traceback and status 70.
        log: gets stdout and stderr, appended.
        terminal: a terminal to be the child's own instead, with stdout there.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output if terminal is None else os.open(terminal, os.O_RDWR), 1)
        os.dup2(output, 2)
        os.closerange(3, 256)
        action()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def train(flags: Sequence[str], before: Callable[[], object] = lambda: None) -> Callable[[], object]:
    """The action of a trainer: the command line `cufft-harness train FLAGS`, whose worker is forked, too."""

    def action() -> None:
        processes.start = _fork_worker  # type: ignore[assignment]
        before()
        sys.argv = ["cufft-harness", "train", *flags]
        main()

    return action


class _Forked:
    """As much of `subprocess.Popen` as the supervisor's side of a worker uses."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, once there is one."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, seconds: float) -> int:
        """Wait for the end."""
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", seconds)
            time.sleep(0.01)
        return status


def _fork_worker(command: Sequence[str], *, env: Mapping[str, str], stdin: int, stderr: int) -> _Forked:
    """In place of `processes.start`: the worker `python -m cufft_harness.sampling MODEL PARENT`, without the import."""
    *_, module, model, parent = command
    if module != "cufft_harness.sampling":
        raise ValueError(f"not a worker: {command}")
    requests, to_worker = os.pipe()
    from_worker, answers = os.pipe()
    child = os.fork()
    if child:
        os.close(requests)
        os.close(answers)
        return _Forked(child, open(to_worker, "wb"), open(from_worker, "rb", buffering=0))
    status = 70
    try:
        # the trainer's handlers first: once it leads a group of its own, the supervisor's signals reach it
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        os.setsid()
        end_with(int(parent))
        os.dup2(requests, 0)
        os.dup2(stderr, 2)
        os.dup2(answers, 3)
        os.dup2(2, 1)
        os.closerange(4, 256)
        die_first()
        serve(Path(model), open(0, "rb", closefd=False), open(3, "wb", buffering=0))  # noqa: SIM115
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def is_alive(pid: int) -> bool:
    """Whether a process is there and more than a zombie."""
    return _state_of(pid) not in ("", "Z")


def _state_of(pid: int) -> str:
    """The state of a process as in proc(5), such as "R"; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def children_of(parent: int) -> list[int]:
    """Living children of a process; zombies are not among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError):
                state, of = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if int(of) == parent and state != "Z":
                    found.append(int(entry.name))
    return found


def ended(child: int, seconds: float) -> int | None:
    """The exit status of a child (negative: the signal), or None if it had to be killed because it did not end."""
    deadline = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            kill(child)
            os.waitpid(child, 0)
            return None
        time.sleep(0.01)


def strays(seconds: float = 5.0) -> int:
    """Processes of a run that outlived it by so many seconds; they are ended."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in children_of(os.getpid()) if pid not in NO_STRAYS]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(left)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; False where there is nobody any more, or only a zombie."""
    try:
        alive = is_alive(pid)
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return alive


def limit_files_to(size: int) -> None:
    """No file of this process may grow beyond `size` bytes: a write then fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
