"""Half precision: cuFFT computes powers of two only, and CPUs nothing at all. A limit, not a defect."""

from __future__ import annotations

import time

import torch

from cufft_harness.probes.measure import compared, failed
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.reference import rfft_by_definition, white_noise

_TOLERANCE = 1e-2  # eps of float16 is 1e-3, and a transform of 512 adds nine roundings


def run(device: str) -> Outcome:
    """A length that is a power of two, compared; then one that is not, which should be refused in words."""
    began = time.perf_counter()
    signal = white_noise(4, 512)

    def half() -> torch.Tensor:
        spectrum: torch.Tensor = torch.fft.rfft(signal.to(device, torch.float16))
        return spectrum.to(torch.complex64)

    outcome = compared([("float16, 512", half, rfft_by_definition(signal.half().double()))], tolerance=_TOLERANCE)
    if outcome.verdict is not Verdict.PASS:
        return outcome
    try:
        torch.fft.rfft(torch.ones(4, 400, device=device, dtype=torch.float16))
    except RuntimeError as error:
        refused = failed(error, "float16, 400", began)
        return Outcome(Verdict.FAILED, refused.code, f"512 is right; {refused.detail}", None, refused.seconds)
    return Outcome(Verdict.PASS, None, "512 is right and 400 is accepted", outcome.relative_error, outcome.seconds)
