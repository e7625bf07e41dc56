"""The door through which every FFT of a PyTorch program goes, and the layers that can be put behind it.

`aten::_fft_r2c`, `_fft_c2r` and `_fft_c2c`, with their out variants, get a Python kernel at the dispatch key
`BackendSelect`: below autograd, vmap and fake tensors, above the kernels of every device. PyTorch's own kernels stay
where they are, and are called through their device's key without a copy. The Python kernel is there while a layer is;
it costs about 5 microseconds a call, for the other devices too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from cufft_harness.fft import aten

OPERATORS = ("r2c", "c2r", "c2c")
_FUNCTIONAL = {name: getattr(torch.ops.aten, f"_fft_{name}").default for name in OPERATORS}
_OUT = {name: getattr(torch.ops.aten, f"_fft_{name}").out for name in OPERATORS}
_BY_PRODUCTS: dict[str, Callable[..., Tensor]] = {
    "r2c": aten.fft_r2c,
    "c2r": aten.fft_c2r,
    "c2c": aten.fft_c2c,
}
_dynamo: Any = torch._C._dynamo.eval_frame
_KEYS = {
    key.lower(): getattr(torch._C.DispatchKey, key)
    for key in ("CPU", "CUDA", "XPU", "MPS", "Meta", "PrivateUse1")
    if hasattr(torch._C.DispatchKey, key)
}


@dataclass  # not frozen: that would cost two microseconds a call
class Call:
    """One call of an operator.

    Attributes:
        operator: "r2c", "c2r" or "c2c".
        option: `onesided` of r2c, `last_dim_size` of c2r, `forward` of c2c.
        out: the tensor to write to, in the out variants.
    """

    operator: str
    x: Tensor
    dim: list[int]
    normalization: int
    option: Any
    out: Tensor | None = None

    @property
    def signature(self) -> tuple[object, ...]:
        """What cuFFT makes a plan from: operator, type, sizes, strides and dimensions."""
        x = self.x
        return (self.operator, x.dtype, tuple(x.shape), x.stride(), tuple(self.dim), self.option, x.device)

    @property
    def understood(self) -> bool:
        """The arguments are valid, so that products may answer the call."""
        real_input = self.operator == "r2c"
        if self.operator == "c2r" and (self.option < 1 or self.option // 2 + 1 != self.x.shape[self.dim[-1]]):
            return False
        return aten.understands(self.x, self.dim, self.normalization, real_input)

    def by_library(self) -> Tensor:
        """The result of PyTorch's own kernel for the device."""
        x = self.x
        key = _KEYS.get(x.device.type)
        if key is None or x.layout is not torch.strided or x.is_nested:
            with _below_the_door():
                return self._invoke(lambda operator, *rest, **out: operator(*rest, **out))
        return self._invoke(lambda operator, *rest, **out: operator._op_dk(key, *rest, **out))

    def by_products(self) -> Tensor:
        """The result by matrix products, untouched by the program's modes: autocast, default device, overrides."""
        with torch._C.DisableTorchFunction(), _without_autocast(self.x.device.type):
            result = _BY_PRODUCTS[self.operator](self.x, self.dim, self.normalization, self.option)
            return result if self.out is None else _write(self.out, result)

    def _invoke(self, run: Callable[..., Any]) -> Tensor:
        result: Tensor
        if self.out is None:
            result = run(_FUNCTIONAL[self.operator], self.x, self.dim, self.normalization, self.option)
        else:
            result = run(_OUT[self.operator], self.x, self.dim, self.normalization, self.option, out=self.out)
        return result


def _write(out: Tensor, result: Tensor) -> Tensor:
    if out.shape != result.shape:
        torch.ops.aten.clone.out(result.to(out.dtype), out=out)  # resizes, with PyTorch's own warning
        return out
    return out.copy_(result)


@contextmanager
def _without_autocast(device_type: str) -> Iterator[None]:
    if device_type not in ("cpu", "cuda", "xpu"):
        yield
        return
    with torch.autocast(device_type, enabled=False):
        yield


@contextmanager
def _below_the_door() -> Iterator[None]:
    guard = torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.BackendSelect))
    with guard:
        yield


_Self = TypeVar("_Self", bound="Layer")


