"""The fallback itself: FFTs by matrix products on this device, which need cuBLAS and nothing of cuFFT."""

from __future__ import annotations

from cufft_harness.fft.context import fft_context
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.shapes import ALL_SHAPES
from cufft_harness.probes.stft import check_stft
from cufft_harness.tiers import Tier


def run(device: str) -> Outcome:
    """All STFTs once more, with every FFT of the device done by matrix products."""
    with fft_context(Tier.BYPASS, device):
        return check_stft(device, ALL_SHAPES)
