"""Transforms by matrix products against float64 references."""

import math

import numpy as np
import pytest
import torch
from cufft_harness.fft import aten, matmul, tables
from hypothesis import given, settings
from hypothesis import strategies as st

torch.set_num_threads(1)
SPEECH_LENGTHS = [256, 400, 512, 800, 1024, 1200, 2048, 4096]
PRIMES = [37, 61, 127, 1009, 4099]
LENGTHS = [1, 2, 3, 5, 7, 12, 31, 32, 33, 64, 100, 2 * 37, 9 * 41, 3**7, 37 * 41, *PRIMES, *SPEECH_LENGTHS, 2**14]


def relative_error(result, reference):
    return (
        torch.linalg.vector_norm(result.to(reference.dtype) - reference) / torch.linalg.vector_norm(reference)
    ).item()


@pytest.mark.parametrize("n", LENGTHS)
def test_float32_is_at_most_twice_as_inexact_as_the_library(n):
    """Against float64, products of float32 lose at most twice what the library's float32 transform loses."""
    torch.manual_seed(n)
    x = torch.randn(16, n)
    spectrum = torch.fft.rfft(x.double())
    half = spectrum.to(torch.complex64)
    whole = torch.randn(16, n, dtype=torch.complex64)
    cases = {
        "r2c": (torch.fft.rfft(x), matmul.r2c(x), spectrum),
        "c2r": (
            torch.fft.irfft(half, n, norm="forward"),
            matmul.c2r(half, n),
            torch.fft.irfft(half.to(torch.complex128), n, norm="forward"),
        ),
        "forward": (torch.fft.fft(whole), matmul.c2c(whole, True), torch.fft.fft(whole.to(torch.complex128))),
        "backward": (
            torch.fft.ifft(whole, norm="forward"),
            matmul.c2c(whole, False),
            torch.fft.ifft(whole.to(torch.complex128), norm="forward"),
        ),
    }
    for name, (library, ours, reference) in cases.items():
        # below half a unit in the last place there is nothing to compare
        limit = 2 * max(relative_error(library, reference), 2.0**-25)
        assert relative_error(ours, reference) <= limit, name


@pytest.mark.parametrize("n", [2**20, 2**20 - 3])
def test_a_million_points(n):
    """The largest length of the promise, and a large one with large prime factors."""
    x = torch.randn(1, n, generator=torch.Generator().manual_seed(0))
    reference = torch.fft.rfft(x.double())
    limit = 2 * relative_error(torch.fft.rfft(x), reference)
    assert relative_error(matmul.r2c(x), reference) <= limit


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_call_agrees_with_numpy_and_has_the_librarys_strides(data):
    """Any dimensions, lengths, norms, strides, conjugation and precision: numpy's numbers, the library's layout."""
    shape = data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 8, 11, 37]), min_size=1, max_size=3), label="shape")
    dim = data.draw(st.permutations(range(len(shape))), label="dim")[: data.draw(st.integers(1, len(shape)))]
    order = data.draw(st.permutations(range(len(shape))), label="order")
    norm = data.draw(st.integers(0, 2), label="norm")
    double = data.draw(st.booleans(), label="double")
    operator = data.draw(st.sampled_from(["r2c", "c2r", "c2c"]), label="operator")
    option = data.draw(st.booleans(), label="onesided, forward, even")
    real = torch.float64 if double else torch.float32
    base = torch.randn(*shape, dtype=real, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 9999))))
    if operator != "r2c":
        base = torch.complex(base, base.flip(0).roll(1))
    x = base.permute(order)
    if data.draw(st.booleans(), label="every other"):
        x = x[tuple(slice(None, None, 2) for _ in shape)]
    if operator != "r2c" and data.draw(st.booleans(), label="conjugated"):
        x = x.conj()
    if operator == "c2r":
        option = max(1, 2 * (x.shape[dim[-1]] - 1) + int(option))
    library = getattr(torch.ops.aten, f"_fft_{operator}")(x, list(dim), norm, option)
    ours = getattr(aten, f"fft_{operator}")(x.resolve_conj(), list(dim), norm, option)
    assert ours.dtype == library.dtype
    assert ours.shape == library.shape
    sizes = [(a, b) for a, b, size in zip(ours.stride(), library.stride(), ours.shape, strict=True) if size > 1]
    assert all(a == b for a, b in sizes)
    reference = torch.from_numpy(np.asarray(by_numpy(operator, x.resolve_conj(), dim, norm, option)))
    scale = torch.linalg.vector_norm(reference) / math.sqrt(reference.numel()) + 1e-30
    worst = (ours.to(reference.dtype) - reference).abs().max() / scale
    assert worst < (1e-12 if double else 5e-6)


def by_numpy(operator, x, dim, norm, option):
    """The definition, by numpy in float64."""
    x = x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()
    if operator == "c2c":
        count = math.prod(x.shape[d] for d in dim)
        y = np.fft.fftn(x, axes=dim) if option else np.fft.ifftn(x, axes=dim) * count
    elif operator == "r2c":
        y = np.fft.rfftn(x, axes=dim) if option else np.fft.fftn(x, axes=dim)
        count = math.prod(x.shape[d] for d in dim)
    else:
        y = np.fft.ifftn(x, axes=dim[:-1]) * math.prod(x.shape[d] for d in dim[:-1]) if dim[:-1] else x
        y = np.fft.irfft(y, n=option, axis=dim[-1]) * option
        count = y.shape[dim[-1]] * math.prod(x.shape[d] for d in dim[:-1])
    return y / [1, math.sqrt(count), count][norm]


