"""Start of the worker process: ``python -m cufft_harness.sampling MODEL_DIRECTORY PARENT``.

What must hold from the first moment comes before torch and TTS are imported, which takes seconds: the worker ends with
its parent, leaves Ctrl-C to it, and keeps stdout for what it says to it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from cufft_harness.sampling.protocol import Stage

PR_SET_PDEATHSIG = 1
"""From Linux's <sys/prctl.h>: the signal this process gets when the thread that started it is gone."""


def end_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent is gone, so that no stray worker holds a GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone already
        sys.exit("the parent is gone")


def die_first() -> None:
    """Where memory runs out, let Linux end this process before the trainer: a sample can be made again."""
    with suppress(OSError):  # no Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    """Set the process up, then serve until stdin closes."""
    end_with(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever libraries print goes to the log
    die_first()
    answers.write(Stage(0, "imports").to_line())

    from cufft_harness.sampling.worker import serve

    serve(Path(sys.argv[1]), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
