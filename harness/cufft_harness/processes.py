"""Child processes: started in a process group of their own, never waited for without a limit, ended by a ladder.

The ladder is interrupt, terminate, kill, each with a little time. A process stuck inside the driver (uninterruptible
sleep) survives even SIGKILL; that is reported as *unkillable*, not waited for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_RUN_MODULE = (
    "import sys; sys.path[:] = filter(None, sys.path); import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
"""What ``python -P -m`` does, for Python 3.10: the entry "" of sys.path is the current directory."""
_NOT_FOR_CHILDREN = ("PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONWARNINGS")
"""Variables meant for the program the user starts; they would make warnings of libraries errors, or keep a child."""


def python_module(module: str, *arguments: str) -> list[str]:
    """The command of a child that runs a module by this Python; `python_environment` belongs to it.

    Nothing is imported from the current directory, which ``python -m`` puts first: a file ``json.py`` that somebody
    left there, or a data set brought along, would be run in place of Python's own.
    """
    run = ["-P", "-m"] if sys.version_info >= (3, 11) else ["-c", _RUN_MODULE]
    return [sys.executable, *run, module, *arguments]


def python_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of such a child: `env`, by default this process's own, less what would change what it runs.

    An empty entry in PYTHONPATH (``PYTHONPATH=$PYTHONPATH:/some/where`` makes one) means the current directory, too.
    """
    given = os.environ if env is None else env
    made = {name: value for name, value in given.items() if name not in _NOT_FOR_CHILDREN}
    if path := os.pathsep.join(filter(None, made.pop("PYTHONPATH", "").split(os.pathsep))):
        made["PYTHONPATH"] = path
    return made


POSIX = hasattr(os, "killpg")
"""Windows has neither process groups nor most signals, so a child and its children are ended by other means there."""


@dataclass(frozen=True)
class Finished:
    """What became of a child.

    Attributes:
        returncode: exit status; negative is the signal that ended it; None if it could not be killed.
        timed_out: the time limit ran out before the child ended by itself.
        seconds: wall-clock time from start to end.
    """

    returncode: int | None
    timed_out: bool
    seconds: float
    stdout: str
    stderr: str

    @property
    def unkillable(self) -> bool:
        """The child is still there although it was sent SIGKILL."""
        return self.returncode is None


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start `command` (a list, never a shell string) as the leader of a new session and process group.

    Where the current directory has been removed, `cwd` is the root: libraries of numbers end a process that has none.
    """
    if cwd is None and not has_directory():
        cwd = Path(os.sep)
    return subprocess.Popen(
        list(command), env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


def has_directory() -> bool:
    """Whether the current directory is still there."""
    try:
        return bool(os.getcwd())  # noqa: PTH109 - pathlib asks this, too
    except FileNotFoundError:
        return False


def end(process: subprocess.Popen[bytes], grace_s: float = 2.0) -> bool:
    """End the child and its whole process group; True when it is gone, False when it is unkillable.

    Args:
        process: a child made by `start`.
        grace_s: seconds to wait after each signal.
    """
    if not POSIX:
        return _end_tree(process, grace_s)
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        _signal_group(process.pid, signal_number)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            continue
    # Grandchildren may outlive the leader: the group still exists until the last of them is gone.
    _kill_group(process.pid)
    return process.poll() is not None


def _end_tree(process: subprocess.Popen[bytes], grace_s: float) -> bool:
    """What `end` is on Windows."""
    with suppress(OSError):
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
    with suppress(OSError):
        process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    return process.poll() is not None


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    grace_s: float = 2.0,
) -> Finished:
    """Run `command` to its end or to the time limit, then end it; what it wrote is kept either way."""
    began = time.monotonic()
    process = start(command, env=env, cwd=cwd)
    timed_out = False
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
        end(process, grace_s)
        try:
            out, err = process.communicate(timeout=grace_s)
        except subprocess.TimeoutExpired as still:  # unkillable, or a grandchild in its own session holds the pipe
            out, err = still.stdout or b"", still.stderr or b""
    except BaseException:
        end(process, grace_s)
        raise
    else:
        _kill_group(process.pid)
    return Finished(
        process.poll(), timed_out, time.monotonic() - began, out.decode(errors="replace"), err.decode(errors="replace")
    )


def _kill_group(group: int) -> None:
    if POSIX:
        _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, signal_number: signal.Signals) -> None:
    try:
        os.killpg(group, signal_number)
    except (ProcessLookupError, PermissionError):
        return
