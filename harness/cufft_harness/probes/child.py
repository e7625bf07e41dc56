"""The child that runs experiments: ``python -m cufft_harness.probes.child RESULT DEVICE NAME...``."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

from cufft_harness.probes.outcome import Outcome, one_line
from cufft_harness.probes.record import record


def main(result: str, device: str, names: list[str]) -> None:
    """Run the experiments `names` on `device`, in order, writing to the file `result`."""
    record(Path(result), lambda: _environment(device), {name: partial(_run, name, device) for name in names})


def _run(name: str, device: str) -> Outcome:
    outcome: Outcome = importlib.import_module(f"cufft_harness.probes.{name}").run(device)
    return outcome


def _environment(device: str) -> dict[str, Any]:
    """Versions and devices as PyTorch sees them, and the CUDA libraries that importing it mapped."""
    from cufft_harness.driver.system import mapped_libraries
    from cufft_harness.probes.libraries import cufft_version

    try:
        import torch
    except ModuleNotFoundError:
        return {"torch": None}
    except Exception as error:  # a library that cannot be loaded, or lacks a symbol
        return {"torch": None, "import_error": one_line(error)}
    facts: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "arch_list": torch.cuda.get_arch_list() if torch.version.cuda and device != "cpu" else [],
    }
    if device != "cpu":
        try:
            properties = torch.cuda.get_device_properties(device)
            free, total = torch.cuda.mem_get_info(device)
            facts |= {"gpu": properties.name, "capability": [properties.major, properties.minor]}
            facts |= {"free": free, "total": total}
        except Exception as error:  # RuntimeError or AssertionError
            facts["device_error"] = one_line(error)
    libraries = mapped_libraries()
    return {**facts, "libraries": libraries, "cufft": cufft_version(libraries.get("libcufft", []))}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