def test_rows_do_not_mix():
    """A NaN or a loud row leaves its neighbours bit for bit as they are: a silent frame stays silent."""
    for n in (512, 74, 1009):
        quiet = torch.randn(4, n)
        spoilt = quiet.clone()
        spoilt[1] = float("nan")
        spoilt[2] *= 1e20
        spoilt[3] = 0
        clean, result = matmul.r2c(quiet), matmul.r2c(spoilt)
        assert torch.equal(clean[0], result[0])
        assert result[1].isnan().all()
        assert not result[3].abs().any()


@pytest.mark.parametrize("n", [400, 1009])
def test_zero_rows_and_many_rows(n):
    """No rows give no rows; rows beyond the working memory are done in parts, with the same numbers."""
    assert matmul.r2c(torch.zeros(0, n)).shape == (0, n // 2 + 1)
    x = torch.randn(3000, n)
    parts = torch.cat([matmul.r2c(part) for part in x.split(500)])
    torch.testing.assert_close(matmul.r2c(x), parts, rtol=1e-5, atol=1e-4)


def test_working_memory_is_bounded(monkeypatch):
    """However many rows come, no part is larger than the working memory allows."""
    seen = []
    monkeypatch.setitem(matmul.WORKSPACE_BYTES, "cpu", 2**20)
    inner = matmul._r2c
    monkeypatch.setattr(matmul, "_r2c", lambda x, scale: (seen.append(x.numel()), inner(x, scale))[1])
    matmul.r2c(torch.zeros(4000, 512))
    assert len(seen) > 1
    assert max(seen) * 4 * 3 <= 2**20


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_reduced_precision_settings_do_not_reach_the_products(precision):
    """A program that allows TF32 or bfloat16 still gets exact transforms, and its setting stays."""
    x = torch.randn(64, 1024)
    reference = torch.fft.rfft(x.double())
    try:
        torch.set_float32_matmul_precision(precision)
        assert aten.reduced_precision_allowed(x.device)
        assert aten.reduced_precision_allowed(torch.device("cuda"))
        result = aten.fft_r2c(x, [1], 0, True)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not aten.reduced_precision_allowed(x.device)
    assert relative_error(result, reference) < 1e-7  # float64 inside: only the last rounding is left


@pytest.mark.parametrize(("signal", "spectrum"), [(torch.float16, torch.complex32), (torch.bfloat16, torch.complex64)])
def test_half_precision_is_computed_in_float32(signal, spectrum):
    """Any length, not only powers of two; the dtypes are cuFFT's, and only the last rounding is coarse."""
    x = torch.randn(5, 300).to(signal)
    result = aten.fft_r2c(x, [1], 1, True)
    assert result.dtype == spectrum
    reference = torch.fft.rfft(x.double(), norm="ortho")
    assert relative_error(result.to(torch.complex64), reference) < (1e-6 if spectrum == torch.complex64 else 5e-4)
    if signal == torch.float16:
        back = aten.fft_c2r(result, [1], 1, 300)
        assert back.dtype == torch.float16
        assert relative_error(back, x.double()) < 2e-3


@given(st.integers(1, 5000))
def test_factors_multiply_to_the_length(n):
    """The radices are a factorization; small ones are small, large ones are primes."""
    factors = tables.radices(n)
    assert math.prod(factors) == n
    for factor in factors:
        assert factor <= tables.MAX_RADIX or all(factor % k for k in range(2, math.isqrt(factor) + 1))


def test_the_table_cache_is_bounded(monkeypatch):
    """Old tables go when new ones need their room, and results stay right."""
    monkeypatch.setattr(tables, "cache", tables._TableCache(200_000))
    for n in range(200, 600, 7):
        x = torch.randn(2, n)
        torch.testing.assert_close(matmul.r2c(x), torch.fft.rfft(x), rtol=1e-4, atol=1e-4)
        assert tables.cache.bytes <= 200_000
        assert tables.cache.bytes == sum(t.numel() * t.element_size() for t in tables.cache.tables.values())
    assert tables.cache.tables


def test_strides_on_cuda_follow_cuffts_rules():
    """The memory order of results on CUDA is what PyTorch's meta kernels predict for cuFFT."""
    from cufft_harness.fft import memory_order
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            torch.empty(2, device="cuda")
    except (RuntimeError, AssertionError) as error:
        pytest.skip(f"this PyTorch makes no fake CUDA tensors here: {error}")
    with FakeTensorMode():
        for shape, order, dim in (
            ((4, 6, 8), (2, 0, 1), [2]),
            ((4, 6, 8), (0, 1, 2), [0]),
            ((4, 6, 8), (1, 2, 0), [1]),
        ):
            x = torch.empty(shape, device="cuda").permute(order)
            strides = torch.ops.aten._fft_r2c(x, dim, 0, True).stride()
            assert memory_order.order_r2c(x, dim) == sorted(range(3), key=lambda d: -strides[d])


@pytest.mark.parametrize("n", [37, 148, 512, 1009])
def test_the_first_call_of_a_length_is_right(n):
    """Tables are made in the middle of a transform; making them disturbs nothing."""
    x = torch.randn(6, n, dtype=torch.complex128)
    tables.cache.clear()
    assert relative_error(matmul.c2c(x, True), torch.fft.fft(x)) < 1e-14
    tables.cache.clear()
    assert relative_error(matmul.r2c(x.real), torch.fft.rfft(x.real)) < 1e-14
