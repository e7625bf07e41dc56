"""Words and patterns, looked for in a lower-case text: whole words only, and never longer than linear time.

A word is whole if no Latin letter, digit or underscore touches it, so that "integrated" does not make a machine a
Tegra; Chinese, Japanese or Korean characters may. A ``*`` at its end or beginning lets it go on there; the same before
a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
# Either the pattern ends with something else than a letter, or nothing of a word stands after it. What stands before is
# looked at once a match is found: a pattern that begins with its own letters is searched for many times faster.
_AFTER = r"(?:(?![a-z0-9_])|(?<=[^a-z0-9_]))"

# A negation within the same clause, shortly before the words, cancels what people say.
_NEGATION = re.compile(
    r"(?:\bno|\bnot|\bnon|\bnever|\bwithout|n't|\bneither|\bnor|\binstead of|\brather than|\bnone|\bhardly|\bsin|\bsem|"
    r"\bкроме|\bне|\bбез|不是|没有|并非|并不|无)(?: \w{1,12}){0,3}[ -]?$"
)
_DENIAL = re.compile(
    r"\bnot\b|n't|\bstill\b|\bno (?:effect|luck|change|help|difference)|\bnever\b|without effect|仍然|还是|依然|"
    r"\bне помог|\bno funciona|\bnão funciona"
)


@dataclass(frozen=True)
class Sign:
    """What to look for.

    Attributes:
        words: plain pieces of text, one is enough.
        patterns: regular expressions, one is enough.
        prose: people's own words, so a negation just before ("not random", "no leak") cancels them.
        affirms: it says that something helps, so a denial within ("still fails") cancels it.
        unless: nothing counts if one of these words occurs anywhere.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    prose: bool = False
    affirms: bool = False
    unless: tuple[str, ...] = ()

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Sign:
        """A sign from its table in a TOML file: `any`, `patterns`, `prose`, `affirms`, `unless`."""
        return cls(
            tuple(entry.get("any", ())),
            tuple(entry.get("patterns", ())),
            bool(entry.get("prose", False)),
            bool(entry.get("affirms", False)),
            tuple(entry.get("unless", ())),
        )

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each place that shows it, in no particular order."""
        if any(next(find_word(text, word), None) is not None for word in self.unless):
            return
        for word in self.words:
            for at in find_word(text, word):
                if not (self.prose and _negated(text, at)):
                    yield at, at + len(word.strip("*"))
        for pattern in self.patterns:
            for match in find_pattern(text, pattern):
                denied = self.affirms and _DENIAL.search(match.group(0))
                if not denied and not (self.prose and _negated(text, match.start())):
                    yield match.start(), match.end()

    def shows(self, text: str) -> bool:
        """Whether the text shows it anywhere."""
        return next(self.places(text), None) is not None

    def count(self, text: str) -> int:
        """How many of its words and patterns occur."""
        words = sum(next(find_word(text, word), None) is not None for word in self.words)
        return words + sum(next(find_pattern(text, pattern), None) is not None for pattern in self.patterns)


def find_word(text: str, word: str) -> Iterator[int]:
    """Where `word` stands as a whole."""
    bare = word.strip("*")
    open_before = word.startswith("*") or bare[0] not in _WORD
    open_after = word.endswith("*") or bare[-1] not in _WORD
    at = text.find(bare)
    while at >= 0:
        end = at + len(bare)
        if (open_before or not _in_word(text, at - 1)) and (open_after or not _in_word(text, end)):
            yield at
        at = text.find(bare, end)


def _in_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at] in _WORD


def find_pattern(text: str, pattern: str) -> Iterator[re.Match[str]]:
    """Where a pattern matches whole words; a ``*`` before it lets a word go on there."""
    regex = _compiled(pattern.removeprefix("*"))
    at = 0
    while match := regex.search(text, at):
        inside = _in_word(text, match.start()) and _in_word(text, match.start() - 1)
        if pattern.startswith("*") or not inside:
            yield match
            at = max(match.end(), match.start() + 1)
        else:
            at = match.start() + 1


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """ASCII, so that Chinese text ends a word."""
    return re.compile(f"(?:{pattern}){_AFTER}", re.ASCII)


def _negated(text: str, at: int) -> bool:
    clause = re.split(r"[.;:!?,\n。；，！？]", text[max(0, at - 48) : at])[-1]
    return bool(_NEGATION.search(clause))
