# ruff: noqa: E501 (tables of patterns read better unbroken)
"""Read a pasted log: clean text -> `Evidence`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from cufft_harness.cufft import CufftResult
from cufft_harness.diagnosis import from_versions
from cufft_harness.diagnosis.environment import environment_of
from cufft_harness.diagnosis.facts import Evidence, Fact
from cufft_harness.diagnosis.log_input import Source
from cufft_harness.diagnosis.toml import load

_CODES = {result.value: result.name for result in CufftResult if result}
_NAMES = frozenset(_CODES.values())
_NAME = re.compile(r"\b(cu|hip)fft_([a-z_]{4,40})\b")
_NUMBER = re.compile(
    r"(?:cufft error:? ?(?:code:? ?|unknown error |: ?)?|cufft batched plan: ?|cufft plan: ?|cufft[^\n]{0,40} (?:error )?code:? ?|"
    r"cufft[^\n]{0,200}cufft_success \(|cufft\w{4,30} (?:failed|returned)[^\n\d]{0,24})(\d{1,2})\b(?! ?[.:]\d)"
)
_NAMELESS = re.compile(
    r"cufft error|error in cufft|cufft (?:failed|failure)|cufft plan|cufft exec|cuffterror|cufft call"
)
# A bracketed shape; numbers of up to eight digits, so that the product stays a matter of a few multiplications.
_SHAPE = re.compile(r"[\[(]\d{1,8}(?:, ?\d{1,8}){1,5},?[\])]")

# A negation within the same clause, shortly before the words, cancels what people say.
_NEGATION = re.compile(
    r"(?:\bno|\bnot|\bnon|\bnever|\bwithout|n't|\bneither|\bnor|\bisn't|\binstead of|\brather than|\bnone|\bhardly)"
    r"(?: \w{1,12}){0,3}[ -]$"
)
_DENIAL = re.compile(
    r"\bnot\b|n't|\bstill\b|\bno (?:effect|luck|change|help|difference)|\bnever\b|without effect|仍然|还是"
)


def read_log(source: Source) -> Evidence:
    """All facts that a report states or gives away."""
    text = source.text.lower()
    environment = environment_of(text)
    facts = facts_in(text)
    return Evidence((), environment, source.notes).with_facts([*facts, *from_versions.facts_of(environment, facts)])


def facts_in(text: str) -> list[Fact]:
    """The codes and signs that a lower-case text shows."""
    return [*_codes(text), *_signs(text)]


def _codes(text: str) -> Iterator[Fact]:
    """cuFFT's result codes, by name or number; and shapes beyond 32 bits."""
    for match in _NAME.finditer(text):
        name = f"CUFFT_{match[2].upper()}"
        if name in _NAMES:
            yield Fact(name, f"the error code is {name}")
            if match[1] == "hip":
                yield Fact("hipfft", "the message is hipFFT's: a ROCm build")
    for match in _NUMBER.finditer(text):
        number = int(match[1])
        if number in _CODES:
            yield Fact(_CODES[number], f"the error code is {number}, that is {_CODES[number]}")
    if any(math.prod(map(int, re.findall(r"\d+", shape[0]))) >= 2**31 for shape in _SHAPE.finditer(text)):
        yield Fact("very-large", "a shape in the report has more than 2^31 elements")
    if _NAMELESS.search(text):
        yield Fact("cufft-error", "a cuFFT error is reported")


def _signs(text: str) -> Iterator[Fact]:
    for name, sign in load("signs.toml").items():
        if _shows(sign, text):
            yield Fact(name, sign["says"])


def _shows(sign: dict[str, Any], text: str) -> bool:
    if any(words in text for words in sign.get("unless", ())):
        return False
    prose = sign.get("prose", False)
    for words in sign.get("any", ()):
        at = text.find(words)
        while at >= 0:
            if not (prose and _negated(text, at)):
                return True
            at = text.find(words, at + len(words))
    for pattern in sign.get("patterns", ()):
        for match in re.finditer(pattern, text, re.ASCII):  # so that Chinese text ends a word
            denied = sign.get("affirms", False) and _DENIAL.search(match.group(0))
            if not denied and not (prose and _negated(text, match.start())):
                return True
    return False


def _negated(text: str, at: int) -> bool:
    clause = re.split(r"[.;:!?\n]", text[max(0, at - 48) : at])[-1]
    return bool(_NEGATION.search(clause))
