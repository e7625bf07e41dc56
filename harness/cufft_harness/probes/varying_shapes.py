"""Many lengths one after the other, as variable clips make them: each is a plan in cuFFT's cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cufft_harness.probes.measure import Case, compared
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.reference import rfft_by_definition, white_noise

LENGTHS = range(200, 328)


def run(device: str) -> Outcome:
    """128 lengths; on a GPU also the device memory that the plans took, and whether clearing gives it back."""
    gpu = torch.device(device).type == "cuda"
    before = _free(device) if gpu else 0
    outcome = compared(_cases(device))
    if not gpu or outcome.verdict is not Verdict.PASS:
        return outcome
    cache = torch.backends.cuda.cufft_plan_cache[torch.device(device).index or 0]
    plans, taken = cache.size, before - _free(device)
    cache.clear()
    left = before - _free(device)
    detail = f"{outcome.detail}; {plans} plans took {taken / 2**20:.0f} MiB, {left / 2**20:.0f} MiB after clearing"
    return Outcome(Verdict.PASS, None, detail, outcome.relative_error, outcome.seconds)


def _cases(device: str) -> Iterator[Case]:
    for n in LENGTHS:
        signal = white_noise(2, n, seed=n)
        yield f"rfft of {n}", lambda x=signal: torch.fft.rfft(x.to(device, torch.float32)), rfft_by_definition(signal)  # type: ignore[misc]


def _free(device: str) -> int:
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0]
