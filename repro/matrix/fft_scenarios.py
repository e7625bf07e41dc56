"""Scenarios that need torch and NumPy alone. Each takes the device and returns the largest relative error it saw."""

from __future__ import annotations

import numpy as np
import torch

from repro.matrix import reference, situations

# (n_fft, hop_length, win_length, sample rate): XTTS's speaker encoder, style mel, DVAE mel and style mel without
# perceiver (coqui-tts 0.28), Whisper's log-mel, RVC 40k's mel.
STFT_SHAPES = [
    (512, 160, 400, 16_000),
    (2048, 256, 1024, 22_050),
    (1024, 256, 1024, 22_050),
    (4096, 1024, 4096, 22_050),
    (400, 160, 400, 16_000),
    (2048, 400, 2048, 40_000),
]
LENGTHS = [1, 2, 3, 400, 401, 512, 1000, 1009, 1024, 4096]  # powers of two, smooth, odd, prime


class WrongNumbers(Exception):
    """The transform ran and its result is not the transform's."""


def check(name, measured, expected, tolerance):
    """The relative error, or `WrongNumbers` beyond the tolerance."""
    error = reference.relative_error(measured, expected)
    if not error <= tolerance:
        raise WrongNumbers(f"{name}: relative error {error:.1e}, tolerated {tolerance:.0e}")
    return error


def noise(*shape, seed=0):
    """Reproducible normal noise, float64."""
    return np.random.default_rng(seed).standard_normal(shape)


def stft_once(device, shape, seconds=2):
    """One STFT on `device` against the reference."""
    n_fft, hop_length, win_length, rate = shape
    signal, window = noise(2, seconds * rate).astype(np.float32), np.hanning(win_length + 1)[:-1].astype(np.float32)
    arguments = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length}
    measured = torch.stft(
        torch.from_numpy(signal).to(device),
        window=torch.from_numpy(window).to(device),
        return_complex=True,
        **arguments,
    )
    expected = reference.stft(signal, window=window, **arguments)
    return check(f"stft {n_fft}/{hop_length}/{win_length}", measured, expected, reference.TOLERANCE[torch.float32])


def stft(device):
    """`torch.stft` at the shapes of well-known audio models, each twice: some failures come with the second call."""
    return max(stft_once(device, shape) for shape in STFT_SHAPES for _ in range(2))


def fft_functions(device):
    """`torch.fft` at powers of two, smooth, odd and prime lengths, real and complex, float32 and float64."""
    worst = 0.0
    for length in LENGTHS:
        real, imaginary = noise(3, length), noise(3, length, seed=1)
        for dtype in (torch.float32, torch.float64):
            x = torch.from_numpy(real).to(device, dtype)
            z = torch.complex(x, torch.from_numpy(imaginary).to(device, dtype))
            pairs = [
                ("rfft", torch.fft.rfft(x), np.fft.rfft(real)),
                ("fft", torch.fft.fft(z), np.fft.fft(real + 1j * imaginary)),
                ("ifft", torch.fft.ifft(z), np.fft.ifft(real + 1j * imaginary)),
                ("irfft of rfft", torch.fft.irfft(torch.fft.rfft(x), n=length), real),
            ]
            errors = [check(f"{name} {length} {dtype}", *pair, reference.TOLERANCE[dtype]) for name, *pair in pairs]
            if dtype is torch.float32:
                worst = max(worst, *errors)
    plane = noise(2, 48, 50)
    check("rfft2", torch.fft.rfft2(torch.from_numpy(plane).to(device)), np.fft.rfft2(plane), 1e-12)
    return worst


def istft(device):
    """`torch.istft` gives back the signal that `torch.stft` took apart."""
    signal = torch.from_numpy(noise(1, 32_000).astype(np.float32)).to(device)
    window = torch.hann_window(1024, device=device)
    spectrum = torch.stft(signal, 1024, 256, window=window, return_complex=True)
    back = torch.istft(spectrum, 1024, 256, window=window, length=signal.shape[-1])
    return check("istft", back, signal.cpu().numpy(), 1e-5)


def gradient(device):
    """The gradient of an STFT's energy is the windowed frames' inverse transform, overlapped and added."""
    n_fft, hop_length, samples = 512, 160, 8_000
    signal, window = noise(1, samples), np.hanning(n_fft + 1)[:-1]
    measured = torch.from_numpy(signal).to(device, torch.float32).requires_grad_()
    shape = torch.from_numpy(window).to(device, torch.float32)
    spectrum = torch.stft(measured, n_fft, hop_length, window=shape, center=False, return_complex=True)
    spectrum.abs().square().sum().backward()
    # d/dy of the sum of |Y_k|^2 over k = 0 .. n/2 is 2 Re(sum of Y_k exp(2 pi i k n / N))
    half = reference.stft(signal, n_fft, hop_length, window=window, center=False)[0].T
    full = np.zeros((len(half), n_fft), dtype=complex)
    full[:, : n_fft // 2 + 1] = half
    expected = np.zeros((1, samples))
    for number, frame in enumerate(2 * n_fft * np.fft.ifft(full).real * window):
        expected[0, number * hop_length : number * hop_length + n_fft] += frame
    return check("gradient of stft", measured.grad, expected, reference.TOLERANCE[torch.float32])


def threads(device):
    """Four threads make STFTs of different shapes at once, ten times each."""

    def work(number):
        return max(stft_once(device, STFT_SHAPES[number]) for _ in range(10))

    return max(situations.in_threads(work))


def empty_batch(device):
    """An FFT of no signals at all gives no spectra, or says in words of PyTorch why not."""
    result = torch.fft.rfft(torch.zeros(0, 512, device=device))
    if tuple(result.shape) != (0, 257):
        raise WrongNumbers(f"rfft of an empty batch has shape {tuple(result.shape)}")
    return 0.0


def little_memory(device):
    """STFTs with 256 MB of the GPU's memory left."""
    torch.zeros(1, device=device)
    with situations.little_memory(256):
        return max(stft_once(device, shape) for shape in STFT_SHAPES)


def after_out_of_memory(device):
    """STFTs after an out-of-memory error that the program recovered from, with plans made before it and after it."""
    before = stft_once(device, STFT_SHAPES[0])
    situations.out_of_memory()
    return max(before, *(stft_once(device, shape) for shape in STFT_SHAPES))
