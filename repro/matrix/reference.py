"""What the numbers should be: NumPy's FFT in float64, on the CPU, without PyTorch's FFT at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from cufft_harness.probes.measure import compared
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import rfft_by_definition, stft_by_definition, white_noise, window_of
from cufft_harness.probes.shapes import ALL_SHAPES
from cufft_harness.probes.transforms import LENGTHS
from numpy.typing import ArrayLike, NDArray

DOUBLE_TOLERANCE = 1e-11
"""Sums of float64 by the definition, thousands of terms long, agree with NumPy's FFT to 1e-13 of the largest value."""


class WrongNumbers(Exception):
    """The computation ran and its result is not what it should be."""


def check(name: str, measured: torch.Tensor | ArrayLike, expected: ArrayLike, tolerance: float) -> float:
    """The relative error.

    Raises:
        WrongNumbers: it is beyond the tolerance.
    """
    error = relative_error(measured, expected)
    if not error <= tolerance:
        raise WrongNumbers(f"{name}: relative error {error:.1e}, tolerated {tolerance:.0e}")
    return error


def judge(device: str) -> Outcome:
    """Whether the reference of the probes, the transform by its definition, is what NumPy computes here."""

    def cases() -> Iterator[tuple[str, Any, torch.Tensor]]:
        for n in LENGTHS:
            x = white_noise(3, n)
            yield f"rfft of {n}", lambda x=x: rfft_by_definition(x), torch.from_numpy(np.fft.rfft(x.numpy()))
        for shape in ALL_SHAPES:
            x, window = white_noise(1, shape.sample_rate // 2), window_of(shape, torch.float64).numpy()
            expected = stft(x.numpy(), shape.n_fft, shape.hop_length, shape.win_length, window)
            yield shape.name, lambda x=x, shape=shape: stft_by_definition(x, shape), torch.from_numpy(expected)

    return compared(cases(), DOUBLE_TOLERANCE)


def stft(
    signal: ArrayLike,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: ArrayLike | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
) -> NDArray[np.complex128]:
    """The one-sided STFT of a real signal, shape (batch, time), as `torch.stft` defines it: (batch, bins, frames)."""
    hop_length = hop_length or n_fft // 4
    win_length = win_length or n_fft
    shape = np.ones(win_length) if window is None else np.asarray(window, dtype=np.float64)
    left = (n_fft - win_length) // 2
    shape = np.pad(shape, (left, n_fft - win_length - left))
    signal = np.asarray(signal, dtype=np.float64)
    if center:
        padding: Any = {"mode": pad_mode}
        signal = np.pad(signal, [(0, 0), (n_fft // 2, n_fft // 2)], **padding)
    frames = np.lib.stride_tricks.sliding_window_view(signal, n_fft, axis=-1)[:, ::hop_length]
    spectrum: NDArray[np.complex128] = np.fft.rfft(frames * shape, axis=-1).swapaxes(-1, -2)
    return spectrum


def relative_error(measured: torch.Tensor | ArrayLike, reference: ArrayLike) -> float:
    """The largest deviation divided by the reference's largest magnitude; infinite where a number is not finite."""
    found = measured.detach().cpu().numpy() if isinstance(measured, torch.Tensor) else np.asarray(measured)
    reference = np.asarray(reference)
    if found.shape != reference.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - reference).max() / max(np.abs(reference).max(), 1e-300))


@contextmanager
def numpy_stft() -> Iterator[None]:
    """Make every `torch.stft` of this process the one above, so that a model can be run without PyTorch's FFT."""

    def replacement(
        input: torch.Tensor,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: torch.Tensor | None = None,
        center: bool = True,
        pad_mode: str = "reflect",
        normalized: bool = False,
        onesided: bool | None = None,
        return_complex: bool | None = None,
        **_: Any,
    ) -> torch.Tensor:
        if normalized or onesided is False or not return_complex:
            raise NotImplementedError("the reference knows the one-sided, complex, unnormalized STFT only")
        signal = input.detach().cpu().numpy()
        flat = signal.reshape(-1, signal.shape[-1])
        shape = None if window is None else window.detach().cpu().numpy()
        result = stft(flat, n_fft, hop_length, win_length, shape, center, pad_mode)
        whole = torch.from_numpy(result.reshape(signal.shape[:-1] + result.shape[-2:]))
        return whole.to(input.device, torch.complex64 if input.dtype == torch.float32 else torch.complex128)

    original = torch.stft
    torch.stft = replacement  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.stft = original
