"""bypass, guard and inject, through the CPU's key: what a program sees, and does not see."""

import gc
import subprocess
import sys
import threading
import time
import warnings

import pytest
import torch
from cufft_harness.errors import UserError
from cufft_harness.fft import Fault, Outcome, aten, bypass, dispatch, guard, inject

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:cuFFT:RuntimeWarning")


@pytest.fixture(autouse=True)
def nothing_left_open():
    yield
    assert dispatch._stack.layers == ()
    assert dispatch._stack.library is None


@pytest.fixture
def by_products(monkeypatch):
    """Counts the calls answered by products."""
    counts = {"calls": 0}
    inner = dispatch.Call.by_products

    def counted(call):
        counts["calls"] += 1
        return inner(call)

    monkeypatch.setattr(dispatch.Call, "by_products", counted)
    return counts


def speech(n=4000):
    return torch.randn(n, generator=torch.Generator().manual_seed(3))


def stft(x, n_fft=400):
    return torch.stft(x, n_fft, 160, window=torch.hann_window(n_fft, dtype=x.dtype), return_complex=True)


@pytest.mark.parametrize("n_fft", [400, 512, 1024])
def test_stft_and_istft_under_bypass(by_products, n_fft):
    """A program's STFT and its inverse agree with the library's, and the library is not asked."""
    x = speech()
    expected = stft(x, n_fft)
    with bypass("cpu"):
        spectrum = stft(x, n_fft)
        back = torch.istft(spectrum, n_fft, 160, window=torch.hann_window(n_fft), length=len(x))
    assert by_products["calls"] == 2
    torch.testing.assert_close(spectrum, expected, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(back, x, rtol=1e-4, atol=2e-5)


def test_out_variants_under_bypass(by_products):
    """`out=` is written to, resized with PyTorch's own warning, and returned."""
    x = speech(64)
    expected = torch.fft.rfft(x)
    out, small = torch.empty(33, dtype=torch.complex64), torch.empty(3, dtype=torch.complex64)
    with bypass("cpu"):
        assert torch.fft.rfft(x, out=out) is out
        with pytest.warns(UserWarning, match="resized"):
            torch.fft.rfft(x, out=small)
        torch.fft.fft(expected, out=torch.empty(33, dtype=torch.complex64))
        torch.fft.irfft(expected, out=torch.empty(64))
    assert by_products["calls"] == 4
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(small, expected, rtol=1e-4, atol=1e-5)


def test_gradients_first_second_and_forward_mode():
    """gradcheck and gradgradcheck, backward and forward, of the three operators over two dimensions."""
    real = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    cplx = torch.randn(3, 4, dtype=torch.complex128, requires_grad=True)
    with bypass("cpu"):
        for function, x in (
            (lambda t: torch.fft.rfft2(t), real),
            (lambda t: torch.fft.fft2(t, norm="ortho"), cplx),
            (lambda t: torch.fft.irfft(t, n=7), cplx),
            (lambda t: torch.fft.irfft(t, n=6), cplx),
            (lambda t: torch.fft.fft(t), real),
        ):
            assert torch.autograd.gradcheck(function, (x,), check_forward_ad=True)
            assert torch.autograd.gradgradcheck(function, (x,))


def test_inference_mode_and_after_it():
    """A table made inside inference mode serves outside of it, gradients included."""
    x = speech(354)[None]
    with bypass("cpu"):
        with torch.inference_mode():
            inside = torch.fft.rfft(x)
        y = x.clone().requires_grad_()
        torch.fft.rfft(y).abs().sum().backward()
    assert inside.is_inference()
    assert y.grad is not None
    torch.testing.assert_close(inside.clone(), torch.fft.rfft(x), rtol=1e-4, atol=1e-4)


def test_vmap_jvp_and_per_sample_gradients():
    """torch.func transforms pass through unchanged."""
    x = torch.randn(5, 24)

    def loss(row):
        return torch.fft.rfft(row).abs().pow(2).sum()

    def all_of_it():
        return (
            torch.func.vmap(torch.fft.rfft)(x),
            torch.func.vmap(torch.func.grad(loss))(x),
            torch.func.jvp(torch.fft.rfft, (x,), (x,))[1],
        )

    expected = all_of_it()
    with bypass("cpu"):
        result = all_of_it()
    for ours, library in zip(result, expected, strict=True):
        torch.testing.assert_close(ours, library, rtol=1e-4, atol=1e-4)


def test_autocast_does_not_round_the_products():
    """Under autocast the transform stays in float32, as the library's does."""
    x = speech(1024)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = torch.fft.rfft(x)
        with bypass("cpu"):
            result = torch.fft.rfft(x)
    assert result.dtype == expected.dtype
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_default_device_and_dtype_do_not_matter():
    """A program that changes PyTorch's defaults gets the same transform."""
    x = speech(200)
    expected = torch.fft.rfft(x)
    try:
        torch.set_default_dtype(torch.float64)
        with bypass("cpu"), torch.device("meta"):
            result = torch.fft.rfft(x)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_other_devices_are_left_alone(by_products):
    """A bypass for CUDA does not touch the CPU; a fake or meta tensor keeps PyTorch's own answer."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = speech(64)
    with bypass("cuda"):
        assert torch.equal(torch.fft.rfft(x), torch.fft.rfft(x.clone()))
    with bypass("cpu"):
        assert torch.fft.rfft(x.to("meta")).shape == (33,)
        with FakeTensorMode():
            assert torch.fft.rfft(torch.empty(64)).shape == (33,)
    assert by_products["calls"] == 0


def test_errors_for_bad_arguments_are_pytorchs_own():
    """The same type and the same text with and without layers."""
    calls = [
        lambda: torch.fft.rfft(torch.zeros(0)),
        lambda: torch.fft.fft(torch.zeros(4), dim=3),
        lambda: torch.fft.irfft(torch.zeros(4, dtype=torch.complex64), n=0),
        lambda: torch.fft.rfft(torch.zeros(4), norm="no"),
        lambda: torch.fft.rfft(torch.zeros(8, dtype=torch.float16)),
        lambda: torch.fft.rfft(torch.zeros(8, dtype=torch.complex64)),
        lambda: torch.stft(torch.zeros(3), 8, return_complex=True, center=False),
        lambda: torch.ops.aten._fft_r2c(torch.zeros(8, dtype=torch.int64), [0], 0, True),
        lambda: torch.ops.aten._fft_c2c(torch.zeros(8), [0], 0, True),
        lambda: torch.fft.rfft(torch.zeros(8), out=torch.zeros(5)),
    ]

    def outcome(call):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is what is compared
            call()
        return caught.type, str(caught.value)

    expected = [outcome(call) for call in calls]
    with bypass("cpu"):
        assert [outcome(call) for call in calls] == expected
    with guard("cpu"):
        assert [outcome(call) for call in calls] == expected


def test_threads(by_products):
    """Many threads at once, forward and backward."""
    xs = [torch.randn(8, 300, generator=torch.Generator().manual_seed(k)) for k in range(8)]
    expected = [torch.fft.rfft(x) for x in xs]
    results = [None] * 8

    def work(k):
        x = xs[k].clone().requires_grad_()
        y = torch.fft.rfft(x)
        y.abs().sum().backward()
        results[k] = y.detach()

    with bypass("cpu"):
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert by_products["calls"] == 16
    for ours, library in zip(results, expected, strict=True):
        torch.testing.assert_close(ours, library, rtol=1e-4, atol=1e-4)


def test_compile_of_a_caller(by_products):
    """A function compiled before or under the bypass keeps calling through the door."""

    def power(x):
        return torch.fft.rfft(x, dim=0).abs().pow(2).t() + 1

    x = torch.randn(16, 30)
    expected = power(x)
    try:
        compiled = torch.compile(power, backend="aot_eager")
    except RuntimeError as error:  # torch 2.0 on Python 3.11
        pytest.skip(str(error))
    with bypass("cpu"):
        torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-3)
    assert by_products["calls"] >= 1
    torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-3)


def test_closing_restores_exactly_what_was_there(by_products):
    """After the last close the library answers bit for bit, in whatever order the handles were closed."""
    x = speech(1000)
    expected = torch.fft.rfft(x)
    first, second, third = bypass("cpu"), guard("cpu"), inject("cpu", "CUFFT_INVALID_SIZE")
    first.close()
    assert not torch.equal(torch.fft.rfft(x), expected)  # the guard answers by products
    third.close()
    second.close()
    second.close()
    count = by_products["calls"]
    assert torch.equal(torch.fft.rfft(x), expected)
    assert by_products["calls"] == count
    with bypass("cpu"), bypass("cpu"):
        pass
    gc.collect()
    assert torch.equal(torch.fft.rfft(x), expected)


@pytest.mark.parametrize("code", ["CUFFT_INVALID_SIZE", 5, "CUFFT_NVRTC_FAILURE"])
def test_inject_speaks_pytorchs_words(code):
    """The error is a RuntimeError with the text PyTorch would print; `after`, `times` and `ops` are kept to."""
    text = {
        "CUFFT_INVALID_SIZE": "cuFFT error: CUFFT_INVALID_SIZE",
        5: "cuFFT error: CUFFT_INTERNAL_ERROR",
        "CUFFT_NVRTC_FAILURE": "cuFFT error: unknown error 18",
    }[code]
    x = speech(64)
    with inject("cpu", code, after=1, ops=["r2c"], times=2):
        torch.fft.rfft(x)
        torch.fft.fft(x.to(torch.complex64))
        for _ in range(2):
            with pytest.raises(RuntimeError) as caught:
                torch.fft.rfft(x)
            assert str(caught.value) == text
        torch.fft.rfft(x)


def test_inject_refuses_what_it_does_not_know():
    """A mistyped code or operator is one line that names the known ones, and nothing stays open."""
    for code, ops in (("CUFFT_NOPE", ["r2c"]), (99, ["r2c"]), (0, ["r2c"]), (5, ["rfft"]), (5, [])):
        with pytest.raises(UserError):
            inject("cpu", code, ops=ops)


def test_guard_answers_by_products_and_warns_once(by_products):
    """A broken library costs one warning that names the code and the doctor; the device stays with products."""
    x = speech()
    expected = stft(x)
    with guard("cpu") as guarded, inject("cpu", "CUFFT_INVALID_SIZE") as broken:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results = [stft(x) for _ in range(5)]
        torch.fft.fft(x.to(torch.complex64))
    assert broken.seen == 3  # the call, once more, and the control; never asked again
    assert guarded.given_up == {x.device: "CUFFT_INVALID_SIZE"}
    assert by_products["calls"] == 6
    (warning,) = [str(one.message) for one in caught if one.category is RuntimeWarning]
    assert "CUFFT_INVALID_SIZE" in warning
    assert "cufft-harness doctor" in warning
    for result in results:
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=2e-5)
    counts = {(entry.code, entry.operator, entry.outcome): n for entry, n in guarded.account.entries().items()}
    assert counts == {
        ("CUFFT_INVALID_SIZE", "r2c", Outcome.PRODUCTS): 5,
        ("CUFFT_INVALID_SIZE", "c2c", Outcome.PRODUCTS): 1,
    }


def test_guard_leaves_a_sound_library_alone(by_products):
    """Bit for bit the library's results, nothing counted."""
    x = speech()
    expected = stft(x)
    with guard("cpu") as guarded:
        assert torch.equal(stft(x), expected)
    assert by_products["calls"] == 0
    assert not guarded.account.entries()


def test_guard_takes_the_library_again_after_a_transient_failure(by_products):
    """One failure that goes away is retried, counted, and decides nothing."""
    x = speech()
    expected = stft(x)
    with guard("cpu") as guarded, inject("cpu", "CUFFT_EXEC_FAILED", times=1):
        assert torch.equal(stft(x), expected)
        assert torch.equal(stft(x), expected)
    assert by_products["calls"] == 0
    assert guarded.given_up == {}
    ((entry, count),) = guarded.account.entries().items()
    assert (entry.outcome, count) == (Outcome.RETRIED, 1)


def test_guard_gives_up_on_a_shape_when_others_work(by_products):
    """Two failures of one shape and a working control: only that shape goes to products."""
    with guard("cpu") as guarded, inject("cpu", "CUFFT_INTERNAL_ERROR", times=2) as broken:
        for _ in range(3):
            torch.fft.rfft(speech(640))
        assert by_products["calls"] == 3
        torch.fft.rfft(speech(641))
        assert by_products["calls"] == 3
    assert guarded.given_up == {}
    assert broken.seen == 4  # two failures, the control, the other shape


def test_guard_raises_a_dead_context_with_a_note():
    """An error the FFT only reports is not masked: PyTorch's text stays, and a note says what it means."""
    with guard("cpu") as guarded, inject("cpu", Fault.DEAD_CONTEXT):
        with pytest.raises(RuntimeError, match="cuFFT error: CUFFT_EXEC_FAILED") as caught:
            stft(speech())
        notes = "".join(getattr(caught.value, "__notes__", [])) + str(caught.value)
        assert "illegal memory access" in notes
        assert "CUDA_LAUNCH_BLOCKING" in notes
    assert not guarded.account.entries()


def test_guard_leaves_other_errors_alone(monkeypatch):
    """Out of memory, hipFFT and any other RuntimeError pass through untouched."""
    for text in ("CUDA out of memory. Tried to allocate 2 GiB", "cuFFT error: HIPFFT_EXEC_FAILED", "boom"):

        def fail(call, text=text):
            raise RuntimeError(text)

        with monkeypatch.context() as patch:
            patch.setattr(dispatch.Call, "by_library", fail)
            with guard("cpu") as guarded, pytest.raises(RuntimeError) as caught:
                torch.fft.rfft(speech(64))
        assert str(caught.value) == text
        assert not guarded.account.entries()


def test_verify_catches_wrong_numbers():
    """A library that computes wrong numbers silently is found at the first result of a shape, and replaced for it."""
    x = speech()
    expected = stft(x)
    with guard("cpu", verify=True) as guarded, inject("cpu", Fault.WRONG_NUMBERS, after=1):
        assert torch.equal(stft(x), expected)
        torch.testing.assert_close(stft(x), expected, rtol=1e-4, atol=2e-5)  # the second execution is checked too
        torch.testing.assert_close(stft(x), expected, rtol=1e-4, atol=2e-5)
    ((entry, count),) = guarded.account.entries().items()
    assert (entry.code, count) == ("wrong numbers", 2)
    with inject("cpu", "wrong-numbers"):
        assert not torch.allclose(stft(x), expected)


def test_verify_does_not_complain_about_nan_or_nothing(by_products):
    """NaN in, NaN out, and a silent signal, are no wrong numbers."""
    with guard("cpu", verify=True) as guarded:
        assert torch.fft.rfft(torch.full((8,), float("nan"))).isnan().all()
        torch.fft.rfft(torch.zeros(16))
    assert not guarded.account.entries()


def test_an_empty_batch_decides_nothing():
    """cuFFT refuses an empty batch with INVALID_SIZE: the guard answers it, and goes on with the library."""
    with guard("cpu") as guarded, inject("cpu", "CUFFT_INVALID_SIZE", times=2):
        assert torch.fft.rfft(torch.zeros(0, 16)).shape == (0, 9)
        assert torch.equal(torch.fft.rfft(speech(16)), torch.fft.rfft(speech(16)))
    assert guarded.given_up == {}


def test_a_hang_ends_when_the_injection_is_closed():
    """ "hang" blocks the calling thread until the handle is closed."""
    done = threading.Event()

    def work():
        torch.fft.rfft(speech(64))
        done.set()

    hanging = inject("cpu", "hang")
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.1)
    assert not done.is_set()
    hanging.close()
    assert done.wait(30)


def test_a_crash_is_a_segmentation_fault():
    """ "crash" ends the process as a crashing cuFFT would."""
    code = "import torch; from cufft_harness.fft import inject; inject('cpu', 'crash'); torch.fft.rfft(torch.ones(8))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert finished.returncode == -11


def test_understood_calls_are_the_valid_ones():
    """Only calls that PyTorch would accept are answered by products."""
    x = torch.zeros(4, 8)
    assert aten.understands(x, [1], 0, True)
    assert not aten.understands(x, [1, 1], 0, True)
    assert not aten.understands(x, [2], 0, True)
    assert not aten.understands(x, [], 0, True)
    assert not aten.understands(x, [1], 3, True)
    assert not aten.understands(x.to(torch.int64), [1], 0, True)
    assert aten.understands(x.to(torch.complex64), [], 0, False)
