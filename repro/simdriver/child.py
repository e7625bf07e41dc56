"""One experiment, in this process: plan and execute one transform with libcufft by ctypes, as PyTorch does.

``python -S child.py LIBRARY JSON`` prints one JSON line. It is started by `run` with the simulated driver first on
LD_LIBRARY_PATH and its knobs in the environment, and imports nothing but the standard library.
"""

import ctypes
import json
import os
import sys

# cudaDataType of (input, output, execution): 0 real float, 4 complex float, 1/5 double, 2/6 half.
TYPES = {"r2c": (0, 4, 4), "c2r": (4, 0, 4), "c2c": (4, 4, 4), "d2z": (1, 5, 5), "half": (2, 6, 6)}
FORWARD, INVERSE = -1, 1
# Addresses nothing lies at: the simulated driver never follows them.
INPUT, OUTPUT, WORKSPACE = 0x710000000000, 0x718000000000, 0x720000000000


class Handle:
    """A cuFFT plan handle and the stage it has come to; `attempt` goes on from there."""

    def __init__(self, cufft: ctypes.CDLL) -> None:
        self.cufft = cufft
        self.number = ctypes.c_int(-1)
        self.workspace = ctypes.c_size_t(0)
        self.planned = False
        self.created: int = cufft.cufftCreate(ctypes.byref(self.number))

    def attempt(self, kind: str, length: int, batch: int) -> tuple[str, int]:
        """Plan, unless that is done, and execute: (stage that failed, its code), or ("", 0)."""
        if self.created:
            return "create", self.created
        if not self.planned:
            self.cufft.cufftSetAutoAllocation(self.number, 0)  # as PyTorch: the work area comes from its own allocator
            code = self.plan(kind, length, batch)
            if code:
                return "plan", code
            self.planned = True
        self.cufft.cufftSetWorkArea(self.number, ctypes.c_void_p(WORKSPACE))
        direction = INVERSE if kind == "c2r" else FORWARD
        code = self.cufft.cufftXtExec(self.number, ctypes.c_void_p(INPUT), ctypes.c_void_p(OUTPUT), direction)
        return ("exec", code) if code else ("", 0)

    def plan(self, kind: str, length: int, batch: int) -> int:
        """cufftXtMakePlanMany with dense layout, the call PyTorch makes."""
        wide = ctypes.c_longlong
        source, target, execution = TYPES[kind]
        complex_length = length // 2 + 1
        distances = {"c2r": (complex_length, length), "c2c": (length, length)}.get(kind, (length, complex_length))
        code: int = self.cufft.cufftXtMakePlanMany(
            self.number, 1, (wide * 1)(length),
            None, wide(1), wide(distances[0]), source,
            None, wide(1), wide(distances[1]), target,
            wide(batch), ctypes.byref(self.workspace), execution,
        )  # fmt: skip
        return code


def main() -> None:
    """Run the experiment described by the second argument; print what came of it."""
    library, experiment = sys.argv[1], json.loads(sys.argv[2])
    cufft = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    transform = experiment["kind"], experiment["length"], experiment["batch"]
    handle = Handle(cufft)
    stage, code = handle.attempt(*transform)
    first = [stage, code]
    if experiment["retry"]:
        if "fault gone" in experiment["retry"]:
            for knob in ("JIT_ERROR", "MODULE_ERROR", "FREE_MB", "LAUNCH_ERROR"):
                os.environ.pop("SIMCUDA_" + knob, None)
        if "fresh" in experiment["retry"]:
            cufft.cufftDestroy(handle.number)
            handle = Handle(cufft)
        stage, code = handle.attempt(*transform)
    with open("/proc/self/maps") as maps:
        drivers = {line.split()[-1] for line in maps if "/libcuda.so" in line}
    print(
        json.dumps(
            {
                "stage": stage,
                "code": code,
                "first": first,
                "workspace": handle.workspace.value,
                "drivers": sorted(drivers),
            }
        )
    )


if __name__ == "__main__":
    main()
