"""The in-process STFT check: what it promises to the doctor and to the sampling worker."""

import pytest
import torch
from cufft_harness.cufft import CufftResult
from cufft_harness.fft import Fault, inject
from cufft_harness.probes import bypass as bypass_probe
from cufft_harness.probes import stft as probe
from cufft_harness.probes.outcome import Verdict, error_code
from cufft_harness.probes.shapes import ALL_SHAPES, XTTS_SHAPES


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_every_shape_passes_on_the_cpu():
    """On a sound device all shapes of all models pass, and the deviation measured is that of float32."""
    result = probe.check_stft("cpu", ALL_SHAPES)
    assert result.verdict is Verdict.PASS
    assert 0 < result.relative_error < 1e-5
    assert result.seconds > 0


def test_the_reference_agrees_with_torch_in_float64():
    """The reference by definition is the STFT that torch computes, to float64 precision."""
    signal = probe.white_noise(2, 4000)
    for shape in XTTS_SHAPES:
        error = probe.relative_error(probe.stft(signal, shape), probe.stft_by_definition(signal, shape))
        assert error < 1e-12, shape


@pytest.mark.parametrize("failing_call", [1, 2])
def test_an_error_keeps_its_code_and_names_the_shape(monkeypatch, failing_call):
    """A cuFFT error on the first or second call is a failure with the code, the shape and the call."""
    calls = []

    def broken(signal, shape, real=probe.stft):
        calls.append(shape)
        if len(calls) == failing_call:
            raise RuntimeError("cuFFT error: CUFFT_INVALID_SIZE")
        return real(signal, shape)

    monkeypatch.setattr(probe, "stft", broken)
    result = probe.check_stft("cpu")
    assert (result.verdict, result.code, result.case) == (Verdict.FAILED, "CUFFT_INVALID_SIZE", XTTS_SHAPES[0].name)
    assert f"call {failing_call}" in result.detail


@pytest.mark.parametrize("spoil", [lambda x: x * 1.01, lambda x: x * float("nan"), lambda x: x[..., :-1]])
def test_wrong_numbers_on_the_second_call_are_found(monkeypatch, spoil):
    """A second call that is off by a percent, NaN or of another shape is *wrong numbers*, although nothing raised."""
    calls = []

    def forgetful(signal, shape, real=probe.stft):
        calls.append(shape)
        return spoil(real(signal, shape)) if len(calls) == 2 else real(signal, shape)

    monkeypatch.setattr(probe, "stft", forgetful)
    result = probe.check_stft("cpu")
    assert result.verdict is Verdict.WRONG_NUMBERS
    assert "call 2" in result.detail


@pytest.mark.parametrize("code", [CufftResult.CUFFT_INVALID_SIZE, CufftResult.CUFFT_INTERNAL_ERROR])
def test_a_broken_library_is_found_and_the_bypass_gets_round_it(code):
    """With every FFT of the device failing as a broken cuFFT does: the check fails with the code, the bypass passes."""
    with inject("cpu", code):
        result = probe.check_stft("cpu")
        assert (result.verdict, result.code) == (Verdict.FAILED, code.name)
        assert bypass_probe.run("cpu").verdict is Verdict.PASS
    assert probe.check_stft("cpu").verdict is Verdict.PASS


def test_a_library_with_wrong_numbers_cannot_fool_the_reference():
    """Numbers that are wrong in every FFT of the process are found, because the reference uses none."""
    with inject("cpu", Fault.WRONG_NUMBERS):
        assert probe.check_stft("cpu").verdict is Verdict.WRONG_NUMBERS


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine whose CUDA device is not usable")
def test_a_device_that_is_not_there_could_not_be_tested():
    """Without a device the answer is *could not be tested* with the reason, not a failure of the FFT."""
    result = probe.check_stft("cuda")
    assert result.verdict is Verdict.NOT_TESTED
    assert "cuda" in result.detail


def test_the_global_random_state_is_untouched():
    """The check draws from its own generator: training continues with the numbers it would have had."""
    before = torch.random.get_rng_state()
    probe.check_stft("cpu")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cuFFT error: CUFFT_INTERNAL_ERROR", "CUFFT_INTERNAL_ERROR"),
        ("cuFFT error: unknown error 17", "CUFFT_MISSING_DEPENDENCY"),
        ("cuFFT error: HIPFFT_PARSE_ERROR", "HIPFFT_PARSE_ERROR"),
        ("CUDA out of memory. Tried to allocate 2 GiB", "CUDA out of memory"),
        ("MKL FFT error: Intel oneMKL DFTI ERROR: Inconsistent configuration parameters", "MKL FFT error"),
        ("expected a complex tensor", None),
    ],
)
def test_error_codes_are_read_from_messages(text, code):
    """The name of the failure comes from the message; a message without one has no code."""
    assert error_code(text) == code
