"""Two threads at once, as a server does it: the plan cache is shared, and a fresh thread has no current context."""

from __future__ import annotations

import threading
import time

import torch

from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.shapes import XTTS_SHAPES, StftShape
from cufft_harness.probes.stft import check_stft

_ROUNDS = 2


def run(device: str) -> Outcome:
    """Each thread runs the XTTS shapes, in opposite order; the worse outcome of the two counts."""
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    start = threading.Barrier(2)

    def work(shapes: tuple[StftShape, ...]) -> None:
        start.wait()
        for _ in range(_ROUNDS):
            outcomes.append(check_stft(device, shapes))

    torch.ones(1, device=device)
    threads = [threading.Thread(target=work, args=(shapes,)) for shapes in (XTTS_SHAPES, XTTS_SHAPES[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bad = [outcome for outcome in outcomes if outcome.verdict is not Verdict.PASS]
    worst = bad[0] if bad else max(outcomes, key=lambda outcome: outcome.relative_error or 0.0)
    return Outcome(worst.verdict, worst.code, worst.detail, worst.relative_error, time.perf_counter() - began)
