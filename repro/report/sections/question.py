"""What was asked, and on what the answer rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.report.document import Sources


def data(sources: Sources) -> dict[str, Any]:
    """How much was run, and where."""
    evidence = sources.evidence
    tested = [release for release in evidence.releases if release.tested]
    return {
        "releases": len(evidence.releases),
        "tested": len(tested),
        "outcomes": sum(len(run.outcomes) for run in evidence.runs),
        "gpus": evidence.gpus,
        "problems": sources.problems,
        "interrupted": [run.file for run in sources.runs if run.status == "running"],
    }
