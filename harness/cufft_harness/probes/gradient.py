"""The gradient of an STFT, which a mel loss needs: its backward pass is another FFT."""

from __future__ import annotations

import torch

from cufft_harness.probes.measure import compared
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import stft_by_definition, white_noise
from cufft_harness.probes.shapes import XTTS_SHAPES
from cufft_harness.probes.stft import stft

_SHAPE = XTTS_SHAPES[0]


def run(device: str) -> Outcome:
    """The gradient of the spectrum's energy, beside that of the transform by its definition in float64."""
    signal = white_noise(1, 8000)

    def gradient_of(spectrum: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(spectrum.abs().square().sum(), x)
        return gradient

    def gradient() -> torch.Tensor:
        x = signal.to(device, torch.float32).requires_grad_()
        return gradient_of(stft(x, _SHAPE), x)

    exact = signal.clone().requires_grad_()
    return compared(
        [("gradient of the STFT's energy", gradient, gradient_of(stft_by_definition(exact, _SHAPE), exact))]
    )
