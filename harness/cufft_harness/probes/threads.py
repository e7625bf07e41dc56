"""Several threads at once, as a server does it: the plan cache is shared, and a fresh thread has no current context."""

from __future__ import annotations

import time

import torch

from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.shapes import XTTS_SHAPES
from cufft_harness.probes.situations import in_threads
from cufft_harness.probes.stft import check_stft

_THREADS, _ROUNDS = 4, 2


def run(device: str) -> Outcome:
    """Each thread runs the XTTS shapes, beginning with another one; the worst outcome counts."""
    began = time.perf_counter()

    def work(number: int) -> list[Outcome]:
        shapes = XTTS_SHAPES[number:] + XTTS_SHAPES[:number]
        return [check_stft(device, shapes) for _ in range(_ROUNDS)]

    torch.ones(1, device=device)
    outcomes = [outcome for each in in_threads(work, _THREADS) for outcome in each]
    bad = [outcome for outcome in outcomes if outcome.verdict is not Verdict.PASS]
    worst = bad[0] if bad else max(outcomes, key=lambda outcome: outcome.relative_error or 0.0)
    return Outcome(worst.verdict, worst.code, worst.detail, worst.relative_error, time.perf_counter() - began)
