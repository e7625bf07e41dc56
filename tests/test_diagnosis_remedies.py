"""What is offered fits the program that failed: no tool of another framework, and the versions that it has."""

import re

import pytest
from cufft_harness.diagnosis.catalogue import catalogue
from cufft_harness.diagnosis.facts import Environment, Gpu
from cufft_harness.diagnosis.from_text import read_log
from cufft_harness.diagnosis.log_input import Source
from cufft_harness.diagnosis.programs import Framework
from cufft_harness.diagnosis.remedies import remedy_for
from cufft_harness.diagnosis.rules import rank

# Words that only this framework's users can follow. `cufft-harness run` is for PyTorch programs.
TOOLS = {
    Framework.PYTORCH: r"torch|cufft-harness run|PYTORCH_|autocast|fp16_run|is_half",
    Framework.CUPY: r"cupy|CUPY_",
    Framework.JAX: r"\bjax|XLA_",
    Framework.TENSORFLOW: r"tensorflow|TF_|\btf\.",
    Framework.PADDLE: r"paddle|FLAGS_",
    Framework.OPENMM: r"openmm|UseCpuPme|PME|OpenCL",
    Framework.RELION: r"relion|--gpu\b|CUDA_ARCH",
    Framework.JULIA: r"CUDA\.jl|CUDA\.reclaim|julia|GC\.gc|mul!",
    Framework.PYCUDA: r"pycuda|skcuda|scikit-cuda",
    Framework.MATLAB: r"gpuDevice|gather\(|MATLAB",
}
# The container runtime's flag is no option of RELION.
NOT_RELIONS = re.compile(r"docker run --gpus")


def _texts(remedy):
    return [NOT_RELIONS.sub("", text) for text in (*remedy.fix, remedy.meanwhile, remedy.next_experiment)]


@pytest.mark.parametrize("framework", list(Framework))
def test_no_remedy_names_a_tool_of_another_framework(framework):
    """Every cause in every framework, with nothing known of versions."""
    for cause in catalogue().values():
        remedy = remedy_for(cause, framework)
        assert remedy.fix, cause.id
        assert not [text for text in _texts(remedy) if re.search(r"\{(?:stand-in|cpu|build|keep|reinstall)", text)]
        if cause.only and framework is not Framework(cause.only):
            continue  # says that it is another's cause, or, of an unknown program, what that framework's user would do
        for other, tools in TOOLS.items():
            if other is not framework:
                assert not [text for text in _texts(remedy) if re.search(tools, text, re.IGNORECASE)], (cause.id, other)


@pytest.mark.parametrize("framework", [Framework.OPENMM, Framework.CPP, Framework.UNKNOWN])
def test_a_cause_of_one_framework_offers_nothing_to_another(framework):
    """It says that it exists in that framework only."""
    remedy = remedy_for(catalogue()["plan-cache-wrong-device-old"], framework)
    assert ("PyTorch only" in remedy.fix[0]) is (framework is not Framework.UNKNOWN)


@pytest.mark.parametrize(
    ("torch", "command"),
    [
        (
            (2, 0, 1),
            "torch==2.0.1 torchaudio==2.0.2 --force-reinstall --index-url https://download.pytorch.org/whl/cu118",
        ),
        (
            (2, 1, 0),
            "torch==2.1.0 torchaudio==2.1.0 --force-reinstall --index-url https://download.pytorch.org/whl/cu118",
        ),
        ((1, 13, 1), "torch==2.0.1 torchaudio==2.0.2"),
        ((2, 1), "torch==2.1.2 torchaudio==2.1.2"),
        (None, "torch torchaudio --index-url https://download.pytorch.org/whl/cu118"),
    ],
)
def test_a_build_for_another_cuda_keeps_the_projects_pytorch(torch, command):
    """The same version where such a build exists, the nearest where none does, and none named where none is known."""
    fix = "\n".join(remedy_for(catalogue()["old-cufft-on-ada-hopper"], Framework.PYTORCH, Environment(torch=torch)).fix)
    assert command in fix


@pytest.mark.parametrize(
    ("gpu", "framework", "cause", "words"),
    [
        (Gpu("RTX 5090", (12, 0)), Framework.PYTORCH, "toolkit-too-old-for-card", "whl/cu128"),
        (Gpu("RTX 2070", (7, 5)), Framework.TENSORFLOW, "toolkit-too-old-for-card", "CUDA 10.0 or later"),
        (Gpu("Quadro K4000", (3, 0)), Framework.CPP, "gpu-too-old-for-cufft", "toolkit 10.2 or earlier"),
        (Gpu("GTX 1060", (6, 1)), Framework.OPENMM, "gpu-too-old-for-cufft", "cuda-version=12.9"),
    ],
)
def test_the_cuda_that_is_asked_for_is_the_cards(gpu, framework, cause, words):
    """Not older than the card needs, not newer than it is supported."""
    fix = "\n".join(remedy_for(catalogue()[cause], framework, Environment(gpus=(gpu,))).fix)
    assert words in fix


@pytest.mark.parametrize(
    "log",
    [
        "openmm.OpenMMException: Error initializing FFT: 5\nGPU: RTX 4090",
        "OSError: (External) CUFFT error(5). paddle.fft.rfft",
        "in: /relion/src/projector.cpp\nfailed to create cufft plan",
        "cupy.cuda.cufft.CuFFTError: CUFFT_INTERNAL_ERROR",
    ],
)
def test_users_of_other_programs_are_not_sent_to_run(log):
    """`cufft-harness run` and torch's commands appear for PyTorch programs only."""
    for finding in rank(read_log(Source(log))):
        assert not [text for text in _texts(finding.remedy) if re.search(TOOLS[Framework.PYTORCH], text)]
