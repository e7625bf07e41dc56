"""Benchmarks of the transforms: `pytest repro/benchmarks --benchmark-enable --benchmark-group-by=param:n_fft`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cufft_harness.fft import bypass, guard

from repro.benchmarks.fft_table import SECONDS_OF_SPEECH, SPEECH

Benchmark = Callable[..., Any]
Layer = Callable[[str], Any] | None
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def wait() -> None:
    """Let the device finish."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("layer", [None, guard, bypass], ids=["library", "guard", "bypass"])
@pytest.mark.parametrize(("n_fft", "hop_length", "rate"), SPEECH)
def test_stft_of_speech(benchmark: Benchmark, n_fft: int, hop_length: int, rate: int, layer: Layer) -> None:
    """The goals: bypass within 4 times of MKL on the CPU, within 1.5 times of cuFFT on a GPU."""
    torch.set_num_threads(1)
    x = torch.randn(1, SECONDS_OF_SPEECH * rate, device=DEVICE)
    window = torch.hann_window(n_fft, device=DEVICE)

    def stft() -> None:
        torch.stft(x, n_fft, hop_length, window=window, return_complex=True)
        wait()

    handle = layer(DEVICE) if layer is not None else None
    try:
        benchmark(stft)
    finally:
        if handle is not None:
            handle.close()


@pytest.mark.parametrize("layer", [None, guard], ids=["library", "guard"])
def test_one_small_call(benchmark: Benchmark, layer: Layer) -> None:
    """The goal: guard costs at most 30 microseconds a call."""
    x = torch.randn(4, 16, device=DEVICE)
    handle = layer(DEVICE) if layer is not None else None
    try:
        benchmark(torch.fft.rfft, x)
    finally:
        if handle is not None:
            handle.close()
