"""`aten::_fft_c2c`, `_fft_r2c` and `_fft_c2r` by matrix products: any dimensions, dtypes and strides.

Each function takes what the operator takes and returns what it returns, dtype and strides included; half precision is
computed in float32 and rounded once. What the operators refuse is not judged here: `understands` says whether a call is
one of ours, and PyTorch's own kernel answers the others with its own error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cufft_harness.fft import matmul, memory_order

_WORK = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex32: torch.complex64,
    torch.complex64: torch.complex64,
    torch.complex128: torch.complex128,
}
# bfloat16 has no complex counterpart: PyTorch's kernel returns complex64 for it
_SPECTRUM = {torch.float16: torch.complex32, torch.bfloat16: torch.complex64}
_SIGNAL = {torch.complex32: torch.float16}
_NO_NORM, _BY_ROOT_N, _BY_N = 0, 1, 2


def understands(x: Tensor, dim: Sequence[int], normalization: int, real_input: bool) -> bool:
    """Whether the call is valid; only valid calls are computed by products.

    On CPUs PyTorch has no half precision transforms, and a program must not notice us.
    """
    if x.dtype not in _WORK or x.is_complex() is real_input or normalization not in (_NO_NORM, _BY_ROOT_N, _BY_N):
        return False
    if x.device.type == "cpu" and _WORK[x.dtype] != x.dtype:
        return False
    if not dim:
        return not real_input
    return len(set(dim)) == len(dim) and all(0 <= d < x.dim() and x.shape[d] > 0 for d in dim)


def fft_c2c(x: Tensor, dim: Sequence[int], normalization: int, forward: bool) -> Tensor:
    """Complex to complex over `dim`; the arguments of `aten::_fft_c2c`."""
    if not dim:
        return x.clone()
    order = memory_order.order_c2c(x, dim)
    scale = _scale(normalization, [x.shape[d] for d in dim])
    y = _c2c_over(x.to(_WORK[x.dtype]), memory_order.by_stride(dim, x.stride()), forward, scale)
    return memory_order.lay_out(y.to(x.dtype), order)


def fft_r2c(x: Tensor, dim: Sequence[int], normalization: int, onesided: bool) -> Tensor:
    """Real to complex over `dim`, the last of them halved if `onesided`; the arguments of `aten::_fft_r2c`."""
    *others, last = dim
    order = memory_order.order_r2c(x, dim)
    scale = _scale(normalization, [x.shape[d] for d in dim])
    wide = reduced_precision_allowed(x.device)
    y = _along(x.to(_WORK[x.dtype]), last, lambda rows: matmul.r2c(rows, scale, wide))
    y = _c2c_over(y, others, True, 1.0)
    if not onesided:
        y = _both_sides(y, dim, x.shape[last])
    return memory_order.lay_out(y.to(_SPECTRUM.get(x.dtype, y.dtype)), order)


def fft_c2r(x: Tensor, dim: Sequence[int], normalization: int, last_dim_size: int) -> Tensor:
    """Half spectrum to real over `dim`, backward; the arguments of `aten::_fft_c2r`."""
    *others, last = dim
    order = memory_order.order_c2r(x, dim)
    scale = _scale(normalization, [*(x.shape[d] for d in others), last_dim_size])
    wide = reduced_precision_allowed(x.device)
    y = _c2c_over(x.to(_WORK[x.dtype]), memory_order.by_stride(others, x.stride()), False, 1.0)
    y = _along(y, last, lambda rows: matmul.c2r(rows, last_dim_size, scale, wide))
    return memory_order.lay_out(y.to(_SIGNAL.get(x.dtype, y.dtype)), order)


def reduced_precision_allowed(device: torch.device) -> bool:
    """Whether the program lets float32 products be rounded to TF32 or bfloat16.

    The setting is global and the program's own, so it is left alone: the products are then made in float64.
    """
    getter = getattr(torch._C, "_get_fp32_precision_getter", None)  # torch 2.9 and later
    if getter is not None:
        backend = "cuda" if device.type == "cuda" else "mkldnn"
        if getter(backend, "matmul") not in ("ieee", "none") or getter("generic", "all") not in ("ieee", "none"):
            return True
    try:
        return torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # the two ways of setting it were mixed: not both can mean full precision
        return True


def _scale(normalization: int, sizes: Sequence[int]) -> float:
    if normalization == _NO_NORM:
        return 1.0
    return 1.0 / (math.sqrt(math.prod(sizes)) if normalization == _BY_ROOT_N else math.prod(sizes))


def _c2c_over(x: Tensor, dims: Sequence[int], forward: bool, scale: float) -> Tensor:
    """Transform dimension after dimension; the last one lies innermost."""
    wide = reduced_precision_allowed(x.device)
    for place, dim in enumerate(dims):
        factor = scale if place == len(dims) - 1 else 1.0
        x = _along(x, dim, lambda rows, factor=factor: matmul.c2c(rows, forward, factor, wide))  # type: ignore[misc]
    return x


def _along(x: Tensor, dim: int, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a transform of rows along `dim`, which lies innermost in memory afterwards."""
    order = [*memory_order.by_stride([d for d in range(x.dim()) if d != dim], x.stride()), dim]
    rows = x.permute(order)
    batch = rows.shape[:-1]
    y = transform(rows.reshape(math.prod(batch), x.shape[dim]))
    y = y.view(*batch, y.shape[1])
    inverse = [0] * len(order)
    for place, d in enumerate(order):
        inverse[d] = place
    return y.permute(inverse)


def _both_sides(y: Tensor, dim: Sequence[int], size: int) -> Tensor:
    """The whole spectrum of a real signal: bin -k is the conjugate of bin k, in all of `dim` together."""
    last = dim[-1]
    upper = y.narrow(last, 1, size - y.shape[last]).conj_physical()
    for d in dim:
        if d == last:
            upper = upper.flip(d)
        elif y.shape[d] > 1:
            upper = torch.cat([upper.narrow(d, 0, 1), upper.narrow(d, 1, y.shape[d] - 1).flip(d)], d)
    return torch.cat([y, upper], last)
