"""Which line of a report is the error that ended it; a report may show several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cufft_harness.diagnosis.facts import ErrorLine, quoted

# The deepest comes first: a fault on the device makes every later call fail; where cuFFT answered at all, its library
# was loaded; a crash or an exception of Python is what remains to be seen of the others.
KINDS = ("fault", "cufft", "load", "call", "memory", "driver", "crash", "other")
_LOOKED_AT = 400
# An exception of Python, Julia or C++ as it is printed, a line of a logger, a failed check.
_RAISED = re.compile(
    r"^\s{0,16}(?:E\s{1,4})?[\w.:]{0,80}(?:Error|Exception)\b|what\(\):|^\s{0,8}(?:ERROR|FATAL|E|F)\b|Check failed|"
    r": [EF] "
)
_OTHERS = 3


def choose(
    places: Iterable[tuple[str, int]], text: str, lines: Sequence[str]
) -> tuple[ErrorLine | None, tuple[ErrorLine, ...]]:
    """The line that ended it, and the first of each other kind.

    Args:
        places: what sort of failure, and where in `text` it is shown.
        text: the report in lower case, with the line ends of `lines`.
        lines: the report's lines as they were, to show.
    """
    by_kind: dict[str, list[int]] = {}
    for kind, at in places:
        by_kind.setdefault(kind, []).append(text.count("\n", 0, at))
    found = [_line(kind, _best(by_kind[kind], lines), lines) for kind in KINDS if kind in by_kind]
    if not found:
        return None, ()
    others = {line.number: line for line in found[1:] if line.number != found[0].number}
    return found[0], tuple(others.values())[:_OTHERS]


def _best(numbers: list[int], lines: Sequence[str]) -> int:
    """The last line that looks raised by a program, else the shortest: prose about it is longer than the message."""
    raised = [number for number in sorted(numbers) if _RAISED.search(lines[number][:_LOOKED_AT])]
    return raised[-1] if raised else min(numbers, key=lambda number: (len(lines[number]), number))


def _line(kind: str, number: int, lines: Sequence[str]) -> ErrorLine:
    return ErrorLine(number + 1, quoted(lines[number]), kind)
