"""What a transform needs before it sees data: its radices, its matrices, its twiddle factors.

Tables are computed in float64 and then rounded once, on the CPU, and kept in a cache bounded in bytes.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

# A product with an r x r matrix costs r operations an element and loses sqrt(r/2) roundings: beyond 32 both are worse
# than one stage more. Prime factors above it go through Bluestein's algorithm.
MAX_RADIX = 32
# What a stage costs besides its product (reading, twiddling, writing), in units of one operation an element.
STAGE_COST = 30
CACHE_BYTES = 128 * 2**20


@lru_cache(maxsize=4096)
def radices(n: int) -> tuple[int, ...]:
    """Split `n` at the least cost: factors of at most MAX_RADIX, largest first, then the prime factors that are larger.

    The cost of a transform is n times (the sum of the small factors plus STAGE_COST for each).
    """
    if n <= MAX_RADIX:
        return (n,)
    choices = [
        tuple(sorted((radix, *radices(n // radix)), key=_order)) for radix in range(2, MAX_RADIX + 1) if n % radix == 0
    ]
    if choices:
        return min(choices, key=cost)
    prime = next((k for k in range(MAX_RADIX + 1, math.isqrt(n) + 1) if n % k == 0), n)
    return (n,) if prime == n else (*radices(n // prime), prime)


def _order(factor: int) -> tuple[bool, int]:
    return factor > MAX_RADIX, -factor


def cost(factors: tuple[int, ...]) -> int:
    """Operations an element of a transform split so, with the passes through memory counted in."""
    return sum(factors) + STAGE_COST * len(factors)


@lru_cache(maxsize=1024)
def convolution_length(n: int) -> int:
    """Find the cheapest length of at least 2n - 1 without large prime factors, for Bluestein's convolution."""
    candidates = []
    for odd in (1, 3, 5, 7, 9, 11, 13, 15):
        length = odd
        while length < 2 * n - 1:
            length *= 2
        candidates.append(length)
    return min(candidates, key=lambda length: length * cost(radices(length)))


def unit_circle(k: Tensor, n: int) -> Tensor:
    """exp(2 pi i k / n) as complex128 for integers `k`; exact at the quarter turns."""
    k = torch.remainder(k, n)
    k = torch.where(2 * k > n, k - n, k)  # angles from -pi to pi: half the rounding error of 0 to 2 pi
    angle = k.to(torch.float64) * (2 * math.pi / n)
    cosine = angle.cos().masked_fill_((torch.remainder(4 * k, n) == 0) & (torch.remainder(2 * k, n) != 0), 0.0)
    sine = angle.sin().masked_fill_(torch.remainder(2 * k, n) == 0, 0.0)
    return torch.complex(cosine, sine)


def _integers(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.int64, device="cpu")


def _sign(forward: bool) -> int:
    return -1 if forward else 1


def dft_matrix(n: int, forward: bool, scale: float, like: Tensor) -> Tensor:
    """(n, n): the transform of length n as a symmetric matrix, times `scale`, in the precision of `like`."""
    return _cached(
        ("dft", n, forward, scale),
        like,
        lambda: unit_circle(_sign(forward) * torch.outer(*[_integers(n)] * 2), n) * scale,
    )


def twiddles(radix: int, rest: int, forward: bool, like: Tensor) -> Tensor:
    """(radix, rest): exp(-+ 2 pi i q j / (radix * rest)), between a stage and the transform of length `rest`."""
    return _cached(
        ("twiddles", radix, rest, forward),
        like,
        lambda: unit_circle(_sign(forward) * torch.outer(_integers(radix), _integers(rest)), radix * rest),
    )


