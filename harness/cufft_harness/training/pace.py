"""How fast a run goes, when it will be over, and what memory it takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import psutil
import torch

_RECENT = 20


class Pace:
    """Counts batches against the clock.

    Args:
        epochs: of the whole run.
        clock: seconds from anywhere, never backwards.
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._epochs, self._clock = epochs, clock
        self._left = 0
        self._counted = 0
        self._began: float | None = None  # the end of the first step, which takes longer than the others
        self._last: float | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def begin_epoch(self, epoch: int, batches: int, done: int) -> None:
        """An epoch of so many batches begins, or goes on after so many of them; what came before is no step."""
        self._left = batches - done + (self._epochs - epoch) * batches
        self._last = self._clock()

    def step(self, batches: int) -> None:
        """So many batches were trained on."""
        now = self._clock()
        self._left -= batches
        if self._began is None:
            self._began = now
        else:
            self._counted += batches
            if self._last is not None:
                self._recent.append((now - self._last) / batches)
        self._last = now

    @property
    def seconds_a_step(self) -> float | None:
        """Mean over the last batches, without validation and saving; None before the second one."""
        return sum(self._recent) / len(self._recent) if self._recent else None

    @property
    def seconds_left(self) -> float | None:
        """Until the end of the run, if it goes on as it did so far, validation and saving included."""
        if self._began is None or not self._counted:
            return None
        return (self._clock() - self._began) / self._counted * self._left


def memory_used(device: torch.device) -> int:
    """Bytes that this process holds: of the GPU where it trains on one, of the machine's memory elsewhere."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return int(psutil.Process().memory_info().rss)


def duration(seconds: float) -> str:
    """Seconds in the words of a clock: "50 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86_400
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    if hours < 48:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{int(days)} d {int(hours % 24)} h"
