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
    r"\b(?:works?|worked|working|fine|ok|okay|perfectly|successful(?:ly)?|no (?:errors?|problems?|issues?)|good|"
    r"runs? (?:well|ok|normally|without|great)|ran (?:well|ok|normally|without)|without (?:any )?(?:errors?|problems?|issues?))\b|"
    r"没问题|没有问题|正常|可以运行|可以跑|能跑|能运行|好用|работает|нормально|\bfuncion(?:a|ou|aba)\b|\broda\b|動作し|動きま|問題な|정상|잘 됩|됩니다"
)
_FAILS = re.compile(
    r"\b(?:fail\w{0,3}|errors?|crash\w{0,3}|wrong|broken|doesn't|don't|didn't|can't|cannot|won't|not|isn't|should|hope|"
    r"does it|will it|would|could it|supposed)\b|报错|出错|错误|不行|不能|没法|无法|\bне работает|\bnão funciona|\bno funciona|動かな|안 됩|실패"
)


def clause_around(text: str, at: int, end: int) -> str:
    """The part of a lower-case sentence that surrounds ``text[at:end]``."""
    before = text[max(0, at - _REACH) : at]
    ends = [match.end() for match in _ENDS.finditer(before)]
    after = text[end : end + _REACH]
    stop = _ENDS.search(after)
    return before[ends[-1] if ends else 0 :] + text[at:end] + (after[: stop.start()] if stop else after)


def says_it_works(clause: str) -> bool:
    """The clause says of something that it works."""
    return _WORKS.search(clause) is not None


def says_it_fails(clause: str) -> bool:
    """The clause says of something that it fails, or only that it should work."""
    return _FAILS.search(_without_no_errors(clause)) is not None


def _without_no_errors(clause: str) -> str:
    """ "no error" and "without problems" speak of no failure."""
    return re.sub(
        r"\b(?:no|without|without any) (?:errors?|problems?|issues?)\b|not (?:a|an) (?:error|problem)", "", clause
    )
