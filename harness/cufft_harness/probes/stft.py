"""The STFTs that the models really make, each twice, against a float64 reference.

Twice, because a broken plan can answer the first call well and the second one wrong
(https://github.com/pytorch/pytorch/issues/67140), and because an error at plan time and one at execution time
leave a different plan cache behind.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from cufft_harness.probes.measure import TOLERANCE
from cufft_harness.probes.outcome import Outcome, Verdict, error_code, one_line
from cufft_harness.probes.reference import relative_error, stft_by_definition, white_noise, window_of
from cufft_harness.probes.shapes import ALL_SHAPES, XTTS_SHAPES, StftShape

_SECONDS_OF_SIGNAL = 0.5


def stft(signal: torch.Tensor, shape: StftShape) -> torch.Tensor:
    """`torch.stft` of `signal` (batch, samples), with the shape's window, on the signal's own device and dtype.

    Returns:
        complex tensor (batch, n_fft // 2 + 1, frames).
    """
    return torch.stft(
        signal,
        n_fft=shape.n_fft,
        hop_length=shape.hop_length,
        win_length=shape.win_length,
        window=window_of(shape, signal.dtype, signal.device),
        center=True,
        return_complex=True,
    )


def check_stft(device: str, shapes: Sequence[StftShape] = XTTS_SHAPES) -> Outcome:
    """Run each STFT twice on `device` in this process and compare with the definition in float64.

    Args:
        device: a torch device, such as ``cuda:0`` or ``cpu``.
        shapes: what to run; by default the model's own four.

    Returns:
        `PASS`; `FAILED` with the code of the first error; `WRONG_NUMBERS`; or `NOT_TESTED` where the device itself
        cannot hold a tensor. It never raises for what the device does; a hang or a crash is for the caller to bound.
    """
    began = time.perf_counter()
    worst = 0.0

    def result(verdict: Verdict, detail: str, code: str | None = None, case: str = "", call: int = 0) -> Outcome:
        return Outcome(verdict, code, detail, worst, time.perf_counter() - began, case, call)

    try:
        torch.ones(1, device=device).add_(1).cpu()
    except Exception as error:  # torch raises RuntimeError or AssertionError, depending on what is missing
        return result(Verdict.NOT_TESTED, f"no tensor on {device}: {one_line(error)}", error_code(str(error)))
    for shape in shapes:
        signal = white_noise(1, int(shape.sample_rate * _SECONDS_OF_SIGNAL))
        reference = stft_by_definition(signal, shape)
        for call in (1, 2):
            where = f"{shape.name} (n_fft {shape.n_fft}), call {call}"
            try:
                answer = stft(signal.to(device, torch.float32), shape).cpu()
            except RuntimeError as error:
                detail, code = f"{where}: {one_line(error)}", error_code(str(error))
                return result(Verdict.FAILED, detail, code, shape.name, call)
            worst = max(worst, relative_error(answer, reference))
            if worst > TOLERANCE:
                detail = f"{where}: relative error {worst:.1e}"
                return result(Verdict.WRONG_NUMBERS, detail, None, shape.name, call)
    return result(Verdict.PASS, f"{len(shapes)} shapes twice, relative error at most {worst:.1e}")


def run(device: str) -> Outcome:
    """The experiment of the registry: every shape of every model."""
    return check_stft(device, ALL_SHAPES)
