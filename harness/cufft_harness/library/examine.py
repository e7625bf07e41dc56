"""Run the transforms with one copy of libcufft, in children that can be ended."""

from __future__ import annotations

import math

from cufft_harness import processes
from cufft_harness.library.copies import Copy
from cufft_harness.library.transforms import TRANSFORMS
from cufft_harness.probes.registry import Probe, Role
from cufft_harness.probes.runner import OnOutcome, Results, run_probes

PROBES = (
    Probe("library_memory", "device memory (no FFT)", Role.CONTROL, needs_gpu=True, quick=True),
    *(Probe(one.name, one.title, needs_gpu=True, quick=one.kind == "r2c") for one in TRANSFORMS),
)
"""The experiments with a bare libcufft: what they mean is said in the terms of PyTorch's."""


def examine(
    copy: Copy,
    *,
    quick: bool = False,
    no_gpu: str = "",
    ordinal: int = 0,
    total_s: float = math.inf,
    on_outcome: OnOutcome = lambda probe, outcome: None,
) -> Results:
    """Plan and execute the usual sizes with a copy, each twice, and check the numbers.

    Args:
        copy: the libcufft to load.
        quick: only float32 signals.
        no_gpu: why there is no usable GPU; nothing is executed then, and the copy only says its version.
        ordinal: the driver's number of the GPU.
        total_s: time limit for all of it.
        on_outcome: called with each outcome as soon as it is known.
    """
    command = processes.python_module("cufft_harness.library.child", str(copy.path))
    probes = [probe for probe in PROBES if probe.quick or not quick]
    return run_probes(
        probes, str(ordinal), no_gpu=no_gpu, on_outcome=on_outcome, total_s=total_s, grace_s=0.5, command=command
    )
