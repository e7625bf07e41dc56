"""What a long run is judged by: growth is seen where there is some, and noise is not taken for it."""

from __future__ import annotations

import math
import random

import pytest

from repro.kills.endurance import FLAT, GROWS, NO_HIGHER, TOLERATED_KIB, UNCLEAR, Series, judge, slope
from repro.report import endurance

EPOCHS = 300


def watched(leak: float = 0.0, noise: float = 0.0, seed: int = 1, **changes: list[float]) -> Series:
    """A run of 300 epochs whose memory warms up, then grows by `leak` KiB an epoch; noise lasts for some epochs."""
    rng = random.Random(seed)
    memory, held = [], 0.0
    for epoch in range(EPOCHS):
        held = 0.9 * held + rng.gauss(0, noise)
        memory.append(700_000 - 50_000 * math.exp(-epoch / 20) + leak * epoch + held)
    process = {
        "memory": memory,
        "handles": changes.get("handles", [7.0] * EPOCHS),
        "threads": [3.0] * EPOCHS,
        "processor": changes.get("processor", [1.3 * epoch for epoch in range(EPOCHS)]),
    }
    sizes = {"manifest": [0.9 * epoch for epoch in range(EPOCHS)]}
    return Series([0.0] + [2.0] * (EPOCHS - 1), process, process, sizes, ["over"], {5})


def verdict(series: Series, what: str) -> str:
    return next(str(row["verdict"]) for row in judge(series) if str(row["what"]).startswith(what))


@pytest.mark.parametrize("noise", [0.0, 300.0])
def test_memory_that_stays_is_flat(noise: float):
    """Warming up in the first third is not growth, nor is what malloc holds for a while."""
    assert verdict(watched(noise=noise), "trainer: memory") == FLAT
    assert all(row["verdict"] != GROWS for row in judge(watched(noise=noise)))


@pytest.mark.parametrize("noise", [0.0, 300.0])
def test_a_leak_is_seen(noise: float):
    """A tenth of a MiB an epoch, as well in noise."""
    series = watched(leak=100.0, noise=noise)
    growth, half = slope(series.trainer["memory"])
    assert growth == pytest.approx(100.0, abs=25.0)
    assert growth - half > TOLERATED_KIB
    assert verdict(series, "trainer: memory") == GROWS


@pytest.mark.parametrize("seed", range(4))
def test_noise_that_may_hide_a_leak_is_not_called_flat(seed: int):
    """Where the interval holds both, the most that was needed is compared, and no more is claimed than that."""
    series = watched(noise=20_000.0, seed=seed)
    start, end = series.trainer["memory"][:100], series.trainer["memory"][-100:]
    assert verdict(series, "trainer: memory") == (NO_HIGHER if max(end) <= max(start) else UNCLEAR)


def test_a_handle_left_open_now_and_then_is_seen():
    """One more for a moment is not; one more for good is."""
    handles = [7.0] * EPOCHS
    handles[250] = 9.0
    assert verdict(watched(handles=handles), "worker: handles") == FLAT
    assert verdict(watched(handles=[7.0 + epoch // 200 for epoch in range(EPOCHS)]), "worker: handles") == GROWS


def test_epochs_that_cost_more_and_more_are_seen():
    """A quarter more at the end than at the start."""
    used = [1.3 * epoch + 0.65e-3 * epoch**2 for epoch in range(EPOCHS)]
    assert verdict(watched(processor=used), "trainer: processor") == GROWS


def test_the_picture_is_the_same_for_the_same_run():
    """Byte for byte, so that a report can be checked."""
    series = watched(noise=300.0)
    epochs = {"seconds": series.seconds, "trainer": series.trainer, "worker": series.worker}
    assert endurance.draw(epochs) == endurance.draw(epochs)
