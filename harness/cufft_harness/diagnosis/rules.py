"""Rank causes: each rule is a conjunction of facts with a weight, and says why.

Weights add up. They are on one scale: 10 is as good as proof, 5 likely, 2 a hint; negative ones speak against. Only a
rule marked `proves` can lead to high confidence, so many hints together never do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from cufft_harness.diagnosis.catalogue import Cause, Remedy, catalogue
from cufft_harness.diagnosis.facts import Evidence
from cufft_harness.diagnosis.registry import known_facts
from cufft_harness.diagnosis.remedies import remedy_for
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

    def reasons(self, evidence: Evidence) -> Iterator[str]:
        """Why, a sentence each: the rule's own, or what its facts say."""
        if self.because:
            yield self.because
        else:
            yield from filter(None, (evidence.says(name) for need in self.needs for name in need))


@dataclass(frozen=True)
class Finding:
    """A cause with what speaks for and against it.

    Attributes:
        remedy: what to do, in the terms of the program that failed.
    """

    cause: Cause
    remedy: Remedy
    score: float
    confidence: Confidence
    supports: tuple[str, ...]
    contradicts: tuple[str, ...]


def _parse(cause: str, entry: Mapping[str, object]) -> Rule:
    words = str(entry["when"]).split()
    unknown = {name for word in words for name in word.lstrip("!").split("|")} - known_facts()
    if unknown:
        raise ValueError(f"a rule of {cause} waits for facts that nothing yields: {', '.join(sorted(unknown))}")
    return Rule(
        cause,
        tuple(tuple(word.split("|")) for word in words if not word.startswith("!")),
        frozenset(word[1:] for word in words if word.startswith("!")),
        float(str(entry["weight"])),
        bool(entry.get("proves", False)),
        str(entry.get("because", "")),
    )


# Read as soon as this module is: a misspelt fact would be a rule that never holds.
RULES = tuple(_parse(cause, entry) for cause, entries in load("rules.toml").items() for entry in entries)


def rank(evidence: Evidence) -> tuple[Finding, ...]:
    """The causes that the evidence speaks for, best first; never empty: `undetermined` is among them."""
    names = evidence.names()
    held: dict[str, list[Rule]] = {}
    for rule in RULES:
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
            remedy_for(catalogue()[cause], evidence.program.framework, evidence.environment),
            scores[cause],
            confidence,
            _sentences(evidence, (rule for rule in held[cause] if rule.weight > 0)),
            _sentences(evidence, (rule for rule in held[cause] if rule.weight < 0)),
        )


def _sentences(evidence: Evidence, group: Iterable[Rule]) -> tuple[str, ...]:
    """One line a fact, the weightiest rule's first; of those that begin with the same words the fullest."""
    lines: list[str] = []
    for rule in sorted(group, key=lambda rule: -abs(rule.weight)):
        for line in rule.reasons(evidence):
            kept = [other for other in lines if _same_fact(line, other)]
            if not kept:
                lines.append(line)
            elif len(line) > len(kept[0]):
                lines[lines.index(kept[0])] = line
    return tuple(lines)


def _same_fact(line: str, other: str) -> bool:
    """Both say the same of the same: up to the first comma, or one begins with the other."""
    return line.split(",")[0] == other.split(",")[0] or line.startswith(other) or other.startswith(line)
