"""From 1 to 1,000 GPUs: what samples of every epoch cost, from the measured figures and a simulation of the queue."""

from __future__ import annotations

import heapq
import math
from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Any

from repro.report.sections.goals import apart

if TYPE_CHECKING:
    from repro.report.document import Sources

GPUS = (1, 8, 64, 256, 1000)
EPOCH_SECONDS = 600.0
"""An epoch on one GPU, assumed; with n GPUs it is assumed to take an n-th of it."""
QUEUE = 3
"""Samples that may wait before the oldest is dropped (`cufft_harness.sampling.waiting.LONGEST_QUEUE`)."""
TOLERATED = 0.02
"""Share of its time that training may stand still."""


def data(sources: Sources) -> dict[str, Any] | None:
    """One row a number of GPUs; None while the full-size flow and sample were not measured."""
    for device in ("cuda", "cpu"):
        still = _values(sources, "flow", device, "goal", "standstill")
        save = _values(sources, "flow", device, "what", "training stands still for the checkpoint alone")
        if still and save:
            break
    else:
        return None
    sample = _sample_seconds(sources, device)
    if sample is None:
        return None
    original, order = still
    rows = [_row(count, original, order, save[1], sample) for count in GPUS]
    figures = {"original": original, "order": order, "save": save[1], "sample": sample}
    saturated = next((row[0] for row in rows if row[-2] != "1"), "")
    thinned = [workers_for(sample, _every(count, save[1], order) * EPOCH_SECONDS / count) for count in GPUS]
    return {
        "rows": rows,
        "saturated": saturated,
        "workers_when_rare": max(thinned),
        "device": device,
        "figures": figures,
        "epoch": EPOCH_SECONDS,
        "queue": QUEUE,
    }


def _row(gpus: int, original: float, order: float, save: float, sample: float) -> list[str]:
    epoch = EPOCH_SECONDS / gpus
    period = epoch + save + order
    made = simulate(period, sample, workers=1)
    every = _every(gpus, save, order)
    return [
        f"{gpus:,}",
        f"{epoch:.3g} s",
        f"{_share(original + save, epoch)}",
        f"{_share(order, epoch)}",
        f"{_share(save, epoch)}",
        f"{made:.0%}",
        str(workers_for(sample, period)),
        "every epoch" if every == 1 else f"every {every:,} epochs",
    ]


def _every(gpus: int, save: float, order: float) -> int:
    """Epochs from one checkpoint to the next, if training is to stand still no more than is tolerated."""
    return max(1, math.ceil((save + order) / (TOLERATED * EPOCH_SECONDS / gpus)))


def workers_for(sample: float, period: float) -> int:
    """How many workers make a sample of `sample` seconds every `period` seconds."""
    return math.ceil(sample / period)


def _share(still: float, epoch: float) -> str:
    share = still / (still + epoch)
    return f"{share:.1%}" if share >= 0.001 else f"{share:.1g}"


def simulate(period: float, sample: float, workers: int, epochs: int = 2000) -> float:
    """Share of the samples that are made: one wanted each `period` seconds, each taking `sample` seconds.

    The queue is the supervisor's: at most `QUEUE` wait, and the oldest gives way to the newest.
    """
    free_at = [0.0] * workers
    waiting: deque[float] = deque()
    dropped = 0
    for number in range(1, epochs + 1):
        now = number * period
        while waiting and free_at[0] <= now:
            begin = max(free_at[0], waiting.popleft())
            heapq.heapreplace(free_at, begin + sample)
        if len(waiting) >= QUEUE:
            waiting.popleft()
            dropped += 1
        waiting.append(now)
    return 1 - dropped / epochs


def _values(sources: Sources, name: str, device: str, key: str, value: str) -> tuple[float, float] | None:
    for run in sources.of_kind("benchmark"):
        if run.name == f"bench-{name}-full-{device}":
            for one in run.outcomes:
                if one.get(key) == value and one.get("ratio") is not None:
                    return one["baseline"], one["ours"]
                if one.get(key) == value and apart(one):  # a model can do with medians
                    return median(one["values"][0]), median(one["values"][1])
    return None


def _sample_seconds(sources: Sources, device: str) -> float | None:
    """Seconds of a whole sample on the best plain tier of the machine."""
    side = "native on cuda:0" if device == "cuda" else "cpu"
    found = _values(sources, "sample", device, "what", f"{side}, whole sample")
    return found[1] if found else None
