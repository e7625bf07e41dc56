"""A program run as if it were this process: its terminal, its streams, its signals, and its end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from cufft_harness.processes import POSIX

# Raised by what a process does itself, or dealt with by the terminal for the whole group: not for us to hand on.
_OWN = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGPIPE", "SIGCHLD")
_OF_THE_GROUP = ("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGURG")
_NEVER = ("SIGKILL", "SIGSTOP")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run_in_foreground(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run `command` as if it were this process: same terminal, same open files, same process group.

    Signals sent to this process go on to the child, which decides what they mean; those of the terminal (Ctrl-C) reach
    it without our help, and those that this process was started to ignore (`nohup`) stay ignored. Where this process is
    killed, the child is too (on Linux). There is no time limit. Call it from the main thread of a process that has no
    other.

    Returns:
        The exit status; negative is the signal that ended the child.
    """
    if not POSIX:
        return _run_in_console(command, env)
    forwarded = _forwarded()
    watched = {*forwarded, signal.SIGCHLD}
    # inherited as ignored, it would have the system forget the child's end, and nobody would be told of it
    inherited = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        process = subprocess.Popen(
            list(command),
            env=env,
            close_fds=False,  # what was opened for the program, as by `<(...)`; our own files are not inherited
            preexec_fn=_in_the_child(before, inherited),
        )
        while process.poll() is None:
            arrived = signal.sigwaitinfo(watched)
            if arrived.si_signo != signal.SIGCHLD and arrived.si_code <= 0:  # positive: sent by the kernel, to us all
                process.send_signal(arrived.si_signo)
        return process.returncode
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if inherited is not None:
            signal.signal(signal.SIGCHLD, inherited)


def _forwarded() -> set[signal.Signals]:
    """All signals that somebody may send us to mean the program, but those that we were started to ignore."""
    ours = {*_OWN, *_OF_THE_GROUP, *_NEVER}
    named = {number for number in signal.valid_signals() if isinstance(number, signal.Signals)}
    return {number for number in named if number.name not in ours and signal.getsignal(number) is not signal.SIG_IGN}


def _in_the_child(mask: set[signal.Signals] | set[int], on_child_end: object) -> Callable[[], None]:
    """What the child does before it becomes the program: the signals as they were, and an end with ours."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before it was asked to take us along
                os._exit(128 + signal.SIGKILL)
        if on_child_end is signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return prepare


def _run_in_console(command: Sequence[str], env: Mapping[str, str] | None) -> int:
    """What `run_in_foreground` is on Windows, whose console sends Ctrl-C to both; the child decides what it means."""
    process = subprocess.Popen(list(command), env=env)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def end_by_signal(number: int) -> NoReturn:
    """End this process by a signal, as a shell expects of one whose child was ended so; no core file of our own."""
    import resource  # not on Windows, where no child is ended by a signal

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # only if the signal was not deadly
