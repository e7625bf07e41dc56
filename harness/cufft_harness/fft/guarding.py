"""`bypass`: matrix products instead of the library. `guard`: the library, and products where it fails."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor

from cufft_harness.cufft import CufftError, CufftResult, parse
from cufft_harness.fft.dispatch import Call, Layer, context_faults
from cufft_harness.fft.fallback_log import Account, Outcome

ADVICE = "Run `cufft-harness doctor` to find the cause."
# Some cuFFT releases compute wrong numbers from the second execution of a plan on (pytorch issue 58724).
VERIFIED_CALLS_PER_SHAPE = 2
WRONG_NUMBERS = "wrong numbers"
# A plan and its kernels take device memory outside of PyTorch's pool; below this much, failures are blamed on memory.
SHORT_OF_MEMORY_BYTES = 256 * 2**20
_CONTROL_LENGTH = 512
_TOLERANCE = {
    torch.float16: 2e-2,
    torch.complex32: 2e-2,
    torch.bfloat16: 5e-2,
    torch.float32: 1e-4,
    torch.complex64: 1e-4,
}
_DOUBLE_TOLERANCE = 1e-10


class Bypass(Layer):
    """Every valid FFT on a device is done by products; made by `bypass`."""

    def handle(self, call: Call, below: Callable[[Call], Tensor]) -> Tensor:
        """Products; what is not valid is left to PyTorch's own kernel and its own error."""
        return call.by_products() if call.understood else call.by_library()


class Guard(Layer):
    """The library first, products where it fails; made by `guard`.

    Attributes:
        account: what was caught.
    """

    def __init__(self, device: str | torch.device, verify: bool, account: Account | None = None) -> None:
        self.verify = verify
        self.account = account if account is not None else Account()
        self._given_up: dict[torch.device, str] = {}  # devices that stay with products, and the code that decided it
        self._given_up_on: dict[tuple[object, ...], str] = {}  # the same for single shapes
        self._verified: dict[tuple[object, ...], int] = {}
        self._warned = False
        self._lock = threading.Lock()
        super().__init__(device)

    @property
    def given_up(self) -> dict[torch.device, str]:
        """The devices whose FFTs stay with products from now on, and the code that decided it."""
        return dict(self._given_up)

    def handle(self, call: Call, below: Callable[[Call], Tensor]) -> Tensor:
        """Answer by the library, by the library once more, or by products."""
        if self._given_up or self._given_up_on:
            code = self._given_up.get(call.x.device) or self._given_up_on.get(call.signature)
            if code is not None and call.understood:
                return self._by_products(code, call)
        try:
            result = below(call)
        except RuntimeError as error:
            failure = parse(str(error))
            if failure is None or not failure.is_cufft or not call.understood:
                raise
            return self._recover(call, below, error, failure)
        return self._checked(call, result) if self.verify else result

    def _recover(self, call: Call, below: Callable[[Call], Tensor], error: RuntimeError, failure: CufftError) -> Tensor:
        device = call.x.device
        if _is_capturing(device):  # no synchronizing and no trying in the middle of a CUDA graph
            self._warn(failure.name)
            return self._by_products(failure.name, call)
        fault = context_faults(device)
        if fault:
            _raise_with_note(error, fault)
        _release_memory(device)
        try:
            result = below(call)
        except RuntimeError as again:
            second = parse(str(again))
            if second is None or not second.is_cufft:
                raise
        else:
            self._warn(failure.name)
            self.account.add(failure.name, call, Outcome.RETRIED)
            return result
        self._decide(call, below, failure)
        self._warn(failure.name)
        return self._by_products(failure.name, call)

    def _decide(self, call: Call, below: Callable[[Call], Tensor], failure: CufftError) -> None:
        """Will it go away? A small transform of the same kind tells a broken device from a shape that fails."""
        if call.x.numel() == 0 or _is_short_of_memory(call.x.device):
            return
        try:
            below(_control(call))
        except RuntimeError as error:
            if parse(str(error)) is None:
                raise
            self._given_up[call.x.device] = failure.name
        else:
            if failure.result is not CufftResult.CUFFT_ALLOC_FAILED:
                self._given_up_on[call.signature] = failure.name

    def _checked(self, call: Call, result: Tensor) -> Tensor:
        """The result, compared with products for the first calls of each shape."""
        signature = call.signature
        done = self._verified.get(signature, 0)
        if done >= VERIFIED_CALLS_PER_SHAPE or not call.understood or _is_capturing(call.x.device):
            return result
        self._verified[signature] = done + 1
        expected = Call(call.operator, call.x, call.dim, call.normalization, call.option).by_products()
        if _agree(result, expected):
            return result
        self._given_up_on[signature] = WRONG_NUMBERS
        self._warn(WRONG_NUMBERS)
        return self._by_products(WRONG_NUMBERS, call)

    def _by_products(self, code: str, call: Call) -> Tensor:
        self.account.add(code, call, Outcome.PRODUCTS)
        return call.by_products()

    def _warn(self, code: str) -> None:
        with self._lock:
            first, self._warned = not self._warned, True
        if first:
            what = "computed wrong numbers" if code == WRONG_NUMBERS else f"failed with {code}"
            warnings.warn(
                f"cuFFT {what}; the transform was answered another way and the program goes on. {ADVICE}",
                RuntimeWarning,
                stacklevel=_level_of_caller(),
            )


