"""What training and sampling survive, where results of kind "resilience" are there; laid out as benchmarks are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.report.sections.benchmarks import tables

if TYPE_CHECKING:
    from harness.report.document import Sources


def data(sources: Sources) -> dict[str, Any]:
    """The tables; none if nobody ran them."""
    return {"tables": tables(sources, "resilience")}
