# ruff: noqa: E501 (tables of patterns read better unbroken)
"""The signs of signs.toml in a text."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from cufft_harness.diagnosis.matching import Sign
from cufft_harness.diagnosis.toml import load

# A bracketed shape; numbers of up to eight digits, so that the product stays a matter of a few multiplications.
_SHAPE = re.compile(r"[\[(]\d{1,8}(?:, ?\d{1,8}){1,5},?[\])]")
_BEYOND_32_BITS = 2**31
_PLACES = 50
_NAMELESS = re.compile(
    r"cufft error|error in cufft|cufft (?:failed|failure)|cufft exec|cuffterror|cufft call|cufft runtime error|cufft is broken|"
    r"cufft_internal_error|cufft internal error|cufftsafecall|checkcufft|cufft_check|cufftcheck|mcheckerror\(cufft|cufft 报错|cufft报错|cufft错误|cufft 错误|ошибк\S{0,3} cufft|erro (?:de |do |no )?cufft|cufft ?エラー|cufft ?오류"
)


@dataclass(frozen=True)
class SignSeen:
    """A sign that a text shows.

    Attributes:
        line: what sort of failure its line is; empty if it is none.
        places: where it is shown, as far as that matters: only for a failure.
    """

    name: str
    says: str
    line: str = ""
    places: tuple[int, ...] = ()


def signs_in(text: str) -> Iterator[SignSeen]:
    """Every sign that a lower-case text shows, once, in the order of signs.toml."""
    for name, says, line, sign in _signs():
        if line:
            places = tuple(start for start, _ in itertools.islice(sign.places(text), _PLACES))
            if places:
                yield SignSeen(name, says, line, places)
        elif sign.shows(text):
            yield SignSeen(name, says)
    if any(math.prod(map(int, re.findall(r"\d+", shape[0]))) >= _BEYOND_32_BITS for shape in _SHAPE.finditer(text)):
        yield SignSeen("very-large", "a shape in the report has more than 2^31 elements")
    if places := tuple(match.start() for match in itertools.islice(_NAMELESS.finditer(text), _PLACES)):
        yield SignSeen("cufft-error", "a cuFFT error is reported", "cufft", places)


@cache
def _signs() -> tuple[tuple[str, str, str, Sign], ...]:
    return tuple(
        (name, entry["says"], entry.get("line", ""), Sign.parse(entry)) for name, entry in load("signs.toml").items()
    )