def bypass(device: str | torch.device = "cuda") -> Bypass:
    """Do every FFT on a device by matrix products, until the returned handle is closed (or the `with` block left).

    Args:
        device: "cuda", "cpu" or any other device; without an index, all devices of the kind.
    """
    return Bypass(device)


def guard(device: str | torch.device = "cuda", verify: bool = False, account: Account | None = None) -> Guard:
    """Let the library do the FFTs of a device, and answer by matrix products where it fails.

    A failed call is tried once more, after PyTorch's cached memory and plans are released. If a small transform fails
    too, the device stays with products from then on; if not, only that shape does. One warning names the code. An
    error of a dead context (an earlier fault of the program, which the FFT only reports) is raised, with a note.
    Errors that are not cuFFT's are never touched.

    Args:
        device: "cuda", "cpu" or any other device; without an index, all devices of the kind.
        verify: compare the first results of each shape with products; some cuFFT releases compute wrong numbers
            silently.
        account: counts what was caught; a new one, found as `.account`, if None.
    """
    return Guard(device, verify, account)


def _control(call: Call) -> Call:
    """A transform of the same kind and type, one row of a length that every FFT library likes."""
    size = _CONTROL_LENGTH // 2 + 1 if call.operator == "c2r" else _CONTROL_LENGTH
    option = _CONTROL_LENGTH if call.operator == "c2r" else True
    return Call(call.operator, torch.zeros((1, size), dtype=call.x.dtype, device=call.x.device), [1], 0, option)


def _agree(result: Tensor, expected: Tensor) -> bool:
    wide = torch.complex128 if expected.is_complex() else torch.float64
    norm = torch.linalg.vector_norm(expected.to(wide))
    difference = torch.linalg.vector_norm(result.to(wide) - expected.to(wide))
    tolerance = _TOLERANCE.get(result.dtype, _DOUBLE_TOLERANCE)
    return not bool(torch.isfinite(norm)) or bool(difference <= tolerance * norm)  # NaN in, NaN out: nothing to compare


def _release_memory(device: torch.device) -> None:
    """Free what PyTorch holds unused, and the plans: one that failed to execute stays in the cache and fails again."""
    if device.type == "cuda":
        torch.backends.cuda.cufft_plan_cache[device.index].clear()
        torch.cuda.empty_cache()


def _is_short_of_memory(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < SHORT_OF_MEMORY_BYTES


def _level_of_caller() -> int:
    """The `stacklevel` that names the program's own line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("cufft_harness.fft"):
        frame, level = frame.f_back, level + 1
    return level


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _raise_with_note(error: RuntimeError, fault: str) -> NoReturn:
    note = (
        f"The device had failed before this FFT ({fault}); cuFFT only reports it, and no FFT can be answered any more. "
        "Find the first error: run again with CUDA_LAUNCH_BLOCKING=1."
    )
    if hasattr(error, "add_note"):  # Python 3.11 and later
        error.add_note(note)
        raise error
    raise RuntimeError(f"{error}\n{note}") from error
