"""A reference that no FFT library had a hand in: the discrete Fourier transform by its definition, in float64.

It stays right while the machine's own FFT is broken, replaced, or made to fail on purpose.
"""

from __future__ import annotations

import torch

from cufft_harness.probes.shapes import StftShape

_BINS_AT_ONCE = 256


def white_noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """White noise in float64 on the CPU; from its own generator, so no global random state is touched."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window_of(shape: StftShape, dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.Tensor:
    """The model's window, (win_length,)."""
    make = {"hann": torch.hann_window, "hamming": torch.hamming_window}[shape.window]
    return make(shape.win_length, dtype=dtype, device=device)


def frames_of(signal: torch.Tensor, shape: StftShape) -> torch.Tensor:
    """Windowed frames as `torch.stft` with ``center=True`` cuts them: (batch, samples) -> (batch, frames, n_fft)."""
    half = shape.n_fft // 2
    padded = torch.nn.functional.pad(signal[:, None], (half, half), mode="reflect")[:, 0]
    before = (shape.n_fft - shape.win_length) // 2
    window = torch.zeros(shape.n_fft, dtype=signal.dtype)
    window[before : before + shape.win_length] = window_of(shape, signal.dtype)
    return padded.unfold(-1, shape.n_fft, shape.hop_length) * window


def rfft_by_definition(frames: torch.Tensor) -> torch.Tensor:
    """One-sided DFT of the last axis, X[k] = sum over t of x[t] exp(-2 pi i k t / n).

    Args:
        frames: real float64 tensor (..., n) on the CPU.

    Returns:
        complex128 tensor (..., n // 2 + 1). Costs O(n^2) a row; the angle k t is reduced modulo n in integers, so that
        no precision is lost for large n.
    """
    n = frames.shape[-1]
    angle = torch.arange(n, dtype=torch.float64) * (2 * torch.pi / n)
    cosine, sine = angle.cos(), angle.sin()
    time = torch.arange(n)
    parts = []
    for bins in torch.split(torch.arange(n // 2 + 1), _BINS_AT_ONCE):
        index = torch.outer(time, bins) % n
        parts.append(torch.complex(frames @ cosine[index], -(frames @ sine[index])))
    return torch.cat(parts, dim=-1)


def stft_by_definition(signal: torch.Tensor, shape: StftShape) -> torch.Tensor:
    """The STFT without any FFT: float64 (batch, samples) -> complex128 (batch, n_fft // 2 + 1, frames)."""
    return rfft_by_definition(frames_of(signal, shape)).transpose(-1, -2)


def relative_error(result: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest absolute deviation over the reference's largest magnitude; infinite if the result holds NaN."""
    if result.shape != reference.shape:
        return float("inf")
    deviation = (result.to(device="cpu", dtype=reference.dtype) - reference).abs().max() / reference.abs().max()
    value = float(deviation)
    return value if value == value else float("inf")
