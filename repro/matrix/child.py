"""One scenario in this process: ``python -m repro.matrix.child SCENARIO DEVICE TIER`` prints ``RESULT {json}``.

A scenario's name is its module and function: ``fft.stft``, ``xtts.after_training``. With the tier "bypass" the FFTs of
the device are matrix products of `cufft_harness.fft`; with "native" they are the device's own.
"""

import contextlib
import importlib
import json
import os
import sys
import time

MODULES = {"fft": "repro.matrix.fft_scenarios", "xtts": "repro.matrix.xtts_scenarios"}


def environment():
    """What this process runs on: versions, and the CUDA libraries it has really loaded, by file name."""
    import torch

    with open("/proc/self/maps") as maps:
        loaded = {
            line.split()[-1] for line in maps if any(part in line for part in ("libcufft.", "libcuda.so", "ptxjit"))
        }
    facts = {
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


def tier_of(tier, device):
    """The context in which the scenario runs."""
    if tier == "native":
        return contextlib.nullcontext()
    from cufft_harness.fft import bypass

    return bypass(device)


def perform(scenario, device, tier):
    """Run the scenario; whatever happens to it becomes a result, not a traceback."""
    began = time.monotonic()
    result = {}
    try:
        import torch

        torch.set_num_threads(1)  # the models are tiny: more threads only wait for each other
        if device == "cuda" and not torch.cuda.is_available():
            raise ImportError("no CUDA device")
        module, _, function = scenario.partition(".")
        run = getattr(importlib.import_module(MODULES[module]), function)
        with tier_of(tier, device):
            began = time.monotonic()
            result = {"verdict": "pass", "relative_error": float(f"{run(device):.2g}")}
    except ImportError as error:
        result = {"verdict": "could not be tested", "detail": str(error)}
    except Exception as error:
        wrong = type(error).__name__ == "WrongNumbers"
        result = {"verdict": "wrong numbers" if wrong else "failed", "detail": f"{type(error).__name__}: {error}"}
    result["seconds"] = round(time.monotonic() - began, 2)
    result["environment"] = environment()
    return result


if __name__ == "__main__":
    print("RESULT " + json.dumps(perform(*sys.argv[1:4])), flush=True)
