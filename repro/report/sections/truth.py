"""How often `diagnose` is right on labelled public reports: by version, program and cause, and how sure it was."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from repro.store import Run
from repro.truth.measure import Judged, Score, score

if TYPE_CHECKING:
    from repro.report.document import Sources

CONFIDENCES = ("high", "medium", "low")


def data(sources: Sources) -> dict[str, Any] | None:
    """The scores of every run, and of the last one what it is made of; None if none was scored."""
    runs = sources.of_kind("truth")
    if not runs:
        return None
    judged = {run.file: [Judged(**row) for row in run.outcomes] for run in runs}
    now = max(runs, key=lambda run: str(run.content.get("started", "")))
    established = [one for one in judged[now.file] if one.established]
    return {
        "runs": [row for run in sorted(runs, key=_when) for row in _rows(run, judged[run.file])],
        "cases": len(judged[now.file]),
        "weak": len(judged[now.file]) - len(established),
        "frameworks": _groups(established, lambda one: one.framework),
        "causes": _groups(established, lambda one: one.label),
        "calibration": _calibration(established),
        "missed": _missed(established),
    }


def _when(run: Run) -> str:
    return str(run.content.get("started", ""))


def _rows(run: Run, judged: list[Judged]) -> list[list[str]]:
    """A row for each part of the established cases."""
    rows = []
    for part in ("seen", "kept"):
        group = [one for one in judged if one.established and one.part == part]
        if group:
            rows.append([str(run.content.get("what", run.name)), part, *_cells(score(group))])
    return rows


def _cells(found: Score) -> list[str]:
    shares = (found.accepted, found.named, found.exact, found.within_three)
    return [str(found.cases), *(f"{share:.0%}" for share in shares), str(found.overconfident)]


def _groups(judged: Iterable[Judged], key: Callable[[Judged], str]) -> list[list[str]]:
    """A row for each value of the key, the largest group first."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        found[key(one)].append(one)
    order = sorted(found, key=lambda name: (-len(found[name]), name))
    return [[name, *_cells(score(found[name]))] for name in order]


def _calibration(judged: list[Judged]) -> list[list[str]]:
    """How sure it said it was, and how often it then was right."""
    rows = []
    for confidence in CONFIDENCES:
        group = [one for one in judged if one.confidence == confidence]
        if group:
            found = score(group)
            rows.append([confidence, str(found.cases), f"{found.accepted:.0%}", f"{found.exact:.0%}"])
    return rows


def _missed(judged: list[Judged]) -> list[list[str]]:
    """What was taken for what, where the answer is not the label: label, answer, how often accepted and not."""
    pairs = Counter((one.label, one.first) for one in judged if not one.exact)
    wrong = Counter((one.label, one.first) for one in judged if not one.accepted)
    return [
        [label, first, str(count - wrong[label, first]), str(wrong[label, first])]
        for (label, first), count in sorted(pairs.items())
    ]
