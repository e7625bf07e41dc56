"""What the numbers should be: NumPy's FFT in float64, on the CPU, without PyTorch's FFT at all."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import torch

# float32 FFTs of these lengths agree with float64 to about 1e-7 of the largest value; float64 ones to 1e-16.
TOLERANCE = {torch.float32: 1e-5, torch.complex64: 1e-5, torch.float64: 1e-12, torch.complex128: 1e-12}


def stft(signal, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect"):
    """The one-sided STFT of a real signal, shape (batch, time), as `torch.stft` defines it: (batch, bins, frames)."""
    hop_length = hop_length or n_fft // 4
    win_length = win_length or n_fft
    shape = np.ones(win_length) if window is None else np.asarray(window, dtype=np.float64)
    left = (n_fft - win_length) // 2
    shape = np.pad(shape, (left, n_fft - win_length - left))
    signal = np.asarray(signal, dtype=np.float64)
    if center:
        signal = np.pad(signal, [(0, 0), (n_fft // 2, n_fft // 2)], mode=pad_mode)
    frames = np.lib.stride_tricks.sliding_window_view(signal, n_fft, axis=-1)[:, ::hop_length]
    return np.fft.rfft(frames * shape, axis=-1).swapaxes(-1, -2)


def relative_error(measured, reference):
    """The largest deviation divided by the reference's largest magnitude; infinite where a number is not finite."""
    measured = measured.detach().cpu().numpy() if isinstance(measured, torch.Tensor) else np.asarray(measured)
    reference = np.asarray(reference)
    if measured.shape != reference.shape or not np.isfinite(measured).all():
        return float("inf")
    return float(np.abs(measured - reference).max() / max(np.abs(reference).max(), 1e-300))


@contextmanager
def numpy_stft():
    """Make every `torch.stft` of this process the one above, so that a model can be run without PyTorch's FFT."""

    def replacement(
        input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect",
        normalized=False, onesided=None, return_complex=None, **_
    ):  # fmt: skip
        if normalized or onesided is False or not return_complex:
            raise NotImplementedError("the reference knows the one-sided, complex, unnormalized STFT only")
        signal = input.detach().cpu().numpy()
        flat = signal.reshape(-1, signal.shape[-1])
        shape = None if window is None else window.detach().cpu().numpy()
        result = stft(flat, n_fft, hop_length, win_length, shape, center, pad_mode)
        result = torch.from_numpy(result.reshape(signal.shape[:-1] + result.shape[-2:]))
        return result.to(input.device, torch.complex64 if input.dtype == torch.float32 else torch.complex128)

    original = torch.stft
    torch.stft = replacement
    try:
        yield
    finally:
        torch.stft = original
