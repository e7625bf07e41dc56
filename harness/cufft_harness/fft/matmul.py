"""One-dimensional Fourier transforms made of matrix products, over the columns of a matrix.

A transform of length n = r1 * r2 * ... is a chain of stages: one product with an r x r matrix for all columns at
once, then twiddle factors, written in the order the next stage reads (Stockham's autosort form of the splitting of
Cooley and Tukey, Math. Comp. 19, 1965). Work grows as n times the sum of the radices. Real transforms split off the
first radix with real matrices and carry only the non-redundant half of it: half the work. A large prime factor
becomes a convolution of a friendly length (Bluestein, IEEE Trans. AU-18, 1970), in float64, because the detour costs
precision.

Columns never mix: a NaN or a loud signal in one leaves its neighbours as they are.

The functions here know plain strided tensors only, and make no others: a lazy `conj()` is read through a dispatch key
that a compiled program or a dispatch mode has switched off. `wide` makes float32 data be computed in float64.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import torch
from torch import Tensor

from cufft_harness.fft import tables

# Working memory of one transform besides its input and output; on CPUs small enough for the caches.
WORKSPACE_BYTES = {"cpu": 6 * 2**20}
WORKSPACE_BYTES_ELSEWHERE = 256 * 2**20

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
_REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}


def c2c(x: Tensor, forward: bool, scale: float = 1.0, wide: bool = False) -> Tensor:
    """Transform the rows of `x`, (rows, n) complex64 or complex128, into (rows, n), times `scale`.

    Args:
        forward: the sign of the exponent is negative.
        wide: compute in complex128 whatever the dtype of `x`.
    """
    n = x.shape[1]
    work = torch.complex128 if wide else x.dtype
    factors = tables.radices(n)
    return _by_rows(x, x.dtype, n, work, lambda columns: _stages(columns, factors, forward, scale))


def r2c(x: Tensor, scale: float = 1.0, wide: bool = False) -> Tensor:
    """Transform the real rows of `x`, (rows, n), into their half spectra (rows, n // 2 + 1), times `scale`; forward."""
    n = x.shape[1]
    work = torch.float64 if wide else x.dtype
    return _by_rows(x, _COMPLEX[x.dtype], n // 2 + 1, work, lambda columns: _r2c(columns, scale))


def c2r(x: Tensor, n: int, scale: float = 1.0, wide: bool = False) -> Tensor:
    """Backward transform of the half spectra `x`, (rows, n // 2 + 1) complex, into real rows (rows, n), times `scale`.

    There is no 1/n in it. The imaginary parts of bin 0 and, for even n, of the last bin are ignored, as everywhere.
    """
    work = torch.complex128 if wide else x.dtype
    return _by_rows(x, _REAL[x.dtype], n, work, lambda columns: _c2r(columns, n, scale))


def _by_rows(
    x: Tensor, dtype: torch.dtype, length: int, work: torch.dtype, transform: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply `transform` to the rows, laid out as columns, as many at a time as the working memory holds.

    Args:
        x: (rows, any), strided in any way.
        dtype: of the result, (rows, length), contiguous.
        work: the dtype to compute in.
        transform: from (any, columns) to (length, columns).
    """
    rows = x.shape[0]
    out = x.new_empty((rows, length), dtype=dtype)
    budget = WORKSPACE_BYTES.get(x.device.type, WORKSPACE_BYTES_ELSEWHERE)
    width = max(length, x.shape[1]) * (16 if work in (torch.float64, torch.complex128) else 8)
    at_once = max(1, budget // (3 * width))
    for start in range(0, rows, at_once):
        part = slice(start, start + at_once)
        columns = _empty(x[part].t(), tuple(x[part].t().shape), work).copy_(x[part].t())
        out[part].copy_(transform(columns).t())
    return out


class _Scratch(threading.local):
    """Three buffers of a CPU thread, used in turn: each step of a transform reads only what the one before wrote.

    Fresh memory is what costs most on CPUs, at the first touch of each page. CUDA's allocator keeps its own.
    """

    def __init__(self) -> None:
        self.size = 0
        self.turn = 0
        self.buffers: dict[torch.dtype, list[Tensor]] = {}

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """The next buffer in that shape, or None if it is too small."""
        size = WORKSPACE_BYTES["cpu"] // 3 // 16 * 16
        if size != self.size:
            with torch.inference_mode(False):
                memory = [torch.empty(size, dtype=torch.uint8, device="cpu") for _ in range(3)]
                kinds = (torch.float32, torch.float64, torch.complex64, torch.complex128)
                self.buffers = {kind: [buffer.view(kind) for buffer in memory] for kind in kinds}
            self.size = size
        self.turn = (self.turn + 1) % 3
        buffer, count = self.buffers[dtype][self.turn], math.prod(shape)
        return buffer[:count].view(shape) if count <= buffer.numel() else None


_scratch = _Scratch()


def _empty(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    """Memory for an intermediate result, on the device of `like`; on CPUs valid until the third call from now."""
    dtype = like.dtype if dtype is None else dtype
    buffer = _scratch.take(shape, dtype) if like.device.type == "cpu" else None
    return like.new_empty(shape, dtype=dtype) if buffer is None else buffer


def _stages(x: Tensor, factors: tuple[int, ...], forward: bool, scale: float) -> Tensor:
    """Transform the columns of `x`, (n, columns), contiguous, with n the product of `factors`."""
    n, done = x.shape
    rest = n
    for radix in factors:
        rest //= radix
        y = _stage(x.view(radix, rest * done), forward, scale if rest == 1 else 1.0)
        if rest == 1:
            x = y
        else:
            x = _empty(y, (rest, radix, done))
            factor = tables.twiddles(radix, rest, forward, y)[:, :, None]
            torch.mul(y.view(radix, rest, done), factor, out=x.permute(1, 0, 2))
        done *= radix
    return x.view(n, -1)


def _stage(x: Tensor, forward: bool, scale: float) -> Tensor:
    """Transform the columns of `x`, (radix, columns), at once."""
    radix = x.shape[0]
    if radix > tables.MAX_RADIX:
        # a copy, not a scratch buffer: the convolution inside uses those
        return _bluestein(x.to(torch.complex128, copy=True), forward, scale).to(x.dtype)
    return torch.mm(tables.dft_matrix(radix, forward, scale, x), x, out=_empty(x, tuple(x.shape)))


def _r2c(x: Tensor, scale: float) -> Tensor:
    """Half spectra (n // 2 + 1, columns) of real columns (n, columns)."""
    n, columns = x.shape
    first, *others = tables.radices(n)
    if first > tables.MAX_RADIX:
        return _stages(torch.complex(x, torch.zeros_like(x)), (first, *others), True, scale)[: n // 2 + 1]
    rest, half = n // first, first // 2 + 1
    parts = _empty(x, (2 * half, rest * columns))
    torch.mm(tables.real_to_half(first, scale, x), x.view(first, rest * columns), out=parts)
    y = _empty(x, (half, rest, columns), _COMPLEX[x.dtype])
    torch.complex(*parts.view(2, half, rest, columns).unbind(), out=y)
    if rest == 1:
        return y.view(half, columns)
    z = _empty(y, (rest, half, columns))
    torch.mul(y, tables.twiddles(first, rest, True, y)[:half, :, None], out=z.permute(1, 0, 2))
    z = _stages(z.view(rest, half * columns), tuple(others), True, 1.0)
    return _pick(z.view(rest * half, columns), *tables.half_spectrum_order(n, first, y))


def _c2r(x: Tensor, n: int, scale: float) -> Tensor:
    """Real columns (n, columns) of half spectra (n // 2 + 1, columns): `_r2c` run the other way."""
    columns = x.shape[1]
    first, *others = tables.radices(n)
    if first > tables.MAX_RADIX:
        return _stages(_whole_spectrum(x, n), (first, *others), False, scale).real
    rest, half = n // first, first // 2 + 1
    y = x
    if rest > 1:
        y = _pick(x, *tables.split_spectrum_order(n, first, x)).view(rest, half * columns)
        y = _stages(y, tuple(others), False, 1.0).view(rest, half, columns)
        y.mul_(tables.twiddles(rest, first, False, y)[:, :half, None])
    parts = _empty(y, (2, half, rest, columns), _REAL[y.dtype])
    parts.copy_(torch.view_as_real(y.view(rest, half, columns)).permute(3, 1, 0, 2))
    out = _empty(parts, (first, rest * columns))
    return torch.mm(tables.half_to_real(first, scale, parts), parts.view(2 * half, -1), out=out).view(n, columns)


def _whole_spectrum(x: Tensor, n: int) -> Tensor:
    """(n, columns) of half spectra (n // 2 + 1, columns), with real bins where a real signal has them."""
    bins = n // 2 + 1
    whole = torch.cat([x, x[1 : n - bins + 1].flip(0).conj_physical()])
    view = torch.view_as_real(whole)
    view[0, :, 1] = 0
    if n % 2 == 0:
        view[n // 2, :, 1] = 0
    return whole


def _pick(x: Tensor, index: Tensor, sign: Tensor) -> Tensor:
    """Rows `index` of `x`, (any, columns) complex, their imaginary parts times `sign`."""
    y = torch.index_select(x, 0, index, out=_empty(x, (index.shape[0], x.shape[1])))
    torch.view_as_real(y)[:, :, 1].mul_(sign)
    return y


def _bluestein(x: Tensor, forward: bool, scale: float) -> Tensor:
    """Transform the columns of `x`, (n, columns) complex128, for any n, through a convolution of a friendly length."""
    n, columns = x.shape
    length = tables.convolution_length(n)
    factors = tables.radices(length)
    chirp = tables.chirp(n, forward, x)[:, None]
    # before `spectrum`, because making it takes scratch buffers as well
    filter_ = tables.chirp_filter(n, length, forward, lambda column: _stages(column, factors, True, 1.0), x)[:, None]
    padded = x.new_zeros((length, columns))
    torch.mul(x, chirp, out=padded[:n])
    spectrum = _stages(padded, factors, True, 1.0).mul_(filter_)
    result = _stages(spectrum, factors, False, 1.0)[:n] * chirp
    return result.mul_(scale) if scale != 1.0 else result
