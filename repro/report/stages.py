"""A sample's stages as a picture: one bar a side, the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Mapping

from repro.report.figure import as_bytes, drawing

COLOURS = {"load": "#8899aa", "condition": "#c9b458", "decode": "#5b8c5a", "vocode": "#4a7ba6", "write": "#a65d57"}


def draw(sides: Mapping[str, Mapping[str, float]]) -> bytes:
    """SVG of stacked bars: seconds of each stage, by side, in the order given.

    Raises:
        MachineError: matplotlib is not installed.
    """
    with drawing() as pyplot:
        figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.5 * len(sides)))
        names = list(sides)
        left = [0.0] * len(names)
        for stage, colour in COLOURS.items():
            seconds = [sides[name].get(stage, 0.0) for name in names]
            axes.barh(names, seconds, left=left, color=colour, label=stage)
            left = [start + width for start, width in zip(left, seconds, strict=True)]
        for position, total in enumerate(left):
            axes.text(total, position, f" {total:.1f} s", va="center")
        axes.invert_yaxis()
        axes.set_xlim(0, 1.12 * max(left, default=1.0))
        axes.set_xlabel("seconds")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(ncols=len(COLOURS), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        return as_bytes(figure)
