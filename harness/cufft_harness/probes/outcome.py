"""What an experiment can end in. No torch here: the parent that reads the outcomes never initialises CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cufft_harness import cufft

_OTHER_CODES = (
    ("out of memory", "CUDA out of memory"),
    ("MKL FFT error", "MKL FFT error"),
    ("device-side assert", "device-side assert triggered"),
    ("illegal memory access", "illegal memory access"),
    ("no kernel image", "no kernel image"),
    ("Unsupported dtype", "unsupported dtype"),
    ("powers of two", "not a power of two"),
    ("power of two", "not a power of two"),
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
        case: where it did not pass: the name of the computation, such as that of an STFT shape; else "".
        call: and which call of it, the first or the second; 0 where that is not known.
    """

    verdict: Verdict
    code: str | None = None
    detail: str = ""
    relative_error: float | None = None
    seconds: float = 0.0
    case: str = ""
    call: int = 0


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "verdict": outcome.verdict.value,
        "code": outcome.code,
        "detail": outcome.detail,
        "relative_error": outcome.relative_error,
        "seconds": round(outcome.seconds, 4),
        "case": outcome.case,
        "call": outcome.call,
    }


def from_dict(entry: Mapping[str, Any]) -> Outcome:
    """The outcome that a child wrote.

    Raises:
        ValueError: the entry is not one (an unknown verdict, a key that is missing or of another type).
    """
    try:
        error = entry["relative_error"]
        return Outcome(
            Verdict(entry["verdict"]),
            None if entry["code"] is None else str(entry["code"]),
            str(entry["detail"]),
            None if error is None else float(error),
            float(entry["seconds"]),
            str(entry.get("case", "")),
            int(entry.get("call", 0)),
        )
    except (KeyError, TypeError) as missing:
        raise ValueError(f"not an outcome: {missing}") from missing


def error_code(text: str) -> str | None:
    """The name of the failure in an error message, or None where the message carries none that is known."""
    found = cufft.parse(text)
    if found:
        return found.name
    return next((name for part, name in _OTHER_CODES if part in text), None)


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """The first line of an error, shortened to `limit` characters."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:limit]
