"""What an experiment can end in. No torch here: the parent that reads the outcomes never initialises CUDA."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_CODE = re.compile(r"\b(?:CUFFT|HIPFFT)_[A-Z_]{3,40}\b|cuFFT error: (unknown error \d{1,6})")
_OTHER_CODES = (
    ("out of memory", "CUDA out of memory"),
    ("MKL FFT error", "MKL FFT error"),
    ("device-side assert", "device-side assert triggered"),
    ("illegal memory access", "illegal memory access"),
    ("no kernel image", "no kernel image"),
)


class Verdict(str, Enum):
    """The ways an experiment ends."""

    PASS = "pass"  # noqa: S105 (not a password)
    FAILED = "failed"
    WRONG_NUMBERS = "wrong numbers"
    HUNG = "hung"
    CRASHED = "crashed"
    NOT_TESTED = "could not be tested"
    UNKILLABLE = "unkillable"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Outcome:
    """The outcome of one experiment.

    Attributes:
        verdict: how it ended.
        code: with `FAILED` the error's name (`CUFFT_INVALID_SIZE`, `CUDA out of memory`), with `CRASHED` the
            signal's (`SIGSEGV`).
        detail: one line: what was measured, the error's text, or why it could not be tested.
        relative_error: the largest deviation from the float64 reference, divided by the reference's largest value.
        seconds: wall-clock time the experiment itself took.
    """

    verdict: Verdict
    code: str | None = None
    detail: str = ""
    relative_error: float | None = None
    seconds: float = 0.0


def error_code(text: str) -> str | None:
    """The name of the failure in an error message, or None where the message carries none that is known."""
    found = _CODE.search(text)
    if found:
        return found.group(1) or found.group(0)
    return next((name for part, name in _OTHER_CODES if part in text), None)


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """The first line of an error, shortened to `limit` characters."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:limit]
