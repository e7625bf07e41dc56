"""FFTs of every kind that PyTorch has an operator for, also of lengths that cuFFT treats apart (large primes)."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cufft_harness.probes.measure import TOLERANCE, Case, compared
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.reference import rfft_by_definition, white_noise

# Powers of two, small primes, 400 = 2^4 5^2, a prime of the Bluestein path, an odd product.
LENGTHS = (1, 2, 3, 7, 64, 127, 400, 401, 1009, 1155, 2048, 4096)
# float64 FFTs deviate by 1e-16 log2(n); the sum of the definition, n terms long, by 1e-13.
_DOUBLE_TOLERANCE = 1e-11


def run(device: str) -> Outcome:
    """Each length forward; there and back; complex; two-dimensional; in single and in double precision."""
    single = compared(_cases(device, torch.float32), TOLERANCE)
    if single.verdict is not Verdict.PASS:
        return single
    double = compared(_cases(device, torch.float64), _DOUBLE_TOLERANCE)
    return single if double.verdict is Verdict.PASS else double


def _cases(device: str, dtype: torch.dtype) -> Iterator[Case]:
    for n in LENGTHS:
        signal, other = white_noise(3, n), white_noise(3, n, seed=1)
        x = signal.to(device, dtype)
        z = torch.complex(x, other.to(device, dtype))
        full = _full(signal) + 1j * _full(other)
        yield f"rfft of {n}", lambda x=x: torch.fft.rfft(x), rfft_by_definition(signal)  # type: ignore[misc]
        yield f"irfft of {n}", lambda x=x, n=n: torch.fft.irfft(torch.fft.rfft(x), n=n), signal  # type: ignore[misc]
        yield f"fft of {n}", lambda z=z: torch.fft.fft(z), full  # type: ignore[misc]
        yield f"ifft of {n}", lambda z=z: torch.fft.ifft(z), _mirrored(full) / n  # type: ignore[misc]
    image = white_noise(2, 48, 60)
    on_device = image.to(device, dtype)
    rows = _full(image)
    reference = _full(rows.real.transpose(-1, -2)) + 1j * _full(rows.imag.transpose(-1, -2))
    yield "fft2 of 48 x 60", lambda: torch.fft.fft2(on_device), reference.transpose(-1, -2)


def _full(real: torch.Tensor) -> torch.Tensor:
    """Two-sided DFT of a real signal: the other half mirrors the first, conjugated."""
    half = rfft_by_definition(real)
    n = real.shape[-1]
    return torch.cat([half, half[..., 1 : (n + 1) // 2].flip(-1).conj()], dim=-1)


def _mirrored(spectrum: torch.Tensor) -> torch.Tensor:
    """X[-k] of X[k]: the inverse DFT of a signal is its DFT, mirrored and divided by n."""
    return torch.cat([spectrum[..., :1], spectrum[..., 1:].flip(-1)], dim=-1)
