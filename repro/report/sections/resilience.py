"""What training and sampling survive, where results of kind "resilience" are there; laid out as benchmarks are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.report.sections.benchmarks import tables

if TYPE_CHECKING:
    from repro.report.document import Sources
    from repro.store import Run


def data(sources: Sources) -> dict[str, Any]:
    """The tables; none if nobody ran them."""
    run = longest(sources)
    return {"tables": tables(sources, "resilience"), "drawn": run and run.file}


def longest(sources: Sources) -> Run | None:
    """The longest run that was watched by epoch, if there is one: the picture's content."""
    watched = [run for run in sources.of_kind("resilience") if "epochs" in run.content]
    return max(watched, key=lambda run: len(run.content["epochs"]["seconds"]), default=None)
