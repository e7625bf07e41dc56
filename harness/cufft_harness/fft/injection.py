"""A broken cuFFT, on purpose: the errors it would raise in PyTorch's own words, wrong numbers, a hang, a crash."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cufft_harness.cufft import CufftResult, Fault, fault_of, pytorch_message
from cufft_harness.errors import UserError
from cufft_harness.fft.dispatch import OPERATORS, Call, Layer


class Injection(Layer):
    """FFTs on a device fail as told; made by `inject`.

    Attributes:
        seen: calls that came by, of the operators in question.
    """

    stands_in_for_library = True

    def __init__(
        self,
        fault: CufftResult | Fault,
        device: str | torch.device,
        after: int,
        operators: Sequence[str],
        times: int | None,
    ) -> None:
        self.fault = fault
        self.after = after
        self.operators = frozenset(operators)
        self.times = times
        self.seen = 0
        self._context_died = False
        self._released = threading.Event()
        self._lock = threading.Lock()
        super().__init__(device)

    def handle(self, call: Call, below: Callable[[Call], Tensor]) -> Tensor:
        """Fail, if it is this call's turn."""
        if not self._is_due(call):
            return below(call)
        if isinstance(self.fault, CufftResult):
            raise RuntimeError(pytorch_message(self.fault))
        if self.fault is Fault.DEAD_CONTEXT:
            self._context_died = True
            raise RuntimeError(pytorch_message(CufftResult.CUFFT_EXEC_FAILED))
        if self.fault is Fault.CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.fault is Fault.HANG:
            self._released.wait()  # for ever, or until the injection is closed
            return below(call)
        result = below(call)
        return result.mul_(2)

    def context_fault(self) -> str:
        """A dead context stays dead."""
        return "CUDA error: an illegal memory access was encountered" if self._context_died else ""

    def close(self) -> None:
        """Let go what hangs, and stop failing."""
        self._released.set()
        super().close()

    def _is_due(self, call: Call) -> bool:
        if call.operator not in self.operators:
            return False
        with self._lock:
            self.seen += 1
            due = self.seen - self.after
        return due > 0 and (self.times is None or due <= self.times)


def inject(
    device: str | torch.device,
    code: str | int | CufftResult | Fault,
    after: int = 0,
    ops: Sequence[str] = OPERATORS,
    times: int | None = None,
) -> Injection:
    """Make the FFTs of a device fail, until the returned handle is closed (or the `with` block left).

    The injection stands for the library: it lies beneath every `guard` and `bypass`, also those opened before it.

    Args:
        device: "cuda", "cpu" or any other device, with or without an index.
        code: a result code by name or number, or one of "wrong-numbers", "hang", "crash" (a segmentation fault) and
            "dead-context" (an earlier fault of the device, reported by the FFT).
        after: so many calls succeed first.
        ops: which operators fail: "r2c", "c2r", "c2c".
        times: so many calls fail, then they succeed again; None for all.

    Raises:
        UserError: an unknown code or operator.
    """
    unknown = [name for name in ops if name not in OPERATORS]
    if unknown or not ops:
        raise UserError(f"unknown FFT operator {', '.join(unknown) or '(none)'}.", f"Known are {', '.join(OPERATORS)}.")
    return Injection(fault_of(code), device, after, ops, times)
