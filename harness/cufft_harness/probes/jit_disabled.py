"""Contrast: with the PTX JIT compiler switched off, cuFFT of CUDA 12 should fail as it does where it is missing.

If it passes here, this cuFFT has machine code for this GPU and a missing compiler cannot be the cause; if it fails, its
code is what the missing compiler looks like on this machine. The variables are set by the registry.
"""

from __future__ import annotations

from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.stft import check_stft


def run(device: str) -> Outcome:
    """The XTTS shapes, with ``CUDA_DISABLE_PTX_JIT=1`` and ``CUDA_CACHE_DISABLE=1``."""
    return check_stft(device)
