"""The worker as its supervisor sees it: started, asked with a time limit, watched, ended whatever it does."""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cufft_harness import processes
from cufft_harness.sampling.priority import Account, Priority, is_stopped
from cufft_harness.sampling.protocol import LONGEST_LINE, Answer, ProtocolError, Request, read_message

_logger = logging.getLogger(__name__)

LOG_BYTES = 10 << 20
"""Length at which the worker's log is put aside as sampler.log.1, in place of the one that was there."""
START_LIMIT = 300.0
"""Seconds for the worker to import torch and TTS and to load the model; from a cold disk that takes minutes."""
LONGEST_YIELD = 20.0
"""Seconds that a start, or a sample, waits for a processor so that training has it; then it takes its fair share."""
MOST_STRETCH = 10
"""So many times as long as its limit may a sample take in all, where it has to wait for a processor."""
TICK = 0.5
"""Seconds between two looks at the worker."""


class WorkerFailed(RuntimeError):
    """The worker hung, crashed or talked nonsense; it has been ended. The message says which, in one line."""


class Starved(WorkerFailed):
    """The worker hardly gets a processor, and its priority cannot be put back; it has been ended. Start another."""


@dataclass(frozen=True)
class Progress:
    """What the worker is at.

    Attributes:
        stage: what it said last; "" before that.
        waited: seconds it wanted a processor and had none, since it was started or asked.
        hindered: "waiting for the processor" or "stopped by a signal"; "" while it works.
    """

    stage: str = ""
    waited: float = 0.0
    hindered: str = ""


class WorkerProcess:
    """One worker process, started and not yet waited for.

    Args:
        model: the base model's directory.
        log: file that gets what the worker prints; where it cannot be written, that is lost.
        time_limit: seconds for each answer, not counting those it waited for a processor; the start has `START_LIMIT`.
        stand_back: asked all the while: whether training needs the processor now.
        by_nice: whether nice values may be used for that; see `Priority`.
    """

    def __init__(
        self,
        model: Path,
        log: Path,
        time_limit: float,
        stand_back: Callable[[], bool] = lambda: False,
        by_nice: bool = True,
    ) -> None:
        self.unkillable = False
        self.progress = Progress()
        self._time_limit, self._log, self._stand_back = time_limit, log, stand_back
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
        self._priority = Priority(self.process_id, by_nice)
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
        watch = _Watch(self.process_id, time_limit, self._priority, self._stand_back)
        self.progress = Progress()
        try:
            while True:
                self.progress = watch.look(self.progress)
                if watch.left <= 0:
                    raise self._given_up(watch.late())
                line = self._read_line(min(TICK, max(0.0, watch.left)))
                if line is None:
                    continue
                message = read_message(line)
                if message.number != number:
                    raise ProtocolError(f"an answer to request {message.number}, not {number}")
                if isinstance(message, Answer):
                    return message
                self.progress = replace(self.progress, stage=message.stage)
        except ProtocolError as problem:
            raise self._given_up(f"the worker talks nonsense: {problem}") from problem
        except Starved as problem:
            self._end_by_force()
            raise problem

    def _read_line(self, seconds: float) -> bytes | None:
        """The next line, or None if it does not come within so many seconds."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                block = self._answers.read(1 << 16)
                if not block:
                    raise self._given_up(f"the worker is gone ({self._ending()})")
                self._buffer += block
                if len(self._buffer) > LONGEST_LINE:
                    raise self._given_up(f"the worker wrote more than {LONGEST_LINE} bytes without a line end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

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
        if code == -signal.SIGKILL:
            return "signal SIGKILL: by somebody, or by the system for want of memory"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


class _Watch:
    """Watches one start, or one request: how long it may still take, and at which priority."""

    def __init__(self, process_id: int, time_limit: float, priority: Priority, stand_back: Callable[[], bool]) -> None:
        self._process_id, self._limit = process_id, time_limit
        self._priority, self._stand_back = priority, stand_back
        self._began, self._at_first = time.monotonic(), Account.of(process_id)
        self._looked, self._waited, self._stopped = 0.0, 0.0, False
        self._since_restored: Account | None = None

    @property
    def left(self) -> float:
        """Seconds it may still take: its limit and what it waited for a processor, but no more than all in all."""
        stretched = min(self._limit + self._waited, MOST_STRETCH * self._limit)
        return self._began + stretched - time.monotonic()

    def look(self, progress: Progress) -> Progress:
        """See how the worker fares, and give it the priority it should have.

        Raises:
            Starved: it should not stand back any more, but cannot be helped.
        """
        now = time.monotonic()
        if now - self._looked < TICK / 2:  # it has just been looked at
            return progress
        account = Account.of(self._process_id)
        before, self._waited = self._waited, max(self._waited, account.since(self._at_first).waited)
        kept_waiting = self._waited - before > (now - self._looked) / 2
        self._looked, self._stopped = now, is_stopped(self._process_id)
        self._set_priority(account)
        hindered = "stopped by a signal" if self._stopped else "waiting for the processor" if kept_waiting else ""
        return replace(progress, waited=self._waited, hindered=hindered)

    def _set_priority(self, account: Account) -> None:
        should_be_low = self._stand_back() and self._waited < LONGEST_YIELD
        if should_be_low and not self._priority.is_low:
            self._priority.lower()
        elif not should_be_low and self._priority.is_low:
            self._priority.restore()
        if self._priority.is_low or not self._priority.is_stuck:
            self._since_restored = None
            return
        self._since_restored = self._since_restored or account
        got = account.since(self._since_restored)
        if got.waited > 5 and got.ran < got.waited / 8:
            raise Starved("the worker gets no processor, and its priority cannot be put back")

    def late(self) -> str:
        """Why it was given up."""
        stopped = "; it was stopped by a signal" if self._stopped else ""
        waited = f", the {self._waited:.0f} s it waited for a processor not counted" if self._waited >= 1 else ""
        return f"the worker did not answer within {self._limit:g} s{waited}{stopped}"


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
