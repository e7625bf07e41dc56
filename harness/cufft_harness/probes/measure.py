"""Run one computation after the other, twice each, compare with the reference, and say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from cufft_harness.probes.outcome import Outcome, Verdict, error_code, one_line
from cufft_harness.probes.reference import relative_error

# float32 FFTs deviate by about eps * log2(n), that is 1e-6; anything a hundred times that is not rounding.
TOLERANCE = 1e-4

Case = tuple[str, Callable[[], torch.Tensor], torch.Tensor]


def compared(cases: Iterable[Case], tolerance: float = TOLERANCE) -> Outcome:
    """Run each case twice on the device and compare with its reference.

    Args:
        cases: (name, computation on the device, reference in float64 on the CPU). An iterable is consumed one by one.
        tolerance: largest accepted deviation, relative to the reference's largest magnitude.

    Returns:
        `PASS`, `FAILED` with the code of the first RuntimeError, or `WRONG_NUMBERS`.
    """
    began = time.perf_counter()
    worst, count = 0.0, 0
    for name, compute, reference in cases:
        count += 1
        for call in (1, 2):
            try:
                answer = compute().cpu()
            except RuntimeError as error:
                return replace(failed(error, f"{name}, call {call}", began), case=name, call=call)
            worst = max(worst, relative_error(answer, reference))
            if worst > tolerance:
                detail = f"{name}, call {call}: relative error {worst:.1e}"
                return Outcome(Verdict.WRONG_NUMBERS, None, detail, worst, time.perf_counter() - began, name, call)
    detail = f"{count} computations twice, relative error at most {worst:.1e}"
    return Outcome(Verdict.PASS, None, detail, worst, time.perf_counter() - began)


def failed(error: BaseException, where: str, began: float) -> Outcome:
    """The outcome for an error that the device raised."""
    code = error_code(str(error)) or type(error).__name__
    return Outcome(Verdict.FAILED, code, f"{where}: {one_line(error)}", None, time.perf_counter() - began)


def not_tested(why: str) -> Outcome:
    """The outcome for an experiment that this machine cannot do."""
    return Outcome(Verdict.NOT_TESTED, None, why)
