"""The causes of cuFFT failures: what happens, what to do, where it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cufft_harness.diagnosis.toml import load


@dataclass(frozen=True)
class Cause:
    """One cause, as in causes.toml.

    Attributes:
        mechanism: what happens, in a few sentences.
        fix: what to do; entries that start with ``$ `` are commands.
        meanwhile: how to go on working until it is fixed.
        next_experiment: what would settle it.
        evidence: public pages where it was seen or explained.
    """

    id: str
    title: str
    mechanism: str
    fix: tuple[str, ...]
    meanwhile: str
    next_experiment: str
    evidence: tuple[str, ...]


@cache
def catalogue() -> dict[str, Cause]:
    """All causes by id."""
    return {
        name: Cause(
            id=name,
            title=entry["title"],
            mechanism=entry["mechanism"],
            fix=tuple(entry["fix"]),
            meanwhile=entry.get("meanwhile", ""),
            next_experiment=entry.get("next", ""),
            evidence=tuple(entry.get("evidence", ())),
        )
        for name, entry in load("causes.toml").items()
    }
