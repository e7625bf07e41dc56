"""The child that loads a libcufft: ``… library.child LIBRARY RESULT DEVICE NAME...``, as the child of the probes.

Standard library only. cuFFT's functions and codes: https://docs.nvidia.com/cuda/cufft/.
"""

from __future__ import annotations

import ctypes
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from cufft_harness.cufft import CufftResult
from cufft_harness.driver.system import mapped_libraries
from cufft_harness.library.gpu import Gpu
from cufft_harness.library.transforms import TRANSFORMS, Transform
from cufft_harness.probes.libraries import cufft_version
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.record import record

_TYPES = {"r2c": (0x2A, "cufftExecR2C"), "c2c": (0x29, "cufftExecC2C"), "d2z": (0x6A, "cufftExecD2Z")}
"""cufftType and the function that executes such a plan (cufft.h)."""
_FORWARD = -1


class CufftFailure(RuntimeError):
    """A call of cuFFT failed; the message has the words by which PyTorch reports the same."""

    def __init__(self, call: str, code: int) -> None:
        name = CufftResult(code).name if code in list(CufftResult) else f"unknown error {code}"
        super().__init__(f"{call}: cuFFT error: {name}")


def main(library: str, result: str, ordinal: str, names: list[str]) -> None:
    """Run the experiments `names` with the libcufft at `library`, writing to the file `result`."""
    transforms = {transform.name: transform for transform in TRANSFORMS}
    cufft = ctypes.CDLL(library)
    experiments = {name: partial(_run, cufft, int(ordinal), transforms.get(name)) for name in names}
    record(Path(result), _environment, experiments)


def _environment() -> dict[str, Any]:
    libraries = mapped_libraries()
    return {"libraries": libraries, "cufft": cufft_version(libraries.get("libcufft", []))}


def _run(cufft: ctypes.CDLL, ordinal: int, transform: Transform | None) -> Outcome:
    """One transform twice, or, without one, the control: a context, and memory that keeps what is written to it."""
    began = time.perf_counter()
    try:
        gpu = Gpu(ordinal)
        error = _transform(cufft, gpu, transform) if transform else _memory(gpu)
    except OSError as problem:
        return Outcome(Verdict.NOT_TESTED, None, str(problem))
    seconds = time.perf_counter() - began
    tolerance = transform.tolerance if transform else 0.0
    verdict = Verdict.PASS if error <= tolerance else Verdict.WRONG_NUMBERS
    return Outcome(verdict, None, f"relative error {error:.1e}" if transform else "", error, seconds)


def _memory(gpu: Gpu) -> float:
    written, read = TRANSFORMS[0].signal(), TRANSFORMS[0].signal()
    for place in range(len(read)):
        read[place] = 0.0
    with gpu.holding(written) as address:
        gpu.download(address, read)
    return 0.0 if written == read else float("inf")


def _transform(cufft: ctypes.CDLL, gpu: Gpu, transform: Transform) -> float:
    """The larger relative error of two executions: some releases compute wrong numbers from the second on."""
    signal, worst = transform.signal(), 0.0
    cufft_type, execute = _TYPES[transform.kind]
    plan, workspace = ctypes.c_int(), ctypes.c_size_t()
    _call(cufft, "cufftCreate", ctypes.byref(plan))
    try:
        arguments = (transform.length, cufft_type, transform.batch, ctypes.byref(workspace))
        _call(cufft, "cufftMakePlan1d", plan, *arguments)
        for _ in range(2):
            spectrum = transform.spectrum()
            with gpu.holding(signal) as source, gpu.holding(spectrum) as target:
                _call(cufft, execute, plan, source, target, *([] if transform.real else [_FORWARD]))
                gpu.download(target, spectrum)
            worst = max(worst, transform.relative_error(signal, spectrum))
    finally:
        cufft.cufftDestroy(plan)
    return worst


def _call(cufft: ctypes.CDLL, name: str, *arguments: object) -> None:
    if code := int(getattr(cufft, name)(*arguments)):
        raise CufftFailure(name, code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
