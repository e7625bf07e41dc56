"""The doctor: from facts about a machine to status, cause and fix; and the command itself on this machine."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cufft_harness.diagnosis.rules import Confidence
from cufft_harness.doctor import report
from cufft_harness.doctor.examination import conclude, why_no_gpu
from cufft_harness.doctor.issue import repro_script, write_issue
from cufft_harness.driver import Device, DriverReport, SystemReport
from cufft_harness.errors import UserError
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.registry import PROBES
from cufft_harness.probes.runner import Results
from cufft_harness.status import Status

from repro.simdriver.build import build, find_compiler

RTX_3090 = Device("NVIDIA GeForce RTX 3090", (8, 6), 24 * 2**30)
RTX_4090 = Device("NVIDIA GeForce RTX 4090", (8, 9), 24 * 2**30)
SOUND_SYSTEM = SystemReport(kernel_module="570.86.10", torch="2.8.0", pinned_cufft="11.3.3.83")
SOUND_DRIVER = DriverReport(present=True, cuda=(12, 8), init_code=0, devices=(RTX_3090,), jit_library=True, ptx_code=0)
TORCH_28 = {
    "torch": "2.8.0+cu128", "cuda": "12.8", "hip": None, "cufft": "11.3.3",
    "arch_list": ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"],
    "libraries": {"libcufft": ["/venv/nvidia/cufft/lib/libcufft.so.11"]}, "free": 20 * 2**30, "total": 24 * 2**30,
}  # fmt: skip
STFT_512 = "XTTS speaker encoder (n_fft 512), call 1: cuFFT error: {code}"


def _results(torch=TORCH_28, **outcomes):
    """All experiments pass, but for those given."""
    passed = {probe.name: Outcome(Verdict.PASS, None, "", 1e-7) for probe in PROBES}
    return Results({**passed, **outcomes}, torch)


def _failed(code, detail=STFT_512):
    return Outcome(Verdict.FAILED, code, detail.format(code=code))


def test_the_original_machine_is_diagnosed_as_the_missing_jit_compiler():
    """LXC, driver 550, RTX 3090, torch 2.8+cu128, only libcuda and libnvidia-ml mounted, INVALID_SIZE at n_fft 512."""
    examination = conclude(
        "cuda",
        SystemReport(
            kernel_module="550.163.01",
            container="lxc",
            driver_mounts=("libcuda.so.1", "libnvidia-ml.so.1"),
            torch="2.8.0",
            pinned_cufft="11.3.3.83",
        ),
        DriverReport(present=True, cuda=(12, 4), init_code=0, devices=(RTX_3090,), jit_library=False, ptx_code=221),
        _results(stft=_failed("CUFFT_INVALID_SIZE")),
    )
    assert examination.status is Status.FALLBACK
    assert examination.status.exit_code == 3
    first = examination.findings[0]
    assert first.cause.id == "ptx-jit-unavailable"
    assert first.confidence is Confidence.HIGH
    fix = "\n".join(first.remedy.fix)
    assert "lxc.mount.entry" in fix
    assert "libnvidia-ptxjitcompiler.so.1" in fix
    assert any("221" not in reason and "not found" in reason for reason in first.supports)


def test_a_sound_machine_is_healthy_and_has_no_causes():
    """Everything passes: exit code 0, nothing to name; known limits do not count as faults."""
    examination = conclude(
        "cuda",
        SOUND_SYSTEM,
        SOUND_DRIVER,
        _results(half=_failed("x"), empty_batch=_failed("y"), jit_disabled=_failed("z")),
    )
    assert examination.status is Status.HEALTHY
    assert examination.status.exit_code == 0
    assert examination.findings == ()


def test_a_missing_compiler_under_a_cuda_11_build_is_a_warning():
    """It works now, and would not with a build for CUDA 12: said, but healthy."""
    driver = dataclasses.replace(SOUND_DRIVER, jit_library=False, ptx_code=221)
    examination = conclude("cuda", SOUND_SYSTEM, driver, _results())
    assert examination.status is Status.HEALTHY
    assert "PTX JIT compiler" in examination.warnings[0]


@pytest.mark.parametrize(
    ("changes", "status", "cause"),
    [
        # an RTX 4090 under a cuFFT of CUDA 11.7
        (
            {
                "driver": dataclasses.replace(SOUND_DRIVER, devices=(RTX_4090,)),
                "torch": {**TORCH_28, "torch": "1.13.1+cu117", "cuda": "11.7", "cufft": None, "arch_list": []},
                "stft": _failed("CUFFT_INTERNAL_ERROR"),
            },
            Status.FALLBACK,
            "old-cufft-on-ada-hopper",
        ),
        # another cuFFT than the one PyTorch asks for
        (
            {"torch": {**TORCH_28, "cufft": "11.0.2"}, "stft": _failed("CUFFT_INTERNAL_ERROR")},
            Status.FALLBACK,
            "mixed-cuda-libraries",
        ),
        # right on the first call only, in the build for CUDA 11.1
        (
            {
                "torch": {**TORCH_28, "torch": "1.8.1+cu111", "cuda": "11.1", "cufft": "10.3.0"},
                "transforms": Outcome(Verdict.WRONG_NUMBERS, None, "off", 1.0, 0.1, "rfft of 1009", 2),
            },
            Status.FALLBACK,
            "cufft-111-plan-reuse-wrong",
        ),
        # nothing but a few MiB are free
        (
            {"torch": {**TORCH_28, "free": 40 * 2**20}, "stft": _failed("CUFFT_INTERNAL_ERROR")},
            Status.FALLBACK,
            "low-free-vram",
        ),
        # the build has no code for the GPU: the control fails
        (
            {
                "torch": {**TORCH_28, "arch_list": ["sm_90", "sm_120"]},
                "matmul": _failed(
                    "no kernel image", "CUDA error: no kernel image is available for execution on the device"
                ),
                "stft": _failed(
                    "no kernel image", "CUDA error: no kernel image is available for execution on the device"
                ),
            },
            Status.BROKEN,
            "wheel-lacks-gpu-arch",
        ),
        # CUDA 13 under a driver for CUDA 12
        (
            {
                "torch": {**TORCH_28, "torch": "2.11.0+cu130", "cuda": "13.0", "cufft": "12.0.0"},
                "matmul": _failed("x", "The NVIDIA driver on your system is too old (found version 12080)"),
            },
            Status.BROKEN,
            "cuda13-cufft-driver-too-old",
        ),
        # the same without a JIT compiler, which does not explain why nothing at all works
        (
            {
                "torch": {**TORCH_28, "torch": "2.11.0+cu130", "cuda": "13.0", "cufft": "12.0.0"},
                "driver": dataclasses.replace(SOUND_DRIVER, cuda=(12, 4), jit_library=False, ptx_code=221),
                "matmul": _failed("x", "The NVIDIA driver on your system is too old (found version 12040)"),
            },
            Status.BROKEN,
            "cuda13-cufft-driver-too-old",
        ),
        # hipFFT
        (
            {
                "torch": {
                    **TORCH_28,
                    "torch": "2.8.0+rocm6.3",
                    "cuda": None,
                    "hip": "6.3",
                    "cufft": None,
                    "libraries": {},
                },
                "driver": DriverReport(problem="libcuda.so.1 cannot be loaded"),
                "stft": _failed("HIPFFT_EXEC_FAILED"),
            },
            Status.FALLBACK,
            "rocm-hipfft",
        ),
        # a crash in the FFT
        (
            {"stft": Outcome(Verdict.CRASHED, "SIGSEGV", "the process died in stft")},
            Status.FALLBACK,
            "makeplan-segfault",
        ),
        # neither cuFFT nor the fallback works
        (
            {"stft": _failed("CUFFT_INTERNAL_ERROR"), "bypass": Outcome(Verdict.WRONG_NUMBERS, None, "off", 0.1)},
            Status.BROKEN,
            "undetermined",
        ),
        # a hang: reported, never explained
        ({"stft": Outcome(Verdict.HUNG, None, "no answer")}, Status.FALLBACK, "undetermined"),
        # a symbol missing while importing torch
        (
            {"torch": {"torch": None, "import_error": "libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4"}},
            Status.BROKEN,
            "mixed-cuda-libraries",
        ),
    ],
)
def test_faults_of_a_machine_are_named(changes, status, cause):
    """Each kind of fault, as facts, comes out as its cause and with the status that the exit code tells."""
    changes = dict(changes)
    driver, torch = changes.pop("driver", SOUND_DRIVER), changes.pop("torch", TORCH_28)
    examination = conclude("cuda", SOUND_SYSTEM, driver, _results(torch, **changes))
    assert examination.status is status
    assert examination.findings[0].cause.id == cause


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler (gcc) to build the simulated libcuda")
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="a real driver would answer instead")
def test_the_command_survives_a_simulated_driver(tmp_path):
    """With a libcuda that only pretends to an RTX 3090: an answer, an exit code of the contract, the JIT state."""
    build(tmp_path)
    device = {"SIMCUDA_DEVICE_NAME": "NVIDIA GeForce RTX 3090", "SIMCUDA_JIT_ERROR": "223"}
    env = {**os.environ, **device, "LD_LIBRARY_PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cufft_harness", "doctor", "--json", "--quick"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    data = json.loads(finished.stdout)
    assert finished.returncode == data["exit_code"] in (3, 4, 5)
    assert data["driver"]["ptx_code"] == 223
    assert data["driver"]["devices"][0]["name"] == "NVIDIA GeForce RTX 3090"
    assert data["probes"]["matmul"]["verdict"] != "pass"


def test_a_driver_that_dies_is_broken_and_no_gpu_experiment_is_started():
    """A crash in cuInit is a verdict: nothing else touches that driver."""
    driver = DriverReport(present=True, died="SIGSEGV in init", cuda=(12, 4))
    assert "SIGSEGV in init" in why_no_gpu(SOUND_SYSTEM, driver)
    untested = {
        probe.name: Outcome(Verdict.NOT_TESTED if probe.needs_gpu else Verdict.PASS, None, "") for probe in PROBES
    }
    examination = conclude("cpu", SOUND_SYSTEM, driver, Results(untested))
    assert examination.status is Status.BROKEN
    assert examination.status.exit_code == 4


def test_reasons_for_having_no_gpu_are_told_apart():
    """CPU build, no driver, no device; and an AMD card needs no libcuda."""
    assert "CPU only" in why_no_gpu(SystemReport(torch="2.8.0+cpu"), SOUND_DRIVER)
    assert "no CUDA driver" in why_no_gpu(SOUND_SYSTEM, DriverReport())
    assert "no device" in why_no_gpu(SOUND_SYSTEM, DriverReport(present=True, problem="the driver shows no device"))
    assert why_no_gpu(SystemReport(torch="2.8.0+rocm6.3"), DriverReport()) == ""
    assert why_no_gpu(SOUND_SYSTEM, SOUND_DRIVER) == ""


def test_without_pytorch_the_library_is_tried_by_itself(monkeypatch):
    """No PyTorch: the experiments are those with a bare libcufft; without one, exit code 5 and the reason."""
    from cufft_harness.doctor import examination as module

    monkeypatch.setattr(module, "read_system", lambda path: SystemReport(kernel_module="570.86.10"))
    monkeypatch.setattr(module, "probe_driver", lambda: SOUND_DRIVER)
    monkeypatch.setattr(module.copies, "found", lambda python: [])
    result = module.examine()
    assert result.status.exit_code == 5
    assert {outcome.detail for outcome in result.results.outcomes.values()} == {
        "no libcufft was found; --library names one"
    }
    assert report.as_json(result)["probes"]["library_512"]["title"].startswith("cuFFT alone")


def test_a_library_is_examined_shown_and_compared_after_the_fix(tmp_path):
    """A libcufft that other programs load fails, is diagnosed for any program, and is found cured later."""
    build(tmp_path)
    library = tmp_path / "cufft"
    library.mkdir()
    source = Path(__file__).parent / "simulated" / "libcufft.c"
    command = [find_compiler(), "-O2", "-shared", "-fPIC", "-o", str(library / "libcufft.so.11"), str(source), "-lm"]
    subprocess.run(command, check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "SIMCUDA_HOST_MEMORY": "1", "XDG_STATE_HOME": str(tmp_path)}
    doctor = [sys.executable, "-m", "cufft_harness", "doctor", "--quick", "--library", str(library)]

    def run(*arguments, **variables):
        return subprocess.run(
            [*doctor, *arguments], capture_output=True, text=True, check=False, env={**env, **variables}
        )

    broken = json.loads(run("--json", SIMCUFFT_ERROR="5", SIMCUDA_JIT_ERROR="221").stdout)
    assert (broken["exit_code"], broken["probes"]["library_512"]["code"]) == (4, "CUFFT_INTERNAL_ERROR")
    assert broken["causes"][0]["id"] == "ptx-jit-unavailable"
    assert not any("torch" in line.lower() for line in broken["causes"][0]["fix"])
    cured = run("--verify")
    assert cured.returncode == 0, cured.stdout
    assert "changed: experiment library_512: failed -> pass" in cured.stdout
    assert "changed: PTX JIT compiler: does not work" in cured.stdout
    assert cured.stdout.splitlines()[-1] == "Cured: what failed then passes now."
    assert "Not cured" in run("--verify", SIMCUFFT_ERROR="8").stdout
    nothing = run("--verify", XDG_STATE_HOME=str(tmp_path / "none"))
    assert "nothing to compare with" in nothing.stdout


def test_the_issue_folder_holds_a_script_that_needs_nothing_of_ours(tmp_path):
    """issue.md, environment.json, a repro.py that names the failing shape; never in a folder with other files."""
    examination = conclude(
        "cuda",
        SOUND_SYSTEM,
        SOUND_DRIVER,
        _results(stft=dataclasses.replace(_failed("CUFFT_INVALID_SIZE"), case="Whisper log-mel", call=1)),
    )
    folder = tmp_path / "issue"
    names = [path.name for path in write_issue(examination, folder)]
    assert names == ["issue.md", "environment.json", "repro.py"]
    script = (folder / "repro.py").read_text()
    assert "n_fft, hop_length, win_length = 400, 160, 400" in script
    assert "harness" not in script
    assert "CUFFT_INVALID_SIZE" in (folder / "issue.md").read_text()
    assert json.loads((folder / "environment.json").read_text())["status"] == "broken-with-fallback"
    with pytest.raises(UserError):
        write_issue(examination, folder)


def test_the_script_runs_here_on_the_cpu(tmp_path):
    """The self-contained script is a working program: on a device whose FFT is right it passes."""
    examination = conclude("cpu", SOUND_SYSTEM, DriverReport(), _results())
    script = tmp_path / "repro.py"
    script.write_text(repro_script(examination))
    finished = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "passed" in finished.stdout


def test_where_no_cause_fits_the_advice_is_not_a_circle():
    """The doctor never ends by advising to run the doctor: it says to write it up, or where to run it."""
    hang = conclude("cuda", SOUND_SYSTEM, SOUND_DRIVER, _results(stft=Outcome(Verdict.HUNG, None, "no answer")))
    assert "--issue" in report.markdown(hang)
    assert "Next experiment" not in report.markdown(hang)
    nothing = conclude("cpu", SOUND_SYSTEM, DriverReport(), _results())
    assert "where it fails" in report.markdown(nothing)


def test_markdown_and_json_hold_what_the_table_holds():
    """All three outputs show machine, experiments and the first cause."""
    driver = dataclasses.replace(SOUND_DRIVER, jit_library=False, ptx_code=221)
    examination = conclude("cuda", SOUND_SYSTEM, driver, _results(stft=_failed("CUFFT_INVALID_SIZE")))
    data = report.as_json(examination)
    json.dumps(data)
    assert data["exit_code"] == 3
    assert data["probes"]["stft"]["code"] == "CUFFT_INVALID_SIZE"
    assert data["causes"][0]["id"] == examination.findings[0].cause.id
    text = report.markdown(examination)
    assert "CUFFT_INVALID_SIZE" in text
    assert examination.findings[0].cause.title in text


def test_the_command_runs_on_this_machine():
    """`doctor --quick --json` gives an answer here, with an exit code of the contract and every experiment in it."""
    command = [sys.executable, "-m", "cufft_harness", "doctor", "--json", "--quick"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    data = json.loads(finished.stdout)
    assert finished.returncode == data["exit_code"]
    assert finished.returncode in (0, 3, 4, 5)
    assert set(data["probes"]) == {probe.name for probe in PROBES if probe.quick}
    if not data["driver"]["present"]:
        assert data["status"] == "could-not-test"
        assert data["probes"]["stft"]["verdict"] == "pass"


def test_an_occupied_issue_folder_is_refused_before_the_work(tmp_path):
    """`--issue` with a folder that is not empty is one line and exit code 2, and nothing in it changes."""
    (tmp_path / "mine.txt").write_text("keep")
    command = [sys.executable, "-m", "cufft_harness", "doctor", "--issue", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert len(finished.stderr.splitlines()) == 1
    assert (tmp_path / "mine.txt").read_text() == "keep"
