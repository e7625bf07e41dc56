"""How a child runs experiments and writes down what they come to.

One JSON line before and one after each experiment, so that whatever ends the process, the finished ones survive and the
running one is known. No torch here: a child may do without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cufft_harness.probes.outcome import Outcome, Verdict, as_dict, error_code, one_line


def record(
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
