"""The child that runs experiments: ``python -m cufft_harness.probes.child RESULT DEVICE NAME...``.

One JSON line before and one after each experiment, so that whatever ends this process, the finished ones survive and
the running one is known.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cufft_harness.probes.outcome import Outcome, Verdict, as_dict, error_code, one_line


def main(result: str, device: str, names: list[str]) -> None:
    """Run the experiments `names` on `device`, in order, writing to the file `result`."""
    report(Path(result), lambda: _environment(device), {name: partial(_run, name, device) for name in names})


def report(
    result: Path, environment: Callable[[], dict[str, Any]], experiments: Mapping[str, Callable[[], Outcome]]
) -> None:
    """Write what `environment` says and how each experiment ends, in order, to the file `result`."""
    with result.open("a", encoding="utf-8", buffering=1) as stream:

        def write(**entry: Any) -> None:
            stream.write(json.dumps(entry) + "\n")

        write(begin="environment")
        write(end="environment", **environment())
        for name, experiment in experiments.items():
            write(begin=name)
            write(end=name, **as_dict(attempt(experiment)))
        write(end="all")


def attempt(experiment: Callable[[], Outcome]) -> Outcome:
    """An experiment; what it does not catch itself is a failure, except that there is nothing to run it with."""
    try:
        return experiment()
    except ModuleNotFoundError as error:
        return Outcome(Verdict.NOT_TESTED, None, f"{error.name} is not installed")
    except MemoryError:
        return Outcome(Verdict.FAILED, "MemoryError", "out of host memory")
    except Exception as error:
        return Outcome(Verdict.FAILED, error_code(str(error)) or type(error).__name__, one_line(error))


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
