"""What was caught: which codes, which shapes, how often, and what became of the calls."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cufft_harness.fft.dispatch import Call


class Outcome(Enum):
    """How a call ended that the library did not answer at once."""

    RETRIED = "answered by the library when tried again"
    PRODUCTS = "answered by matrix products"


@dataclass(frozen=True)
class Entry:
    """One kind of failure.

    Attributes:
        code: `CUFFT_INVALID_SIZE` ..., or `wrong numbers`.
        operator: "r2c", "c2r" or "c2c".
        shape: of the input, as "1001x512".
        dtype: of the input, as "float32".
        device: as "cuda:0".
        outcome: what became of the calls.
    """

    code: str
    operator: str
    shape: str
    dtype: str
    device: str
    outcome: Outcome


class Account:
    """Counts of entries, safe to share between threads.

    Args:
        on_change: called with the account after each new entry, and whenever a count reaches a power of two,
            or a second has passed.
    """

    # Shapes may vary without end; past this many entries, new ones are counted under one shape.
    MAX_ENTRIES = 500

    def __init__(self, on_change: Callable[[Account], None] | None = None) -> None:
        self._counts: Counter[Entry] = Counter()
        self._on_change = on_change
        self._told = time.monotonic()
        self._lock = threading.Lock()

    def add(self, code: str, call: Call, outcome: Outcome) -> None:
        """Count one call."""
        shape = "x".join(str(size) for size in call.x.shape) or "scalar"
        dtype = str(call.x.dtype).removeprefix("torch.")
        entry = Entry(code, call.operator, shape, dtype, str(call.x.device), outcome)
        with self._lock:
            if len(self._counts) >= self.MAX_ENTRIES and entry not in self._counts:
                entry = Entry(code, call.operator, "other shapes", dtype, str(call.x.device), outcome)
            self._counts[entry] += 1
            count = self._counts[entry]
        if self._on_change is None:
            return
        now = time.monotonic()  # a process may be killed at any time: what is not told within a second is lost then
        if count & (count - 1) == 0 or now - self._told >= 1.0:
            self._told = now
            self._on_change(self)

    def entries(self) -> dict[Entry, int]:
        """A copy of the counts, most frequent first."""
        with self._lock:
            return dict(self._counts.most_common())

    def clear(self) -> None:
        """Forget everything, also a lock that another thread held when this process was forked."""
        self._lock = threading.Lock()
        self._counts = Counter()

    def __len__(self) -> int:
        return sum(self.entries().values())
