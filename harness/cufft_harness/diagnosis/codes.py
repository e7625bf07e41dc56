# ruff: noqa: E501 (tables of patterns read better unbroken)
"""The result codes of every framework, in one: by name, by number, or in the words of cuFFT's documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cufft_harness.cufft import CufftResult

_BY_NAME = {name: result for name, result in CufftResult.__members__.items() if result}
_BY_NUMBER = {result.value: result for result in _BY_NAME.values()}
# A list of all codes, as manuals and sources have it, is no failure: so many different ones in so few lines.
_A_LIST, _LIST_SPAN = 4, 700

_NAME = re.compile(r"(?<![a-z0-9_])(cu|hip)fft_([a-z_]{4,40})(?![a-z0-9_])", re.ASCII)
# The underscores are lost where a screenshot was read by a machine.
_SPACED = re.compile(
    r"(?<![a-z0-9_])cufft ((?:invalid (?:plan|size|value|type|device)|alloc failed|exec failed|setup failed|internal error|not implemented|unaligned data))(?![a-z0-9_])"
)
# "case CUFFT_ALLOC_FAILED:", "!= CUFFT_SUCCESS", "CUFFT_ALLOC_FAILED = 2": source and manual, not a failure
_QUOTED_BEFORE = re.compile(r"(?:case |[!=]= ?|enum )$")
_QUOTED_AFTER = re.compile(r" ?= ?\d{1,2},|: ?(?:return|fft_str|std::)")
# scikit-cuda's exceptions: cufftInvalidValue
_EXCEPTION = re.compile(
    r"(?<![a-z0-9_])cufft(invalidplan|allocfailed|invalidtype|invalidvalue|internalerror|execfailed|setupfailed|invalidsize|unaligneddata|notimplemented|invaliddevice|notsupported)(?![a-z0-9_])"
)
_EXCEPTIONS = {name.removeprefix("CUFFT_").replace("_", "").lower(): result for name, result in _BY_NAME.items()}
# The number behind: PyTorch's and others' "cuFFT error", OpenMM's and GROMACS's own words, TensorFlow's plans, Paddle's
# brackets, Julia's "CUFFTError(code 2, ...)", a failed CHECK of C++ ("(2 vs. 0)").
_NUMBER = re.compile(
    r"(?<![a-z0-9_])(?:cufft error:? ?(?:code:? ?|unknown error:? ?|\(|: ?|#)?|cufft(?: batched)? plan: ?|cufft[^\n]{0,40} (?:error )?code:? ?[=(]?|"
    r"cufft[^\n]{0,160}cufft_success\)? ?\(|cufft\w{4,30}(?:\([^\n]{0,80}\))? (?:failed|returned|error)[^\n\d]{0,24}|cuffterror(?:: [^\n]{0,60})?\(code |"
    r"error (?:initializing|executing) fft: ?|(?:fail|failed) to plan [^\n]{0,24}fft[^\n\d]{0,10}\(dft\): ?|fft[^\n]{0,24}\(dft\): ?|"
    r"cufft (?:failed|failure|returned|status)[^\n\d]{0,32}|fft plan (?:failed|failure|error)[^\n\d]{0,24}|u?fft error: \w{0,10}plan\w{0,4} creation failed:? ?|cufftresult[ =:(]{1,4})(\d{1,3})(?![a-z0-9_])(?! ?[.:]\d)(?! ?[a-z]{1,3}b\b)",
    re.ASCII,
)
# The sentences of cuFFT's manual, which Julia, Paddle, MatX and others print in the code's place.
_SENTENCES: tuple[tuple[str, CufftResult], ...] = (
    ("passed an invalid plan handle", CufftResult.CUFFT_INVALID_PLAN),
    ("failed to allocate gpu or cpu memory", CufftResult.CUFFT_ALLOC_FAILED),
    ("user specified an invalid pointer or parameter", CufftResult.CUFFT_INVALID_VALUE),
    ("driver or internal cufft library error", CufftResult.CUFFT_INTERNAL_ERROR),
    ("internal driver error was detected", CufftResult.CUFFT_INTERNAL_ERROR),
    ("cufft internal error", CufftResult.CUFFT_INTERNAL_ERROR),
    ("failed to execute an fft on the gpu", CufftResult.CUFFT_EXEC_FAILED),
    ("cufft library failed to initialize", CufftResult.CUFFT_SETUP_FAILED),
    ("user specified an invalid transform size", CufftResult.CUFFT_INVALID_SIZE),
    ("invalid transform size", CufftResult.CUFFT_INVALID_SIZE),
    ("execution of a plan was on different gpu than plan creation", CufftResult.CUFFT_INVALID_DEVICE),
    ("no workspace has been provided prior to plan execution", CufftResult.CUFFT_NO_WORKSPACE),
    ("function does not implement functionality for parameters", CufftResult.CUFFT_NOT_IMPLEMENTED),
    ("operation is not supported for parameters", CufftResult.CUFFT_NOT_SUPPORTED),
)


@dataclass(frozen=True)
class CodeSeen:
    """A result code in a report.

    Attributes:
        result: None for a number that is no code of cuFFT.
        at: where it stands in the text.
        number: the number, where a number is what is printed.
        hip: the message is hipFFT's.
    """

    result: CufftResult | None
    at: int
    number: int | None = None
    hip: bool = False


def codes_in(text: str) -> list[CodeSeen]:
    """All result codes that a lower-case text shows as failures, in the order of their places."""
    seen = sorted([*_names(text), *_numbers(text), *_sentences(text)], key=lambda code: code.at)
    return [code for code in seen if not _in_a_list(code, seen)]


def _names(text: str) -> Iterator[CodeSeen]:
    for match in _NAME.finditer(text):
        result = _BY_NAME.get(f"CUFFT_{match[2].upper()}")
        quoted = _QUOTED_BEFORE.search(text, max(0, match.start() - 8), match.start())
        if result and not quoted and not _QUOTED_AFTER.match(text, match.end()):
            yield CodeSeen(result, match.start(), hip=match[1] == "hip")
    for match in _SPACED.finditer(text):
        yield CodeSeen(_BY_NAME[f"CUFFT_{match[1].replace(' ', '_').upper()}"], match.start())
    for match in _EXCEPTION.finditer(text):
        yield CodeSeen(_EXCEPTIONS[match[1]], match.start())


def _numbers(text: str) -> Iterator[CodeSeen]:
    for match in _NUMBER.finditer(text):
        number = int(match[1])
        if number:
            yield CodeSeen(_BY_NUMBER.get(number), match.start(), number)


def _sentences(text: str) -> Iterator[CodeSeen]:
    for sentence, result in _SENTENCES:
        at = text.find(sentence)
        if at >= 0:
            yield CodeSeen(result, at)


def _in_a_list(code: CodeSeen, seen: list[CodeSeen]) -> bool:
    """The code is one of many different ones side by side."""
    near = {other.result for other in seen if abs(other.at - code.at) < _LIST_SPAN}
    return len(near) > _A_LIST
