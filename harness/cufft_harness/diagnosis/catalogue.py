"""The causes of cuFFT failures: what happens, what to do in each framework, where it was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cufft_harness.diagnosis.programs import Framework
from cufft_harness.diagnosis.toml import load

_ANY = "any"


@dataclass(frozen=True)
class Remedy:
    """What to do.

    Attributes:
        fix: sentences; entries that start with ``$ `` are commands.
        meanwhile: how to go on working until it is fixed; may be empty.
        next_experiment: what would settle it.
    """

    fix: tuple[str, ...]
    meanwhile: str
    next_experiment: str


@dataclass(frozen=True)
class Cause:
    """One cause, as in causes.toml.

    Attributes:
        mechanism: what happens, in a few sentences.
        evidence: public pages where it was seen or explained.
        only: the one framework in which it exists; empty if it is a matter of all.
        fixes, meanwhiles, experiments: texts by framework, with placeholders; `remedies.remedy_for` fills them in.
    """

    id: str
    title: str
    mechanism: str
    evidence: tuple[str, ...]
    only: str
    fixes: Mapping[str, tuple[str, ...]]
    meanwhiles: Mapping[str, str]
    experiments: Mapping[str, str]

    def remedy(self, framework: Framework) -> Remedy | None:
        """The texts for this framework, else those for any; None if the cause does not exist in it."""
        if self.only and framework not in (Framework(self.only), Framework.UNKNOWN):
            return None
        name = self.only or framework.value
        fix = self.fixes.get(name, self.fixes.get(_ANY, ()))
        meanwhile = self.meanwhiles.get(name, self.meanwhiles.get(_ANY, ""))
        return Remedy(fix, meanwhile, self.experiments.get(name, self.experiments.get(_ANY, "")))


@cache
def catalogue() -> dict[str, Cause]:
    """All causes by id."""
    return {name: _parse(name, entry) for name, entry in load("causes.toml").items()}


def _parse(name: str, entry: Mapping[str, Any]) -> Cause:
    experiments = entry.get("next", "")
    return Cause(
        id=name,
        title=entry["title"],
        mechanism=entry["mechanism"],
        evidence=tuple(entry.get("evidence", ())),
        only=entry.get("only", ""),
        fixes={framework: tuple(lines) for framework, lines in entry["fix"].items()},
        meanwhiles=entry.get("meanwhile", {}),
        experiments=experiments if isinstance(experiments, dict) else {_ANY: experiments},
    )
