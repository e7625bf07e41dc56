"""What programs may import: the list, that it is light, and what its own two functions promise."""

import json
import subprocess
import sys
from dataclasses import asdict

import cufft_harness
import pytest
from cufft_harness import Placement, StftShape, Tier, api
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.registry import PROBES
from cufft_harness.probes.runner import Results, run_probes
from cufft_harness.processes import python_module

PUBLIC = {
    "guard", "bypass", "inject", "Account", "diagnose", "Finding", "examine", "Examination", "Status", "pick_device",
    "Placement", "Tier", "StftShape", "CufftResult", "Fault", "HarnessError", "UserError", "MachineError",
}  # fmt: skip
MINE = StftShape("mine", n_fft=600, hop_length=120, win_length=600, sample_rate=24_000)
NAMES = ("stft", "bypass")


def test_the_public_names_are_these():
    """Nothing is added or taken away unseen, and each name is there."""
    assert set(cufft_harness.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(cufft_harness, name).__name__ == name
        assert name in dir(cufft_harness)
    with pytest.raises(AttributeError, match="no attribute 'gard'"):
        _ = cufft_harness.gard


def test_importing_the_package_imports_next_to_nothing():
    """No torch, and none of our own modules either, until a name is asked for; the light ones need no torch then."""
    code = (
        "import sys, cufft_harness\n"
        "assert not [name for name in sys.modules if name.startswith('cufft_harness.')]\n"
        "sys.modules['torch'] = None\n"
        f"for name in {sorted(PUBLIC - {'guard', 'bypass', 'inject', 'Account'})}: getattr(cufft_harness, name)\n"
        "assert cufft_harness.diagnose('RuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR RTX 4090 torch 1.13+cu117')"
        "[0].cause.id == 'old-cufft-on-ada-hopper'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_text_without_a_cause_is_undetermined():
    """Empty text too: the answer is never empty."""
    for text in ("", "hello", "\ud800"):
        assert cufft_harness.diagnose(text)[0].cause.id == "undetermined"


@pytest.mark.parametrize(
    ("stft", "bypass", "placement"),
    [
        (Verdict.PASS, Verdict.PASS, Placement(Tier.NATIVE, "cuda:1")),
        (Verdict.FAILED, Verdict.PASS, Placement(Tier.BYPASS, "cuda:1")),
        (Verdict.HUNG, Verdict.CRASHED, Placement(Tier.CPU, "cpu")),
        (Verdict.NOT_TESTED, Verdict.NOT_TESTED, Placement(Tier.CPU, "cpu")),
    ],
)
def test_the_place_is_the_best_that_its_probe_proved(monkeypatch, stft, bypass, placement):
    """cuFFT where it is right, the GPU without it where that is, else the CPU."""

    def probed(probes, device, **_):
        assert device == "cuda:1"
        verdicts = {"stft": stft, "bypass": bypass}
        return Results({probe.name: Outcome(verdicts[probe.name], None, "") for probe in probes})

    monkeypatch.setattr("cufft_harness.doctor.examination.why_no_gpu", lambda *_: "")
    monkeypatch.setattr("cufft_harness.probes.runner.run_probes", probed)
    assert api.pick_device([MINE], "cuda:1") == placement


def test_without_a_gpu_the_place_is_the_cpu(monkeypatch):
    """Known from the driver, without PyTorch; and where the CPU is asked for, nothing is asked."""
    monkeypatch.setattr("cufft_harness.probes.runner.run_probes", lambda *_, **__: pytest.fail("probed"))
    monkeypatch.setattr("cufft_harness.doctor.examination.why_no_gpu", lambda *_: "there is no CUDA driver here")
    assert api.pick_device() == Placement(Tier.CPU, "cpu")
    assert api.pick_device(device="cpu") == Placement(Tier.CPU, "cpu")


def test_the_shapes_of_the_program_are_what_is_tried():
    """In the child, by the library and without it; a shape that no STFT can have fails by both."""
    probes = [probe for probe in PROBES if probe.name in NAMES]

    def outcomes(shape):
        child = python_module("cufft_harness.probes.for_shapes", json.dumps([asdict(shape)]))
        return [run_probes(probes, "cpu", command=child).outcomes[name] for name in NAMES]

    assert [outcome.verdict for outcome in outcomes(MINE)] == [Verdict.PASS, Verdict.PASS]
    impossible = StftShape("impossible", n_fft=600, hop_length=0, win_length=600, sample_rate=24_000)
    assert [outcome.verdict for outcome in outcomes(impossible)] == [Verdict.FAILED, Verdict.FAILED]
