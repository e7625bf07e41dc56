"""Rank causes: each rule is a conjunction of facts with a weight, and says why.

Weights add up. They are on one scale: 10 is as good as proof, 5 likely, 2 a hint; negative ones speak against. Only a
rule marked `proves` can lead to high confidence, so many hints together never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

from cufft_harness.diagnosis.catalogue import Cause, catalogue
from cufft_harness.diagnosis.facts import Evidence
from cufft_harness.diagnosis.toml import load

_LIKELY = 4.0
_LEAD = 2.0
_SHOWN = 5
UNDETERMINED = "undetermined"


class Confidence(str, Enum):
    """How sure a finding is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Rule:
    """One clue: if all `needs` are known and none of `excludes`, `weight` is added to the cause."""

    cause: str
    needs: tuple[tuple[str, ...], ...]
    excludes: frozenset[str]
    weight: float
    proves: bool
    because: str

    def holds(self, names: frozenset[str]) -> bool:
        """Every need is met by one of its alternatives, and nothing excluded is known."""
        return not (self.excludes & names) and all(any(name in names for name in need) for need in self.needs)

    def reason(self, evidence: Evidence) -> str:
        """Why, in words: the rule's own, or what its facts say."""
        if self.because:
            return self.because
        says = (evidence.says(name) for need in self.needs for name in need)
        return "; ".join(dict.fromkeys(filter(None, says)))


@dataclass(frozen=True)
class Finding:
    """A cause with what speaks for and against it."""

    cause: Cause
    score: float
    confidence: Confidence
    supports: tuple[str, ...]
    contradicts: tuple[str, ...]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules of rules.toml."""
    return tuple(_parse(cause, entry) for cause, entries in load("rules.toml").items() for entry in entries)


def _parse(cause: str, entry: Mapping[str, object]) -> Rule:
    words = str(entry["when"]).split()
    return Rule(
        cause,
        tuple(tuple(word.split("|")) for word in words if not word.startswith("!")),
        frozenset(word[1:] for word in words if word.startswith("!")),
        float(str(entry["weight"])),
        bool(entry.get("proves", False)),
        str(entry.get("because", "")),
    )


def rank(evidence: Evidence) -> tuple[Finding, ...]:
    """The causes that the evidence speaks for, best first; never empty: `undetermined` is among them."""
    names = evidence.names()
    held: dict[str, list[Rule]] = {}
    for rule in rules():
        if rule.holds(names):
            held.setdefault(rule.cause, []).append(rule)
    scores = {cause: sum(rule.weight for rule in group) for cause, group in held.items()}
    order = sorted((cause for cause in scores if scores[cause] > 0 or cause == UNDETERMINED), key=lambda c: -scores[c])
    return tuple(_findings(order[:_SHOWN], scores, held, evidence))


def _findings(
    order: list[str], scores: Mapping[str, float], held: Mapping[str, list[Rule]], evidence: Evidence
) -> Iterator[Finding]:
    for cause in order:
        others = [scores[other] for other in order if other != cause]
        lead = scores[cause] - max(others, default=0.0)
        proven = any(rule.proves for rule in held[cause])
        disputed = any(rule.weight <= -_LEAD for rule in held[cause])
        if cause == UNDETERMINED:
            confidence = Confidence.LOW
        elif proven and lead >= _LEAD and not disputed and scores[cause] >= 2 * _LIKELY:
            confidence = Confidence.HIGH
        else:
            confidence = Confidence.MEDIUM if scores[cause] >= _LIKELY and lead >= 0 else Confidence.LOW
        yield Finding(
            catalogue()[cause],
            scores[cause],
            confidence,
            tuple(dict.fromkeys(rule.reason(evidence) for rule in held[cause] if rule.weight > 0)),
            tuple(dict.fromkeys(rule.reason(evidence) for rule in held[cause] if rule.weight < 0)),
        )
