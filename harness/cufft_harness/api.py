"""What programs may call that no part does alone: text to causes, and shapes to a place where their FFTs work."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from cufft_harness.probes.shapes import XTTS_SHAPES, StftShape
from cufft_harness.tiers import Placement, Tier

if TYPE_CHECKING:
    from cufft_harness.diagnosis.rules import Finding


def diagnose(text: str) -> tuple[Finding, ...]:
    """Name the likeliest causes of a cuFFT failure from a log or a report.

    Args:
        text: all there is: traceback, versions, what was observed. Nothing in it is executed.

    Returns:
        The causes, best first; never empty: where nothing is known, the one with the id ``undetermined`` is first.
    """
    from cufft_harness.diagnosis.from_text import read_log
    from cufft_harness.diagnosis.log_input import read
    from cufft_harness.diagnosis.rules import rank

    return rank(read_log(read(io.BytesIO(text.encode(errors="replace")))))


def pick_device(shapes: Sequence[StftShape] = XTTS_SHAPES, device: str = "cuda") -> Placement:
    """Find the best place where STFTs of these shapes are right: the GPU, the GPU without cuFFT, or the CPU.

    Each shape is computed twice and compared with its definition in float64, in a child process with a time limit: a
    hang or a crash of cuFFT is a result, and this process gets no CUDA context.

    Args:
        shapes: the STFTs that the program will make; by default those of XTTS.
        device: the GPU that is wanted, such as "cuda" or "cuda:1".

    Returns:
        The device to use and its tier; with `Tier.BYPASS`, open `bypass(placement.device)` around the work.
    """
    from cufft_harness.doctor.examination import why_no_gpu
    from cufft_harness.driver import probe_driver, read_system
    from cufft_harness.probes.outcome import Verdict
    from cufft_harness.probes.registry import PROBES
    from cufft_harness.probes.runner import run_probes
    from cufft_harness.processes import python_module

    tiers = {"stft": Tier.NATIVE, "bypass": Tier.BYPASS}
    if not device.startswith("cpu") and not why_no_gpu(read_system(), probe_driver()):
        child = python_module("cufft_harness.probes.for_shapes", json.dumps([asdict(shape) for shape in shapes]))
        outcomes = run_probes([probe for probe in PROBES if probe.name in tiers], device, command=child).outcomes
        for name, tier in tiers.items():
            if outcomes[name].verdict is Verdict.PASS:
                return Placement(tier, device)
    return Placement(Tier.CPU, "cpu")