class Layer:
    """Something between the program's FFTs on a device and PyTorch's kernels: active from its making to `close()`.

    Layers nest: the last one opened is asked first. Those with `stands_in_for_library` lie beneath all others, whatever
    the order of opening, because they play the part of a broken cuFFT. Layers may be closed in any order.

    Args:
        device: "cuda", "cuda:1", "cpu" ...; without an index, all devices of the kind.
    """

    stands_in_for_library: ClassVar[bool] = False

    def __init__(self, device: str | torch.device = "cuda") -> None:
        self.device = torch.device(device)
        self.closed = False
        _stack.add(self)

    def handle(self, call: Call, below: Callable[[Call], Tensor]) -> Tensor:
        """Answer the call; `below` gives what would have been answered without this layer."""
        raise NotImplementedError

    def context_fault(self) -> str:
        """Why the device can do no more work, or "": a layer that plays a dead device says so here."""
        return ""

    def close(self) -> None:
        """Put back what was there; a second call does nothing."""
        if not self.closed:
            self.closed = True
            _stack.remove(self)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Stack:
    """The open layers, innermost first, and the registration that exists while there are any."""

    def __init__(self) -> None:
        self.layers: tuple[Layer, ...] = ()
        self.chains: dict[torch.device, Callable[[Call], Tensor] | None] = {}
        self.library: Any = None
        self.lock = threading.Lock()

    def add(self, layer: Layer) -> None:
        with self.lock:
            if self.library is None:
                self.library = _register()
            below = [one for one in self.layers if one.stands_in_for_library]
            above = [one for one in self.layers if not one.stands_in_for_library]
            (below if layer.stands_in_for_library else above).append(layer)
            self._put((*below, *above))

    def remove(self, layer: Layer) -> None:
        with self.lock:
            self._put(tuple(one for one in self.layers if one is not layer))
            if not self.layers and self.library is not None:
                library, self.library = self.library, None
                _unregister(library)

    def _put(self, layers: tuple[Layer, ...]) -> None:
        self.layers = layers
        self.chains = {}  # a new dictionary: a thread that is filling the old one must not spoil it

    def of(self, device: torch.device) -> list[Layer]:
        """The layers that a call on `device` passes, innermost first."""
        return [
            layer
            for layer in self.layers
            if layer.device.type == device.type and layer.device.index in (None, device.index)
        ]

    def chain(self, device: torch.device) -> Callable[[Call], Tensor] | None:
        """What answers a call on `device`: its layers, outermost first, down to the library; None without layers."""
        chains = self.chains
        try:
            return chains[device]
        except KeyError:
            layers = self.of(device)
            chain: Callable[[Call], Tensor] | None = None
            for layer in layers:
                chain = partial(layer.handle, below=chain or Call.by_library)
            chains[device] = chain
            return chain


_stack = _Stack()


def context_faults(device: torch.device) -> str:
    """Why the device can do no more work, or "": asked of the layers first, then of the device itself."""
    for layer in _stack.of(device):
        fault = layer.context_fault()
        if fault:
            return fault
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError as error:
            return str(error).partition("\n")[0]
    return ""


def _answer(call: Call) -> Tensor:
    x = call.x
    chain = _stack.chain(x.device)
    if chain is None:
        return call.by_library()
    if x.is_neg() or x.is_conj() or x._is_zerotensor():
        # Their own keys lie above ours and make such tensors plain, but inside a dispatch mode those are switched off.
        call.x = x.clone()
    return chain(call)


def _register() -> Any:
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    for name in OPERATORS:

        def functional(x: Tensor, dim: list[int], normalization: int, option: Any, name: str = name) -> Tensor:
            callback = _dynamo.set_eval_frame(None)
            try:
                return _answer(Call(name, x, dim, normalization, option))
            finally:
                _dynamo.set_eval_frame(callback)

        def out_variant(
            x: Tensor, dim: list[int], normalization: int, option: Any, *, out: Tensor, name: str = name
        ) -> Tensor:
            callback = _dynamo.set_eval_frame(None)
            try:
                return _answer(Call(name, x, dim, normalization, option, out))
            finally:
                _dynamo.set_eval_frame(callback)

        for kernel, overload in ((functional, ""), (out_variant, ".out")):
            _hide_from_dynamo(kernel)
            library.impl(f"_fft_{name}{overload}", kernel, "BackendSelect")
    return library


def _hide_from_dynamo(kernel: Callable[..., Tensor]) -> None:
    """Let dynamo not compile this function: it looks at every frame that runs below a compiled one.

    `set_eval_frame(None)` inside hides the frames below, as `torch.compiler.disable` does, which would import dynamo.
    """
    code = kernel.__code__
    if hasattr(_dynamo, "skip_code"):
        _dynamo.skip_code(code)
    else:
        skip = _dynamo._FrameExecStrategy(_dynamo._FrameAction.SKIP, _dynamo._FrameAction.DEFAULT)
        _dynamo.set_code_exec_strategy(code, skip)


def _unregister(library: Any) -> None:
    destroy = getattr(library, "_destroy", None)
    if destroy is not None:
        destroy()
    elif not hasattr(library, "__del__"):  # torch 2.1: the kernels go with their handle
        registered: set[str] = torch.library._impls
        registered -= library._op_impls
        library.m = None
    else:  # torch 2.0
        library.__del__()
        library._op_impls = set()  # it will be called once more, by the interpreter


def _after_fork() -> None:
    _stack.lock = threading.Lock()  # a thread that held it does not exist in a forked child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
