"""In which order the dimensions of a transform's result lie in memory.

PyTorch's kernels leave the transformed dimensions innermost, and the rest in the order of the input's strides; compiled
programs rely on it. The rules are those of `_exec_fft` and its callers in ATen's `mkl/SpectralOps.cpp` and
`cuda/SpectralOps.cpp`. An order is a list of dimensions, outermost first.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

# cuFFT takes at most three dimensions at once; PyTorch splits longer lists.
_CUFFT_MAX_NDIM = 3


def by_stride(dims: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The dimensions with the largest stride first; equal ones stay as they were."""
    return sorted(dims, key=lambda dim: -strides[dim])


def order_c2c(x: Tensor, dims: Sequence[int]) -> list[int]:
    """The order of `_fft_c2c`'s result."""
    strides = list(x.stride())
    if x.device.type == "cpu":
        return _after(strides, by_stride(dims, strides))
    return _cufft_c2c(strides, dims)


def order_r2c(x: Tensor, dims: Sequence[int]) -> list[int]:
    """The order of `_fft_r2c`'s result."""
    strides = list(x.stride())
    if x.device.type == "cpu":
        return _after(strides, [*by_stride(dims[:-1], strides), dims[-1]])
    if _cufft_at_once(dims):
        return _after(strides, dims)
    strides = _strides_of(_after(strides, dims[-1:]))
    return _cufft_c2c(strides, dims[:-1]) if len(dims) > 1 else _order_of(strides)


def order_c2r(x: Tensor, dims: Sequence[int]) -> list[int]:
    """The order of `_fft_c2r`'s result."""
    strides = list(x.stride())
    if x.device.type == "cpu":
        if len(dims) > 1:
            strides = _strides_of(_after(strides, by_stride(dims[:-1], strides)))
        return _after(strides, dims[-1:])
    if _cufft_at_once(dims):
        return _after(list(range(x.dim(), 0, -1)), dims)  # the input is cloned contiguous first
    return _after(_strides_of(_cufft_c2c(strides, dims[:-1])), dims[-1:])


def _after(strides: Sequence[int], dims: Sequence[int]) -> list[int]:
    """The order after one library call over `dims`."""
    others = [dim for dim in range(len(strides)) if dim not in dims]
    return [*by_stride(others, strides), *dims]


def _cufft_c2c(strides: Sequence[int], dims: Sequence[int]) -> list[int]:
    left, order = list(dims), _order_of(strides)
    while left:
        left = by_stride(left, strides)
        order = _after(strides, left[-_CUFFT_MAX_NDIM:])
        left, strides = left[:-_CUFFT_MAX_NDIM], _strides_of(order)
    return order


def _cufft_at_once(dims: Sequence[int]) -> bool:
    return len(dims) <= _CUFFT_MAX_NDIM and not (len(dims) >= 2 and tuple(dims[:2]) == (0, 1))


def _strides_of(order: Sequence[int]) -> list[int]:
    """Strides that mean this order; only their ranking counts."""
    strides = [0] * len(order)
    for rank, dim in enumerate(order):
        strides[dim] = len(order) - rank
    return strides


def _order_of(strides: Sequence[int]) -> list[int]:
    return by_stride(range(len(strides)), strides)


def lay_out(x: Tensor, order: Sequence[int]) -> Tensor:
    """`x` with its dimensions in memory in that order; itself if they are."""
    inverse = [0] * len(order)
    for place, dim in enumerate(order):
        inverse[dim] = place
    return x.permute(list(order)).contiguous().permute(inverse)
