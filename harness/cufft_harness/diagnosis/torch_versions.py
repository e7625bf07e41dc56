# ruff: noqa: E501 (tables of patterns read better unbroken)
"""PyTorch's version out of a report: stated, or betrayed by the line numbers of a traceback."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cufft_harness.diagnosis.facts import Version

_TORCH = re.compile(
    r"(?<![\w\-/])(?:py)?torch(?:\.__version__|[ _]version)?[`'\"*)\]]{0,3}[ \t]{0,24}(?:==|=|:|->|-|\(|,|\||\bis\b|\bversion\b|版本)?"
    r"[ \t]{0,24}['\"`(v:]{0,3}[ \t]{0,3}(\d\.\d{1,2}(?:\.\d{1,2})?)(?![\d%])[a-z\d.]{0,16}(?:\+(cu\d{2,3}|rocm|cpu)|(\+(?![a-z\d])| or later| or newer|以上))?",
    re.ASCII,
)
_LOCAL = re.compile(r"\b(\d\.\d{1,2}(?:\.\d{1,2})?)[a-z\d.]{0,16}\+cu(\d{2})(\d)\b", re.ASCII)
_PRINTED = re.compile(r"torch\.__version__[^\n]{0,4}\n[^\d\n]{0,5}(\d\.\d{1,2}\.\d{1,2})")
_TAG = re.compile(r"\bcu(9[02]|1[0-4])(\d)?\b(?!\.\w)", re.ASCII)
_WORKS = re.compile(
    r"\b(?:works?|worked|working|fine|ok|solved|fixed|fixes|cured|resolved|helped|no error|fix)\b|没问题|解决|正常|работает|funciona|正常に"
)
_BROKEN = re.compile(
    r"(?:not|n't|doesn't|don't|no longer|stops?|isn't) work|without success|not ok|(?:not|n't) fixed|should be ok"
)
_REACH_BEFORE, _REACH_AFTER = 160, 120

# Line numbers of torch/functional.py (in stft) and torch/nn/modules/module.py (in _call_impl) per release: tracebacks
# betray the version where the report does not state it.
_FRAME_VERSIONS: dict[str, dict[int, Version]] = {
    "functional.py": {
        465: (1, 6), 515: (1, 7), 516: (1, 7), 573: (1, 9), 579: (1, 9), 580: (1, 10), 605: (1, 12), 606: (1, 12),
        607: (1, 12), 632: (1, 13), 639: (2, 0), 640: (2, 0), 641: (2, 0), 650: (2, 1), 660: (2, 2), 665: (2, 3),
        666: (2, 4),
    },
    "module.py": {
        532: (1, 4), 550: (1, 5), 722: (1, 6), 727: (1, 7), 744: (1, 7), 889: (1, 8), 1051: (1, 9), 1071: (1, 9),
        1102: (1, 10), 1110: (1, 11), 1128: (1, 12), 1130: (1, 12), 1148: (1, 12), 1190: (1, 13), 1194: (1, 13),
        1208: (1, 13), 1212: (1, 13), 1501: (2, 0), 1518: (2, 1), 1527: (2, 1), 1511: (2, 2), 1520: (2, 2),
        1532: (2, 3), 1541: (2, 3), 1553: (2, 4), 1562: (2, 4), 1736: (2, 5), 1747: (2, 5), 1739: (2, 6),
        1750: (2, 6), 1751: (2, 7), 1762: (2, 7), 1773: (2, 8), 1784: (2, 8), 1775: (2, 9), 1786: (2, 9),
    },
}  # fmt: skip
_FRAMES = re.compile(r"torch[/\\](?:nn[/\\]modules[/\\])?(functional\.py|module\.py)\"?,? ?(?:line |:)(\d{3,4})")


@dataclass(frozen=True)
class TorchRead:
    """What a report says of PyTorch.

    Attributes:
        version: of the failing build; `cuda` of that build if it stands beside it.
        from_frames: only the line numbers of a traceback tell it.
        or_later: it is given as a lower bound.
        working: builds (PyTorch version, CUDA version) that are said to work.
    """

    version: Version | None = None
    cuda: Version | None = None
    from_frames: bool = False
    or_later: bool = False
    working: tuple[tuple[Version | None, Version | None], ...] = ()


@dataclass(frozen=True)
class _Stated:
    version: Version | None
    cuda: Version | None
    or_later: bool = False


def read(text: str) -> TorchRead:
    """Read a lower-case text."""
    stated = [(build, _said_to_work(text, at)) for at, build in sorted(_stated(text).items())]
    failing = [build for build, works in stated if not works]
    working = tuple((build.version, build.cuda) for build, works in stated if works) if failing else ()
    failing = failing or [build for build, _ in stated]
    if failing:
        first = failing[0]
        if first.version is None and (framed := _from_frames(text)):
            return TorchRead(framed, first.cuda, True, False, working)
        return TorchRead(first.version, first.cuda, False, first.or_later, working)
    framed = _from_frames(text)
    return TorchRead(framed, from_frames=framed is not None)


def _stated(text: str) -> dict[int, _Stated]:
    """Each build that is stated, by its place."""
    found: dict[int, _Stated] = {}
    for match in _TORCH.finditer(text):
        tag = match.group(2) or ""
        cuda = (int(tag[2:-1]), int(tag[-1])) if tag.startswith("cu") else None
        found[match.start(1)] = _Stated(_split(match.group(1)), cuda, match.group(3) is not None)
    for match in _LOCAL.finditer(text):
        found[match.start(1)] = _Stated(_split(match.group(1)), (int(match.group(2)), int(match.group(3))))
    for match in _PRINTED.finditer(text):
        found.setdefault(match.start(1), _Stated(_split(match.group(1)), None))
    if not found:
        for match in _TAG.finditer(text):
            digits = match.group(1) + (match.group(2) or "")
            if len(digits) == 3 or digits[0] == "9":
                found[match.start()] = _Stated(None, (int(digits[:-1]), int(digits[-1])))
    return {at: build for at, build in found.items() if build.version is None or build.version[0] < 3}


def _split(text: str) -> Version:
    return tuple(map(int, text.split(".")))


def _said_to_work(text: str, at: int) -> bool:
    """The clause around `at` says that this build works or cures."""
    start = max(*(text.rfind(end, 0, at) for end in ("\n", ". ", "; ")), at - _REACH_BEFORE) + 1
    ends = [end for end in (text.find(mark, at) for mark in ("\n", ". ", "; ")) if end >= 0]
    clause = text[start : min([*ends, at + _REACH_AFTER])]
    return bool(_WORKS.search(clause)) and not _BROKEN.search(clause)


def _from_frames(text: str) -> Version | None:
    seen = [_FRAME_VERSIONS[match[1]].get(int(match[2])) for match in _FRAMES.finditer(text)]
    return next((version for version in seen if version), None)
