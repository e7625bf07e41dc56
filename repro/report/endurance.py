"""A long run as a picture: memory and time by epoch, the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from repro.report.figure import as_bytes, drawing

COLOURS = {"trainer": "#4a7ba6", "worker": "#5b8c5a"}
SMOOTHED = 5
"""Epochs whose median is drawn as a line; single epochs are dots."""


def draw(epochs: Mapping[str, Any]) -> bytes:
    """SVG of two panels over the epochs: memory of trainer and worker, and the processor seconds of an epoch.

    Args:
        epochs: `epochs` of a results file of `faults.endurance`: "trainer" and "worker", each with "memory" (KiB) and
            "processor" (seconds used since the start), a number an epoch; a worker that came later has fewer.

    Raises:
        MachineError: matplotlib is not installed.
    """
    last = len(epochs["seconds"])
    with drawing() as pyplot:
        figure, (memory, time) = pyplot.subplots(2, 1, figsize=(8, 5), sharex=True)
        for name, colour in COLOURS.items():
            mebibytes = [value / 1024 for value in epochs[name]["memory"]]
            memory.plot(range(last - len(mebibytes) + 1, last + 1), mebibytes, color=colour, label=name)
            used = [after - before for before, after in pairwise(epochs[name]["processor"])]
            numbers = range(last - len(used) + 1, last + 1)
            time.plot(numbers, used, ".", color=colour, markersize=3, alpha=0.4)
            time.plot(numbers, _smoothed(used), color=colour, label=name)
        memory.set_ylabel("memory, MiB")
        time.set_ylabel("processor seconds an epoch")
        time.set_xlabel("epoch")
        for axes in (memory, time):
            axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
        memory.legend(ncols=2, loc="lower right", frameon=False)
        return as_bytes(figure)


def _smoothed(values: Sequence[float]) -> list[float]:
    """The median around each value."""
    half = SMOOTHED // 2
    return [median(values[max(0, at - half) : at + half + 1]) for at in range(len(values))]