def real_to_half(n: int, scale: float, like: Tensor) -> Tensor:
    """(2 * (n // 2 + 1), n), real: from n reals to the half spectrum, real parts above imaginary parts."""

    def build() -> Tensor:
        matrix = unit_circle(-torch.outer(_integers(n // 2 + 1), _integers(n)), n) * scale
        return torch.cat([matrix.real, matrix.imag])

    return _cached(("real_to_half", n, scale), like, build)


def half_to_real(n: int, scale: float, like: Tensor) -> Tensor:
    """(n, 2 * (n // 2 + 1)), real: from a half spectrum, real parts before imaginary parts, to n reals, no 1/n.

    The bins that stand for two count twice; the imaginary parts of bin 0 and of the middle one are ignored.
    """

    def build() -> Tensor:
        bins = _integers(n // 2 + 1)
        weight = torch.full((n // 2 + 1,), 2 * scale, dtype=torch.float64, device="cpu")
        weight[(bins == 0) | (2 * bins == n)] = scale
        matrix = unit_circle(torch.outer(_integers(n), bins), n) * weight
        return torch.cat([matrix.real, -matrix.imag], dim=1)

    return _cached(("half_to_real", n, scale), like, build)


def half_spectrum_order(n: int, a: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Where each bin k <= n / 2 is, when bins k1 + a * k2 are known for k1 <= a / 2 and lie at k2 * (a // 2 + 1) + k1.

    Returns:
        (n // 2 + 1,) int64 rows, and (n // 2 + 1, 1) signs for the imaginary parts: a bin that is not known is the
        conjugate of bin n - k, which is.
    """
    half = a // 2 + 1

    def mirrored() -> Tensor:
        return torch.remainder(_integers(n // 2 + 1), a) >= half

    def index() -> Tensor:
        bins = _integers(n // 2 + 1)
        bins = torch.where(mirrored(), n - bins, bins)
        return torch.div(bins, a, rounding_mode="floor") * half + torch.remainder(bins, a)

    return _index_and_sign(("half_spectrum", n, a), index, mirrored, like)


def split_spectrum_order(n: int, a: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The other way: which bin k <= n / 2 gives bin k1 + a * k2, for k1 <= a / 2 and every k2, in that order.

    Returns:
        (n // a * (a // 2 + 1),) int64 bins, and signs for the imaginary parts, as `half_spectrum_order`.
    """

    def wanted() -> Tensor:
        return (_integers(n // a)[:, None] * a + _integers(a // 2 + 1)).reshape(-1)

    def mirrored() -> Tensor:
        return wanted() > n // 2

    def index() -> Tensor:
        return torch.where(mirrored(), n - wanted(), wanted())

    return _index_and_sign(("split_spectrum", n, a), index, mirrored, like)


def _index_and_sign(
    key: tuple[object, ...], index: Callable[[], Tensor], mirrored: Callable[[], Tensor], like: Tensor
) -> tuple[Tensor, Tensor]:
    return (
        _cached((*key, "index"), like, index),
        _cached((*key, "sign"), like, lambda: 1.0 - 2.0 * mirrored().to(torch.float64)[:, None]),
    )


def chirp(n: int, forward: bool, like: Tensor) -> Tensor:
    """(n,): exp(-+ pi i k^2 / n), with k^2 reduced modulo 2n in integers, where it is exact."""
    return _cached(("chirp", n, forward), like, lambda: _chirp(n, forward))


def _chirp(n: int, forward: bool) -> Tensor:
    return unit_circle(_sign(forward) * torch.remainder(_integers(n) ** 2, 2 * n), 2 * n)


def chirp_filter(n: int, length: int, forward: bool, transform: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """(length,): the transform of the conjugate chirp, wrapped around, over `length`: what Bluestein multiplies by."""

    def build() -> Tensor:
        wrapped = torch.zeros(length, dtype=torch.complex128, device="cpu")
        wrapped[:n] = _chirp(n, not forward)
        wrapped[length - n + 1 :] = wrapped[1:n].flip(0)
        return transform(wrapped[:, None])[:, 0] / length

    return _cached(("chirp_filter", n, length, forward), like, build)


class _TableCache:
    """Least recently used tables, at most `limit` bytes of them, shared by all threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.tables: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> Tensor | None:
        with self.lock:
            table = self.tables.get(key)
            if table is not None:
                self.tables.move_to_end(key)
            return table

    def put(self, key: tuple[object, ...], table: Tensor) -> None:
        size = table.numel() * table.element_size()
        if size > self.limit // 2:
            return
        with self.lock:
            if key in self.tables:
                return
            self.tables[key] = table
            self.bytes += size
            evicted = []
            while self.bytes > self.limit:
                _, oldest = self.tables.popitem(last=False)
                self.bytes -= oldest.numel() * oldest.element_size()
                evicted.append(oldest)
        if any(oldest.is_cuda for oldest in evicted):
            torch.cuda.synchronize()  # another stream may still be reading what is about to be freed

    def clear(self) -> None:
        with self.lock:
            self.tables.clear()
            self.bytes = 0


cache = _TableCache(CACHE_BYTES)


def _renew_lock() -> None:
    cache.lock = threading.Lock()  # a thread that held it does not exist in a forked child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _cached(key: tuple[object, ...], like: Tensor, build: Callable[[], Tensor]) -> Tensor:
    """The table of `key` for the device and precision of `like`; `build` makes it in float64 on the CPU."""
    full_key = (*key, like.dtype, like.device)
    table = cache.get(full_key)
    if table is None:
        with torch.inference_mode(False):  # a table made inside inference mode could not be used outside of it
            table = build()
            # A copy from pageable memory ends before the call returns, so every stream may read the table.
            table = table.to(device=like.device, dtype=_table_dtype(table, like)).contiguous()
        cache.put(full_key, table)
    return table


def _table_dtype(table: Tensor, like: Tensor) -> torch.dtype:
    """The precision of `like`, in the kind of the table: integer, real or complex."""
    if table.dtype == torch.int64:
        return torch.int64
    double = like.dtype in (torch.float64, torch.complex128)
    if table.is_complex():
        return torch.complex128 if double else torch.complex64
    return torch.float64 if double else torch.float32
