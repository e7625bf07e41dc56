"""The matrix as a picture: releases by scenario, the same bytes for the same input."""

from __future__ import annotations

from dataclasses import dataclass

from repro.matrix.outcomes import NOT_RUN
from repro.report.figure import as_bytes, drawing
from repro.report.runs import CANNOT, PLACES, Cell, Evidence

SIMULATED = {
    "healthy": "healthy",
    "jit_missing": "no PTX compiler",
    "module_oom": "no memory for kernels",
    "launch_failed": "launch fails",
    "driver_too_old": "driver too old",
}
# Told apart without colour, too: every cell carries a word.
GOOD, BAD, MISSING, UNTESTED = "#bfe3d0", "#f2b8a8", "#eeeeee", "#f7e7b0"
NUMBERS = {"INVALID_SIZE": "8", "INTERNAL_ERROR": "5", "EXEC_FAILED": "6", "ALLOC_FAILED": "2", "NOT_SUPPORTED": "16"}
LEGEND = (
    "8 CUFFT_INVALID_SIZE · 5 CUFFT_INTERNAL_ERROR · 6 CUFFT_EXEC_FAILED · 2 CUFFT_ALLOC_FAILED · "
    "16 CUFFT_NOT_SUPPORTED\nE other error · – not run · n/t could not be tested"
)


@dataclass(frozen=True)
class Column:
    """One column: its group, its heading, a cell for every release."""

    group: str
    title: str
    cells: tuple[Cell, ...]


def columns(evidence: Evidence) -> list[Column]:
    """The simulated driver's faults, then every place with its scenarios; a place without any result is one column."""
    found = [
        Column("cuFFT, simulated driver", title, _simulated(evidence, fault)) for fault, title in SIMULATED.items()
    ]
    for (device, tier), heading in PLACES.items():
        scenarios = [one for one in evidence.scenarios if device == "cuda" or not one[2]]
        group = [
            Column(heading, title, tuple(release.cell(name, device, tier) for release in evidence.releases))
            for name, title, _ in scenarios
        ]
        group = [column for column in group if any(cell.verdict != NOT_RUN for cell in column.cells)]
        place = heading.partition(",")[0]
        blank = Column(place, f"{tier}, {len(scenarios)} scenarios", tuple(Cell() for _ in evidence.releases))
        found += group or [blank]
    return found


def mark(cell: Cell) -> tuple[str, str]:
    """(word, colour) of a cell."""
    if cell.verdict == "pass":
        return "ok", GOOD
    if cell.verdict == NOT_RUN:
        return "–", MISSING
    if cell.verdict == CANNOT:
        return "n/t", UNTESTED
    return NUMBERS.get(cell.code.removeprefix("CUFFT_"), "E"), BAD


def draw(evidence: Evidence, kind: str = "svg") -> bytes:
    """The picture, as SVG or another kind that matplotlib knows ("png").

    Raises:
        MachineError: matplotlib is not installed.
    """
    table, releases = columns(evidence), evidence.releases
    with drawing(8) as pyplot:
        figure, axes = pyplot.subplots(figsize=(2.2 + 0.42 * len(table), 2.4 + 0.27 * len(releases)))
        for x, column in enumerate(table):
            for y, cell in enumerate(column.cells):
                word, colour = mark(cell)
                axes.add_patch(pyplot.Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white"))
                axes.text(x + 0.5, y + 0.5, word, ha="center", va="center", color="#222222")
        edges = [x for x in range(1, len(table)) if table[x].group != table[x - 1].group]
        for x in edges:
            axes.axvline(x, color="black", linewidth=1.2)
        for start, end in zip([0, *edges], [*edges, len(table)], strict=True):
            axes.text((start + end) / 2, len(releases) + 0.35, table[start].group, ha="center", va="top", weight="bold")
        axes.set(xlim=(0, len(table)), ylim=(len(releases), 0))
        axes.set_xticks(
            [x + 0.5 for x in range(len(table))], [column.title for column in table], rotation=45, ha="left"
        )
        axes.set_yticks(
            [y + 0.5 for y in range(len(releases))], [f"torch {one.torch} · cuFFT {one.cufft}" for one in releases]
        )
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.text(0, len(releases) + 1.35, LEGEND, ha="left", va="top", color="#444444")
        return as_bytes(figure, kind)


def _simulated(evidence: Evidence, fault: str) -> tuple[Cell, ...]:
    cells = []
    for release in evidence.releases:
        answer = evidence.answers.get(release.cufft, {}).get(f"{fault}/r2c 512/sm_86")
        if release.cufft in evidence.not_simulated:
            cells.append(Cell(CANNOT))
        elif answer is None or not release.tested:
            cells.append(Cell())
        else:
            cells.append(Cell("pass") if answer == "ok" else Cell("failed", answer.split()[-1]))
    return tuple(cells)
