"""Result codes and PyTorch's words for them."""

import subprocess
import sys

import pytest
from cufft_harness.cufft import CufftResult, FftLibrary, parse, pytorch_message


@pytest.mark.parametrize("result", [code for code in CufftResult if code])
def test_every_code_survives_pytorchs_wording(result):
    """What PyTorch would print for a code is read back as that code, names and bare numbers alike."""
    error = parse(f"RuntimeError: {pytorch_message(result)}\n")
    assert error is not None
    assert error.result is result
    assert error.name == result.name
    assert error.is_cufft
    assert error.message == pytorch_message(result)


def test_cuda_13_codes_are_printed_as_numbers_and_told_apart():
    """17 to 20 are new in CUDA 13 and nameless in PyTorch; 10, 12 and 15 are gone from it; the rest are in both."""
    assert [int(code) for code in CufftResult if code.since_cuda_13] == [17, 18, 19, 20]
    assert [int(code) for code in CufftResult if code.gone_in_cuda_13] == [10, 12, 15]
    assert pytorch_message(CufftResult.CUFFT_NVJITLINK_FAILURE) == "cuFFT error: unknown error 19"
    assert not CufftResult.CUFFT_NVRTC_FAILURE.exists_in(12)
    assert CufftResult.CUFFT_LICENSE_ERROR.exists_in(12)
    assert not CufftResult.CUFFT_LICENSE_ERROR.exists_in(13)
    assert CufftResult.CUFFT_INVALID_SIZE.exists_in(12)
    assert CufftResult.CUFFT_INVALID_SIZE.exists_in(13)


def test_old_wording_gives_file_and_line():
    """Releases before 1.8 and abort messages carry the C++ source; it is kept apart from the name."""
    error = parse("what():  cuFFT error: CUFFT_INVALID_PLAN (CUFFT_CHECK at /pytorch/aten/native/cuda/CuFFTUtils.h:70)")
    assert error is not None
    assert error.result is CufftResult.CUFFT_INVALID_PLAN
    assert error.source == "/pytorch/aten/native/cuda/CuFFTUtils.h:70"


def test_hipfft_is_recognised_and_is_not_cufft():
    """ROCm builds use the same prefix: the failure is hipFFT's, with its own name."""
    error = parse("RuntimeError: cuFFT error: HIPFFT_EXEC_FAILED")
    assert error is not None
    assert error.library is FftLibrary.HIPFFT
    assert not error.is_cufft
    assert error.result is None
    assert error.name == "HIPFFT_EXEC_FAILED"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CUDA error: an illegal memory access was encountered",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "stft(torch.FloatTensor[1, 3], n_fft=8): expected 0 < n_fft < 3",
        "cuFFT only supports dimensions whose sizes are powers of two when computing in half precision",
        "nothing about a cuFFT error here",
    ],
)
def test_other_errors_are_not_cufft_errors(text):
    """Dead contexts, memory, wrong arguments and documented limits are not taken for cuFFT's failures."""
    assert parse(text) is None


def test_unknown_names_and_numbers_are_kept_as_they_are():
    """A code of a future cuFFT is reported by its number or name, not guessed."""
    number, name = parse("cuFFT error: unknown error 99"), parse("cuFFT error: CUFFT_FROM_THE_FUTURE")
    assert number is not None
    assert name is not None
    assert (number.result, number.name, number.message) == (None, "unknown error 99", "cuFFT error: unknown error 99")
    assert (name.result, name.name) == (None, "CUFFT_FROM_THE_FUTURE")


def test_reading_an_error_imports_no_torch():
    """`diagnose` must start at once."""
    code = "import sys, cufft_harness.cufft; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
