"""The worker as its supervisor sees it: started, asked with a time limit, ended whatever it does."""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cufft_harness import processes
from cufft_harness.sampling.protocol import LONGEST_LINE, Answer, ProtocolError, Request

_logger = logging.getLogger(__name__)

LOG_BYTES = 10 << 20
"""Length at which the worker's log is put aside as sampler.log.1, in place of the one that was there."""
START_LIMIT = 300.0
"""Seconds for the worker to import torch and TTS and to load the model; from a cold disk that takes minutes."""


class WorkerFailed(RuntimeError):
    """The worker hung, crashed or talked nonsense; it has been ended. The message says which, in one line."""


class WorkerProcess:
    """One worker process, started and not yet waited for.

    Args:
        model: the base model's directory.
        log: file that gets what the worker prints; where it cannot be written, that is lost.
        time_limit: seconds for each answer, not counting those it waited for a processor; the start has `START_LIMIT`.
    """

    def __init__(self, model: Path, log: Path, time_limit: float) -> None:
        self.unkillable = False
        self._time_limit = time_limit
        self._log = log
        self._buffer = b""
        with _opened(log) as stderr:
            self._process = processes.start(
                processes.python_module("cufft_harness.sampling", str(model), str(os.getpid())),
                env=processes.python_environment(),
                stdin=subprocess.PIPE,
                stderr=stderr.fileno(),
            )
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101
        self.process_id = self._process.pid
        self._requests, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._answers.fileno(), False)

    def wait_for_greeting(self) -> None:
        """Wait until the model is loaded.

        Raises:
            WorkerFailed: no greeting in time, or no sane one; the worker is gone then.
        """
        self._expect(0, max(START_LIMIT, self._time_limit))

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            WorkerFailed: no answer in time, or no sane one; the worker is gone then.
        """
        _keep_short(self._log)
        try:
            self._requests.write(request.to_line())
            self._requests.flush()
        except OSError as error:
            raise self._given_up(f"the worker is gone ({self._ending()})") from error
        return self._expect(request.number, self._time_limit)

    def end(self) -> None:
        """Let the worker finish by closing its stdin; end it by force if it does not."""
        try:
            self._requests.close()
            self._process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self._end_by_force()

    def give_up(self) -> None:
        """End it by force, from another thread than the one that waits for it, which then meets `WorkerFailed`."""
        processes.end(self._process, grace_s=0.5)

    def _expect(self, number: int, time_limit: float) -> Answer:
        line = self._read_line(time_limit)
        try:
            answer = Answer.from_line(line)
            if answer.number != number:
                raise ProtocolError(f"an answer to request {answer.number}, not {number}")
        except ProtocolError as problem:
            raise self._given_up(f"the worker talks nonsense: {problem}") from problem
        return answer

    def _read_line(self, time_limit: float) -> bytes:
        deadline, waited_before = time.monotonic() + time_limit, self._seconds_kept_waiting()
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                kept_waiting = max(0.0, self._seconds_kept_waiting() - waited_before)
                left = deadline + kept_waiting - time.monotonic()
                if left <= 0:
                    raise self._given_up(f"the worker did not answer within {time_limit:g} s")
                if not selector.select(left):
                    continue
                block = self._answers.read(1 << 16)
                if not block:
                    raise self._given_up(f"the worker is gone ({self._ending()})")
                self._buffer += block
                if len(self._buffer) > LONGEST_LINE:
                    raise self._given_up(f"the worker wrote more than {LONGEST_LINE} bytes without a line end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _seconds_kept_waiting(self) -> float:
        """How long the worker wanted a processor and got none: that is training going first, not the worker hanging.

        The most that any of its threads waited, from Linux's /proc/PID/task/TID/schedstat (second number, nanoseconds).
        """
        longest = 0
        for thread in Path(f"/proc/{self.process_id}/task").glob("*/schedstat"):
            with suppress(OSError, ValueError, IndexError):  # the thread has just ended, or the kernel keeps no account
                longest = max(longest, int(thread.read_text().split()[1]))
        return longest / 1e9

    def _given_up(self, reason: str) -> WorkerFailed:
        self._end_by_force()
        return WorkerFailed(f"{reason}; it cannot be killed" if self.unkillable else reason)

    def _end_by_force(self) -> None:
        self.unkillable = not processes.end(self._process, grace_s=0.5)
        self._answers.close()
        with suppress(OSError):  # what was still unsent is lost with the worker
            self._requests.close()

    def _ending(self) -> str:
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            return "closed its output"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _opened(log: Path) -> BinaryIO:
    """The log, for appending; a log that cannot be written costs what it would have said, not the sample."""
    try:
        return log.open("ab")
    except OSError as error:
        _logger.warning("what the sampler prints is lost: %s", error)
        return open(os.devnull, "ab")  # noqa: PTH123 - no file of ours


def _keep_short(log: Path) -> None:
    """Put a long log aside. The worker has it open for appending, so it is copied and emptied, not renamed."""
    with suppress(OSError):  # a full disk, a folder that is gone: the log gets longer, or is lost
        if log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
