"""What is tried: faults of the driver, shapes of the transform, compute capabilities, ways to try again."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class DriverFault:
    """A way in which the driver misbehaves.

    Attributes:
        knobs: settings of the simulated driver; see src/driver.h.
        meaning: one line for the report.
    """

    name: str
    meaning: str
    knobs: dict[str, str]


@dataclass(frozen=True)
class Shape:
    """A transform as PyTorch would ask for it: rank 1, dense, `batch` transforms of `length` points."""

    name: str
    kind: str
    length: int
    batch: int


@dataclass(frozen=True)
class Experiment:
    """One process: a fault, a shape, a device and, if the first try fails, how it is tried once more."""

    fault: str
    shape: str
    capability: int = 86
    retry: str = ""

    @property
    def name(self) -> str:
        """How tables and expectations call it: ``jit_missing/r2c 512/sm_86``."""
        return "/".join(filter(None, [self.fault, self.shape, f"sm_{self.capability}", self.retry]))

    def as_dict(self) -> dict[str, object]:
        """The fields, for JSON."""
        return asdict(self)


# CUresult numbers: 2 out of memory, 218 invalid PTX, 221 JIT compiler not found, 222 unsupported PTX version,
# 223 JIT compilation disabled, 700 illegal address, 719 launch failure (NVIDIA's CUDA driver API reference, CUresult).
FAULTS = {
    fault.name: fault
    for fault in [
        DriverFault("healthy", "a driver that works", {}),
        DriverFault(
            "jit_missing", "no PTX compiler: libnvidia-ptxjitcompiler.so.1 is absent (221)", {"JIT_ERROR": "221"}
        ),
        DriverFault(
            "jit_disabled", "PTX compilation switched off, as by CUDA_DISABLE_PTX_JIT=1 (223)", {"JIT_ERROR": "223"}
        ),
        DriverFault("jit_failing", "the PTX compiler rejects the kernels (218)", {"JIT_ERROR": "218"}),
        DriverFault("jit_version", "the PTX is newer than the driver's compiler (222)", {"JIT_ERROR": "222"}),
        DriverFault("module_oom", "no memory left to load any kernel (2)", {"MODULE_ERROR": "2"}),
        DriverFault("alloc_failed", "no device memory left at all: every cuMemAlloc fails (2)", {"FREE_MB": "0"}),
        DriverFault("launch_failed", "kernels load, launching one fails (719)", {"LAUNCH_ERROR": "719"}),
        DriverFault(
            "launch_illegal",
            "an earlier kernel broke the context: launches give illegal address (700)",
            {"LAUNCH_ERROR": "700"},
        ),
        DriverFault(
            "driver_minor_older",
            "a driver of the same CUDA major, oldest minor (12.0 or 13.0)",
            {"DRIVER_VERSION": "same major"},
        ),
        DriverFault(
            "driver_too_old",
            "a driver of the CUDA major before the library's (11.8 or 12.9)",
            {"DRIVER_VERSION": "major before"},
        ),
    ]
}

SHAPES = {
    shape.name: shape
    for shape in [
        Shape("r2c 512", "r2c", 512, 201),  # XTTS's speaker encoder: two seconds at hop 160
        Shape("r2c 400", "r2c", 400, 998),  # Whisper: ten seconds at hop 160
        Shape("r2c 1024", "r2c", 1024, 87),  # XTTS's DVAE mel: one second at hop 256
        Shape("r2c 2048", "r2c", 2048, 87),  # XTTS's style mel
        Shape("r2c 4096", "r2c", 4096, 87),
        Shape("r2c 512 batch 1", "r2c", 512, 1),
        Shape("r2c 512 batch 65536", "r2c", 512, 65536),
        Shape("c2r 512", "c2r", 512, 201),
        Shape("c2c 512", "c2c", 512, 201),
        Shape("d2z 512", "d2z", 512, 201),
        Shape("half 512", "half", 512, 201),
        Shape("half 1000", "half", 1000, 201),
        Shape("half 401", "half", 401, 201),
        Shape("r2c prime 100000007", "r2c", 100_000_007, 1),
        Shape("r2c empty batch", "r2c", 512, 0),
        Shape("r2c length 0", "r2c", 0, 201),
    ]
}

CAPABILITIES = [70, 75, 80, 86, 89, 90, 100, 120]

RETRIES = {
    "same handle": "tried again on the same handle, the fault still there",
    "fresh handle": "tried again on a fresh handle, the fault still there",
    "same handle, fault gone": "tried again on the same handle after the fault went away",
    "fresh handle, fault gone": "tried again on a fresh handle after the fault went away",
}
RETRIED_FAULTS = ["jit_missing", "module_oom", "alloc_failed", "launch_failed"]


def all_experiments() -> list[Experiment]:
    """Every fault with every shape, every capability healthy and without a compiler, and the retries."""
    crossed = [Experiment(fault, shape) for fault in FAULTS for shape in SHAPES]
    devices = [
        Experiment(fault, "r2c 512", capability)
        for fault in ("healthy", "jit_missing")
        for capability in CAPABILITIES
        if capability != Experiment.capability
    ]
    retried = [Experiment(fault, "r2c 512", retry=retry) for fault in RETRIED_FAULTS for retry in RETRIES]
    return crossed + devices + retried


def knobs(fault: DriverFault, cuda_major: int) -> dict[str, str]:
    """The environment of one experiment; the driver's version depends on the CUDA major the library was made for."""
    versions = {
        "same major": cuda_major * 1000,
        "major before": {12: 11080, 13: 12090}.get(cuda_major, cuda_major * 1000 - 1000),
    }
    settings = {"DRIVER_VERSION": str(cuda_major * 1000 + 90), **fault.knobs}
    if settings["DRIVER_VERSION"] in versions:
        settings["DRIVER_VERSION"] = str(versions[settings["DRIVER_VERSION"]])
    return {f"SIMCUDA_{name}": value for name, value in settings.items()}
