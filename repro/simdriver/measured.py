"""From what the simulated driver's experiments gave to the table that `diagnose` holds codes against.

`python -m repro.simdriver.measured` writes it into the package, from expected.json.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

EXPECTED = Path(__file__).parent / "expected.json"
TABLE = Path(__file__).parents[2] / "harness" / "cufft_harness" / "diagnosis" / "measured.toml"

# What `diagnose` calls a fault, and the experiments that act it out: faults of the simulated driver, and shapes that
# are wrong by themselves under a driver that works.
_FAULTS = {
    "ptx": ("jit_missing", "jit_disabled", "jit_failing", "jit_version"),
    "memory": ("module_oom", "alloc_failed"),
    "dead-context": ("launch_failed", "launch_illegal"),
    "driver": ("driver_too_old",),
}
_SHAPES = {
    "empty": ("r2c empty batch", "r2c length 0"),
    "odd-half": ("half 401",),
    "half-length": ("half 1000",),
}
_SPECIAL = frozenset(shape for shapes in _SHAPES.values() for shape in shapes)
_CODE_OF_OLD_GPU = "r2c 512/sm_70"


def table() -> dict[str, dict[str, list[str]]]:
    """Fault, cuFFT as "major.minor", and the answers: stage and code, commonest first."""
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for version, faults in json.loads(EXPECTED.read_text(encoding="utf-8")).items():
        minor = ".".join(version.split(".")[:2])
        if len(faults) < 2:
            continue  # cuFFT 10.9 and 11.0 do not get as far as a plan under the simulated driver
        for name, members in _FAULTS.items():
            for member in members:
                for experiment, answer in faults[member].items():
                    shape, _, retry = experiment.partition("/")
                    if answer != "ok" and shape not in _SPECIAL and "gone" not in retry and "sm_70" not in retry:
                        found[name][minor][answer] += 1
        for name, shapes in _SHAPES.items():
            for shape in shapes:
                found[name][minor][faults["healthy"][f"{shape}/sm_86"]] += 1
        old = faults["healthy"][_CODE_OF_OLD_GPU]
        if old != "ok":
            found["old-gpu"][minor][old] += 1
    return {
        fault: {minor: sorted(answers, key=lambda answer: -answers[answer]) for minor, answers in versions.items()}
        for fault, versions in found.items()
    }


def as_toml() -> str:
    """The table as a file."""
    lines = [
        "# What each cuFFT answered to each fault under the simulated driver: stage and result code, commonest first.",
        "# Written by `python -m repro.simdriver.measured` from repro/simdriver/expected.json; not to be edited.",
    ]
    for fault, versions in table().items():
        lines += ["", f"[{fault}]"]
        lines += [f'"{minor}" = {json.dumps(answers)}' for minor, answers in versions.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(as_toml(), encoding="utf-8")
