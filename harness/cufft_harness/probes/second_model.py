"""A second model in the same process: is a plan of the first one reused wrongly, or broken when the first one goes?"""

from __future__ import annotations

import gc

import torch

from cufft_harness.probes.measure import Case, compared
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import stft_by_definition, white_noise
from cufft_harness.probes.shapes import XTTS_SHAPES
from cufft_harness.probes.stft import stft

_SHAPE = XTTS_SHAPES[0]


class _Encoder(torch.nn.Module):
    """A speaker encoder's front end: the STFT as a module with weights behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = torch.nn.Linear(_SHAPE.n_fft // 2 + 1, 64)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        spectrum = stft(signal, _SHAPE)
        self.projection(spectrum.abs().transpose(-1, -2))
        return spectrum


def run(device: str) -> Outcome:
    """One model, then a second beside it, then the second alone."""
    signal = white_noise(1, 8000)
    reference = stft_by_definition(signal, _SHAPE)
    on_device = signal.to(device, torch.float32)

    def cases() -> list[Case]:
        first, second = _Encoder().to(device), _Encoder().to(device)
        return [
            ("first model", lambda: first(on_device), reference),
            ("second model", lambda: second(on_device), reference),
            ("first model again", lambda: first(on_device), reference),
        ]

    outcome = compared(cases())
    gc.collect()
    third = _Encoder().to(device)
    after = compared([("a model after the others are gone", lambda: third(on_device), reference)])
    return after if after.verdict is not outcome.verdict else outcome
