"""An empty batch: PyTorch handed it to the library unchecked for years. A limit, not a defect."""

from __future__ import annotations

import time

import torch

from cufft_harness.probes.measure import failed
from cufft_harness.probes.outcome import Outcome, Verdict


def run(device: str) -> Outcome:
    """An rfft of shape (0, 512) should give (0, 257)."""
    began = time.perf_counter()
    try:
        shape = tuple(torch.fft.rfft(torch.zeros(0, 512, device=device)).shape)
    except RuntimeError as error:
        return failed(error, "rfft of shape (0, 512)", began)
    verdict = Verdict.PASS if shape == (0, 257) else Verdict.WRONG_NUMBERS
    return Outcome(verdict, None, f"rfft of shape (0, 512) gives {shape}", None, time.perf_counter() - began)
