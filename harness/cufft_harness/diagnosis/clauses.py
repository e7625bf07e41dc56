# ruff: noqa: E501 (tables of patterns read better unbroken)
"""What the clause around a name says of it: that it works, or that it fails."""

from __future__ import annotations

import re

_ENDS = re.compile(
    r"\n|[.;。；](?=\s|$|[^\x00-\x7f])|，|[,:]? (?:but|while|whereas|however|yet|although|though)\b|, (?:and )?(?:when|on|the error|fails|it)\b|"
    r"但是?|而(?=在|切换)|然而|迁移到| но | mas | pero "
)
_REACH = 160
_WORKS = re.compile(
    r"\b(?:works?|worked|working|fine|ok|okay|perfectly|successful(?:ly)?|good|runs? (?:well|ok|normally|great)|ran (?:well|ok|normally))\b|"
    r"没问题|没有问题|正常|可以运行|可以跑|能跑|能运行|好用|работает|нормально|\bfuncion(?:a|ou|aba)\b|\broda\b|動作し|動きま|問題な|정상|잘 됩|됩니다"
)
_FAILS = re.compile(
    r"\b(?:fail\w{0,3}|errors?|crash\w{0,3}|wrong|broken|should|hope|does it|will it|would|could it|supposed)\b|"
    r"报错|出错|错误|不行|不能|没法|无法|出现|\bне работает|\bnão funciona|\bno funciona|動かな|안 됩|실패"
)
# "does not work", "isn't fine": judged as one word, and so is "without any errors"
_DENIED = re.compile(
    r"\b(?:not|\w{2,6}n't|cannot|never|no longer) (?:\w{1,12} ){0,2}(?:works?|run\w{0,4}|fine|ok|good|compatible|supported)\b"
)
_NO_ERROR = re.compile(r"\b(?:no|without|without any|without an) (?:errors?|problems?|issues?|crash\w{0,2})\b")


def said_to_work(text: str, at: int, end: int) -> bool:
    """The clause of a lower-case text around ``text[at:end]`` says that it works."""
    before, after = text[max(0, at - _REACH) : at], text[end : end + _REACH]
    ends = [match.end() for match in _ENDS.finditer(before)]
    before = before[ends[-1] if ends else 0 :]
    stop = _ENDS.search(after)
    clause = before + text[at:end] + (after[: stop.start()] if stop else after)
    return works_in(clause, len(before), len(before) + end - at)


def works_in(clause: str, at: int, end: int) -> bool:
    """Whether the clause says of ``clause[at:end]`` that it works: the nearest word that judges decides."""
    judged = _DENIED.sub(lambda match: " fails ".center(len(match.group(0))), clause)
    judged = _NO_ERROR.sub(lambda match: " works ".center(len(match.group(0))), judged)
    works, fails = _nearest(_WORKS, judged, at, end), _nearest(_FAILS, judged, at, end)
    return works is not None and (fails is None or works <= fails)


def _nearest(words: re.Pattern[str], clause: str, at: int, end: int) -> int | None:
    """How far the nearest of the words is from the name; None if none is there."""
    places = (match.span() for match in words.finditer(clause))
    return min((max(start - end, at - stop, 0) for start, stop in places), default=None)
