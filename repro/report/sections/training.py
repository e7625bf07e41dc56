"""Training beside coqui's recipe, and what our defaults rest on, where results of kind "training" are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.report.sections.benchmarks import tables

if TYPE_CHECKING:
    from repro.report.document import Sources


def data(sources: Sources) -> dict[str, Any] | None:
    """The tables; left out if nobody measured."""
    found = tables(sources, "training")
    return {"tables": found} if found else None
