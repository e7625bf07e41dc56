"""One scenario in this process: ``python -m repro.matrix.child ENTRY DEVICE TIER`` prints ``RESULT {json}``.

An entry is a module and a function in it that takes the device and gives an `Outcome`; those of the package's own
probes are the experiments that `cufft-harness doctor` runs. With the tier "bypass" the FFTs of the device are matrix
products; with "native" they are the device's own.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import replace
from typing import Any

from cufft_harness.probes.outcome import Outcome, Verdict, as_dict
from cufft_harness.probes.record import attempt
from cufft_harness.tiers import Tier


def environment() -> dict[str, Any]:
    """What this process runs on: versions, and the CUDA libraries it has really loaded, by file name."""
    import torch

    with open("/proc/self/maps") as maps:
        loaded = {
            line.split()[-1] for line in maps if any(part in line for part in ("libcufft.", "libcuda.so", "ptxjit"))
        }
    facts: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        # below site-packages or by name alone: where an environment lies is nobody's business
        "loaded": sorted(path.partition("site-packages/")[2] or os.path.basename(path) for path in loaded),
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts["gpu"] = properties.name
        facts["capability"] = f"{properties.major}.{properties.minor}"
        facts["memory_mb"] = properties.total_memory >> 20
    return facts


def perform(entry: str, device: str, tier: str) -> dict[str, Any]:
    """Run the scenario; whatever happens to it becomes an outcome, not a traceback. The environment comes with it."""
    began = time.monotonic()
    outcome = attempt(lambda: _run(entry, device, Tier(tier)))
    seconds = time.monotonic() - began
    return {"outcome": as_dict(replace(outcome, seconds=seconds)), "environment": environment()}


def _run(entry: str, device: str, tier: Tier) -> Outcome:
    import torch

    torch.set_num_threads(1)  # the models are tiny: more threads only wait for each other
    if device == "cuda" and not torch.cuda.is_available():
        return Outcome(Verdict.NOT_TESTED, None, "no CUDA device")
    from cufft_harness.fft.context import fft_context

    module, _, function = entry.partition(":")
    run = getattr(importlib.import_module(module), function)
    with fft_context(tier, device):
        outcome: Outcome = run(device)
    return outcome


if __name__ == "__main__":
    print("RESULT " + json.dumps(perform(*sys.argv[1:4])), flush=True)
