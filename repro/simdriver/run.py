"""Run experiments with one libcufft, each in a process of its own, two at a time."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cufft_harness import processes
from cufft_harness.cufft import CufftResult

from repro.simdriver.experiments import FAULTS, SHAPES, Experiment, knobs

CHILD = Path(__file__).with_name("child.py")
LIMIT_S = 60
# libcufft's soname counts its own major, which is not CUDA's: .10 came with CUDA 11, .11 with 12, .12 with 13.
CUDA_MAJOR_OF_SONAME = {"10": 11, "11": 12, "12": 13}


@dataclass(frozen=True)
class Answer:
    """What the library answered.

    Attributes:
        stage: the call that failed: "create", "plan", "exec"; "" if none did; "process" if the process died or hung.
        code: its cufftResult by name; "ok"; or how the process ended.
        first: the same for the first try, where the experiment tried twice.
    """

    experiment: Experiment
    stage: str
    code: str
    first: str = ""

    @property
    def text(self) -> str:
        """``plan CUFFT_INVALID_SIZE`` or ``ok``: what the table of expectations holds."""
        return f"{self.stage} {self.code}".strip()


def cuda_major(library: Path) -> int:
    """The CUDA major a libcufft was made for, from its soname.

    Raises:
        ValueError: the file is no libcufft.so.10, .11 or .12.
    """
    try:
        return CUDA_MAJOR_OF_SONAME[library.name.removeprefix("libcufft.so.")]
    except KeyError:
        known = ", ".join("libcufft.so." + number for number in CUDA_MAJOR_OF_SONAME)
        raise ValueError(f"{library.name} is none of {known}") from None


def get_version(library: Path) -> int:
    """`cufftGetVersion` of the file; needs no driver. 11303 is 11.3.3."""
    version = ctypes.c_int(-1)
    code = ctypes.CDLL(str(library)).cufftGetVersion(ctypes.byref(version))
    if code:
        raise RuntimeError(f"cufftGetVersion of {library.name} gave {code}")
    return version.value


def run_one(library: Path, driver: Path, experiment: Experiment) -> Answer:
    """Run one experiment in a child process."""
    shape = SHAPES[experiment.shape]
    task = {"kind": shape.kind, "length": shape.length, "batch": shape.batch, "retry": experiment.retry}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SIMCUDA_", "LD_", "CUDA_"))}
    environment = {
        **inherited,
        **knobs(FAULTS[experiment.fault], cuda_major(library)),
        "SIMCUDA_COMPUTE_CAPABILITY": str(experiment.capability),
        "LD_LIBRARY_PATH": str(driver.parent),
    }
    command = [sys.executable, "-S", str(CHILD), str(library), json.dumps(task)]
    child = processes.run(command, timeout_s=LIMIT_S, env=environment)
    if child.timed_out:
        return Answer(experiment, "process", f"hung for {LIMIT_S} s")
    if child.returncode and child.returncode < 0:
        return Answer(experiment, "process", f"killed by {signal.Signals(-child.returncode).name}")
    if child.returncode:
        lines = child.stderr.strip().splitlines() or ["no message"]
        return Answer(experiment, "process", f"failed: {lines[-1]}")
    result = json.loads(child.stdout)
    if set(result["drivers"]) - {str(driver)}:  # none at all: the library closed a driver it would not have
        return Answer(experiment, "process", "failed: another libcuda than the simulated one was loaded")
    first = describe(*result["first"]) if experiment.retry else ""
    return Answer(experiment, result["stage"], name_of(result["code"]), first)


def run(library: Path, driver: Path, experiments: Sequence[Experiment]) -> Iterator[Answer]:
    """Run all, two processes at a time, in the order given."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from pool.map(lambda experiment: run_one(library, driver, experiment), experiments)


def name_of(code: int) -> str:
    """The name of a cufftResult; "ok" for success."""
    if code == CufftResult.CUFFT_SUCCESS:
        return "ok"
    return CufftResult(code).name if code in list(CufftResult) else f"unknown error {code}"


def describe(stage: str, code: int) -> str:
    """``plan CUFFT_INVALID_SIZE`` or ``ok``."""
    return f"{stage} {name_of(code)}".strip()
