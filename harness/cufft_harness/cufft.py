"""cuFFT's result codes, and PyTorch's words for them.

The codes are those of `cufft.h`. CUDA 13 took three away and brought four new ones, whose names PyTorch does not know:
it prints them as `cuFFT error: unknown error N`. ROCm builds of PyTorch print hipFFT's failures behind the same
`cuFFT error:`; they are recognised, and are not cuFFT's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from cufft_harness.errors import UserError, did_you_mean


class CufftResult(IntEnum):
    """What a cuFFT call returned; the number is the one of `cufftResult` in `cufft.h`."""

    CUFFT_SUCCESS = 0
    CUFFT_INVALID_PLAN = 1
    CUFFT_ALLOC_FAILED = 2
    CUFFT_INVALID_TYPE = 3
    CUFFT_INVALID_VALUE = 4
    CUFFT_INTERNAL_ERROR = 5
    CUFFT_EXEC_FAILED = 6
    CUFFT_SETUP_FAILED = 7
    CUFFT_INVALID_SIZE = 8
    CUFFT_UNALIGNED_DATA = 9
    CUFFT_INCOMPLETE_PARAMETER_LIST = 10
    CUFFT_INVALID_DEVICE = 11
    CUFFT_PARSE_ERROR = 12
    CUFFT_NO_WORKSPACE = 13
    CUFFT_NOT_IMPLEMENTED = 14
    CUFFT_LICENSE_ERROR = 15
    CUFFT_NOT_SUPPORTED = 16
    CUFFT_MISSING_DEPENDENCY = 17
    CUFFT_NVRTC_FAILURE = 18
    CUFFT_NVJITLINK_FAILURE = 19
    CUFFT_NVSHMEM_FAILURE = 20

    @property
    def since_cuda_13(self) -> bool:
        """The code does not exist before CUDA 13 (cuFFT 12)."""
        return self >= CufftResult.CUFFT_MISSING_DEPENDENCY

    @property
    def gone_in_cuda_13(self) -> bool:
        """The code exists only up to CUDA 12.9 (cuFFT 11.4)."""
        return self in _GONE_IN_CUDA_13

    def exists_in(self, cuda_major: int) -> bool:
        """Whether `cufft.h` of that CUDA release knows the code."""
        return not self.gone_in_cuda_13 if cuda_major >= 13 else not self.since_cuda_13


class Fault(Enum):
    """What can go wrong with an FFT besides a result code, by the name that `--inject` takes."""

    WRONG_NUMBERS = "wrong-numbers"
    HANG = "hang"
    CRASH = "crash"
    DEAD_CONTEXT = "dead-context"


FAULTS: Mapping[str, CufftResult | Fault] = {
    **{one.name: one for one in CufftResult if one},
    **{one.value: one for one in Fault},
}
"""Every failure that can be acted out, by its name."""


def fault_of(code: str | int | CufftResult | Fault) -> CufftResult | Fault:
    """The failure that a name or a number means.

    Raises:
        UserError: it means none; names those there are.
    """
    if isinstance(code, Fault):
        return code
    if isinstance(code, int):
        code = CufftResult(code).name if code in CufftResult._value2member_map_ else str(code)
    if code not in FAULTS:
        raise UserError(f"unknown fault `{code}`.{did_you_mean(code, FAULTS)}", f"Known are {', '.join(FAULTS)}.")
    return FAULTS[code]


_GONE_IN_CUDA_13 = frozenset(
    {
        CufftResult.CUFFT_INCOMPLETE_PARAMETER_LIST,
        CufftResult.CUFFT_PARSE_ERROR,
        CufftResult.CUFFT_LICENSE_ERROR,
    }
)


class FftLibrary(Enum):
    """Who failed."""

    CUFFT = "cufft"
    HIPFFT = "hipfft"


@dataclass(frozen=True)
class CufftError:
    """One failure, as PyTorch reported it.

    Attributes:
        library: whose failure it is; hipFFT's come behind the same prefix.
        result: the code; None where the number or the name is not in `CufftResult`, and always for hipFFT.
        name: the name, such as `CUFFT_INVALID_SIZE` or `HIPFFT_EXEC_FAILED`; `unknown error N` for an unknown number.
        source: the C++ file and line, where the text had them (releases before 1.8 and abort messages), else "".
    """

    library: FftLibrary
    result: CufftResult | None
    name: str
    source: str = ""

    @property
    def is_cufft(self) -> bool:
        """The failure is cuFFT's own."""
        return self.library is FftLibrary.CUFFT

    @property
    def message(self) -> str:
        """The error in PyTorch's present words, without file and line."""
        return pytorch_message(self.result) if self.result is not None else f"cuFFT error: {self.name}"


# "cuFFT error: CUFFT_INVALID_PLAN (CUFFT_CHECK at /pytorch/aten/src/ATen/native/cuda/CuFFTUtils.h:70)"
_PATTERN = re.compile(
    r"cuFFT error:\s*(?:(?P<name>(?:CU|HIP)FFT_[A-Z0-9_]+)|unknown error:?\s*(?P<number>\d+))"
    r"(?:\s*\((?:[^()\s]+ at )?(?P<source>[^()\s]+:\d+)\))?"
)
# The names in PyTorch's own table stop here; larger numbers are printed as numbers.
_LAST_NAME_IN_PYTORCH = CufftResult.CUFFT_NOT_SUPPORTED


def parse(text: str) -> CufftError | None:
    """Find the first cuFFT failure in PyTorch's words in `text`, which may be a whole log; None if there is none."""
    match = _PATTERN.search(text)
    if match is None:
        return None
    source = match["source"] or ""
    if match["number"] is not None:
        number = int(match["number"])
        known = CufftResult(number) if number in CufftResult._value2member_map_ else None
        return CufftError(
            FftLibrary.CUFFT, known, known.name if known is not None else f"unknown error {number}", source
        )
    name = match["name"]
    if name.startswith("HIPFFT_"):
        return CufftError(FftLibrary.HIPFFT, None, name, source)
    return CufftError(FftLibrary.CUFFT, CufftResult.__members__.get(name), name, source)


def pytorch_message(result: CufftResult) -> str:
    """The text of the RuntimeError that PyTorch raises for this code."""
    if result > _LAST_NAME_IN_PYTORCH:
        return f"cuFFT error: unknown error {int(result)}"
    return f"cuFFT error: {result.name}"
