"""The measure: accepted first, named, exact, within three, and wrong at high confidence."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from cufft_harness.diagnosis import render
from cufft_harness.diagnosis.from_text import read_log
from cufft_harness.diagnosis.log_input import read
from cufft_harness.diagnosis.rules import UNDETERMINED, Confidence, rank

from repro.truth.cases import Case

Answer = dict[str, Any]
_TIME_LIMIT = 60


@dataclass(frozen=True)
class Judged:
    """What was said of one case.

    Attributes:
        first: the cause that was put first, with `confidence`.
        accepted: it is the label, or one that fits as well.
        named: accepted, and not by way of saying that nothing can be said.
        exact: it is the label.
        within_three: the label, or one that fits, is among the first three.
    """

    id: str
    part: str
    established: bool
    framework: str
    label: str
    first: str
    confidence: str
    accepted: bool
    named: bool
    exact: bool
    within_three: bool

    def as_row(self) -> dict[str, Any]:
        """The fields, for a results file."""
        return asdict(self)


@dataclass(frozen=True)
class Score:
    """Shares of a group of cases; `overconfident` counts those that are wrong at high confidence."""

    cases: int
    accepted: float
    named: float
    exact: float
    within_three: float
    overconfident: int


def ask_package(log: str) -> Answer:
    """What this package's `diagnose` says, as its JSON."""
    evidence = read_log(read(io.BytesIO(log.encode())))
    return render.as_dict(rank(evidence), evidence)


def ask_command(command: str) -> Callable[[str], Answer]:
    """What a command says that reads the log from standard input and prints the same JSON: another version, say."""

    def ask(log: str) -> Answer:
        finished = subprocess.run(
            shlex.split(command), input=log, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False
        )
        answer: Answer = json.loads(finished.stdout)
        return answer

    return ask


def judge(case: Case, answer: Answer) -> Judged:
    """Hold an answer against what the thread established."""
    names = [cause["id"] for cause in answer["causes"]]
    first = names[0]
    accepted = first in case.acceptable
    return Judged(
        id=case.id,
        part=case.part,
        established=case.established,
        framework=answer.get("program", {}).get("framework", ""),
        label=case.label,
        first=first,
        confidence=answer["causes"][0]["confidence"],
        accepted=accepted,
        named=accepted and (first != UNDETERMINED or case.label == UNDETERMINED),
        exact=first == case.label,
        within_three=not case.acceptable.isdisjoint(names[:3]),
    )


def score(group: Iterable[Judged]) -> Score:
    """The shares of a group.

    Raises:
        ValueError: the group is empty.
    """
    rows = list(group)
    if not rows:
        raise ValueError("there is no share of nothing")
    return Score(
        cases=len(rows),
        accepted=_share(one.accepted for one in rows),
        named=_share(one.named for one in rows),
        exact=_share(one.exact for one in rows),
        within_three=_share(one.within_three for one in rows),
        overconfident=sum(not one.accepted and one.confidence == Confidence.HIGH.value for one in rows),
    )


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found)
