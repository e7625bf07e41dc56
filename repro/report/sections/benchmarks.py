"""Times, where results of kind "benchmark" are there: each file one table, as its writer laid it out.

Such a file has `title`, `note` (may be empty), `columns` (name -> heading) and outcomes with those names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.report.document import Sources


def data(sources: Sources) -> dict[str, Any]:
    """The tables; none if nobody measured."""
    return {"tables": tables(sources, "benchmark")}


def tables(sources: Sources, kind: str) -> list[dict[str, Any]]:
    """One table a file of the kind: title, note, headings and rows; what an outcome lacks is "–"."""
    found = []
    for run in sources.of_kind(kind):
        columns = run.content.get("columns") or {name: name for one in run.outcomes for name in one}
        rows = [[_text(one.get(name)) for name in columns] for one in run.outcomes]
        title, note = run.content.get("title", run.name), run.content.get("note", "")
        found.append({"title": title, "note": note, "headings": list(columns.values()), "rows": rows, "file": run.file})
    return found


def _text(value: object) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
