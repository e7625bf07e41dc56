"""FFTs of every kind that PyTorch has an operator for, also of lengths that cuFFT treats apart (large primes)."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cufft_harness.probes.measure import Case, compared
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import rfft_by_definition, white_noise

# Powers of two, small primes, 400 = 2^4 5^2, a prime of the Bluestein path, an odd product.
LENGTHS = (1, 2, 7, 64, 127, 400, 1009, 1155, 2048)


def run(device: str) -> Outcome:
    """Each length forward; there and back; complex; two-dimensional."""
    return compared(_cases(device))


def _cases(device: str) -> Iterator[Case]:
    for n in LENGTHS:
        signal = white_noise(3, n)
        on_device = signal.to(device, torch.float32)
        yield f"rfft of {n}", lambda x=on_device: torch.fft.rfft(x), rfft_by_definition(signal)  # type: ignore[misc]
        yield f"irfft of {n}", lambda x=on_device, n=n: torch.fft.irfft(torch.fft.rfft(x), n=n), signal  # type: ignore[misc]
    image = white_noise(2, 48, 60)
    on_device = image.to(device, torch.float32)
    rows = _full(image)
    reference = _full(rows.real.transpose(-1, -2)) + 1j * _full(rows.imag.transpose(-1, -2))
    yield "fft2 of 48 x 60", lambda: torch.fft.fft2(on_device), reference.transpose(-1, -2)
    yield "fft of 60", lambda: torch.fft.fft(on_device), rows


def _full(real: torch.Tensor) -> torch.Tensor:
    """Two-sided DFT of a real signal: the other half mirrors the first, conjugated."""
    half = rfft_by_definition(real)
    n = real.shape[-1]
    return torch.cat([half, half[..., 1 : (n + 1) // 2].flip(-1).conj()], dim=-1)
