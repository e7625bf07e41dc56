"""How to repeat each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.report.document import Sources


def data(sources: Sources) -> dict[str, Any]:
    """The sessions' names."""
    return {"releases": [release.torch for release in sources.evidence.releases]}
