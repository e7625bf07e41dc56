"""The stages of reading a log, each alone: harmless lines, program, codes, versions, contrasts, the error line."""

import importlib
import re

import pytest
from cufft_harness.diagnosis import measured
from cufft_harness.diagnosis.codes import codes_in
from cufft_harness.diagnosis.contrasts import contrasts_in
from cufft_harness.diagnosis.environment import environment_of
from cufft_harness.diagnosis.facts import Sure
from cufft_harness.diagnosis.from_text import read_log
from cufft_harness.diagnosis.harmless import without_harmless
from cufft_harness.diagnosis.log_input import Source
from cufft_harness.diagnosis.matching import Sign
from cufft_harness.diagnosis.programs import Framework, program_in
from cufft_harness.diagnosis.rules import rank
from cufft_harness.diagnosis.signs import signs_in
from cufft_harness.diagnosis.toml import load

from repro.simdriver.measured import TABLE, as_toml

# The log that began it all: XTTS in an LXC container, as its project's pages have it.
FOUNDING = """XTTS v2, RTX 3090 passed into a Proxmox LXC, driver 550.163.01. PyTorch 2.6+ / CUDA 12.4.
Training on the GPU: ok.
  File "TTS/tts/models/xtts.py", in get_conditioning_latents
  ... torchaudio.transforms.Spectrogram -> torch.stft()
RuntimeError: cuFFT error: CUFFT_INVALID_SIZE
CPU: works. Docker on the same machine with PyTorch 2.4.0+cu118: works on the GPU.
LXC config binds: libcuda.so.1, libnvidia-ml.so.1, libnvcuvid.so.1, libnvidia-encode.so.1
"""


def _evidence(text):
    return read_log(Source(text))


def _names(text):
    return _evidence(text).names()


# ---- whole words -------------------------------------------------------------------------------------------------
def _all_signs():
    for table in ("signs.toml", "contrasts.toml"):
        yield from ((f"{table}: {name}", entry) for name, entry in load(table).items())


def _words():
    for name, entry in _all_signs():
        yield from ((name, word) for word in entry.get("any", ()))


def test_no_word_is_found_inside_another():
    """Each word of each sign, with letters grown on to it, is not that word ("integrator" is no Tegra)."""
    letters = re.compile(r"[a-z0-9_]")
    for name, word in _words():
        bare, sign = word.strip("*"), Sign(words=(word,))
        if letters.match(bare[0]) and not word.startswith("*"):
            assert not sign.shows(f"so-called x{bare} here"), (name, word)
        if letters.match(bare[-1]) and not word.endswith("*"):
            assert not sign.shows(f"so-called {bare}x here"), (name, word)
        assert sign.shows(f"so-called {bare} here"), (name, word)


def _example(tree):
    """One text that a parsed pattern matches, with the fewest repetitions and the first of all alternatives."""
    made = ""
    for operation, argument in tree:
        name = str(operation)
        if name == "LITERAL":
            made += chr(argument)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            made += _example(argument[2]) * argument[0]
        elif name == "SUBPATTERN":
            made += _example(argument[-1])
        elif name == "BRANCH":
            made += _example(argument[1][0])
        elif name == "IN":
            made += _one_of(argument)
        elif name in ("NOT_LITERAL", "ANY"):
            made += "q"
    return made


def _one_of(members):
    operation, argument = members[0]
    if str(operation) == "NEGATE":
        return "q"
    if str(operation) == "RANGE":
        return chr(argument[0])
    if str(operation) == "CATEGORY":
        return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(argument), "q")
    return chr(argument)


def test_no_pattern_is_found_inside_a_word():
    """What a pattern matches, with letters grown on to its beginning or end, does not match there."""
    parse = (re._parser if hasattr(re, "_parser") else importlib.import_module("sre_parse")).parse
    tried = 0
    for name, entry in _all_signs():
        for pattern in entry.get("patterns", ()):
            sign = Sign(patterns=(pattern,))
            text = _example(parse(pattern.removeprefix("*")))
            spans = [(at, end) for at, end in sign.places(f"= {text} =") if at <= 2]
            if not spans or pattern.startswith("*") or not re.match(r"[a-z0-9_]", text):
                continue
            tried += 1
            assert not any(at <= 3 for at, _ in sign.places(f"= x{text} =")), (name, pattern, text)
    assert tried > 100


def test_the_machine_is_no_jetson_because_of_an_integrator():
    """Words that contain "tegra" are not the name of a chip."""
    assert "jetson" not in _names("simulation = Simulation(top, system, integrator)\nIntegrated GPU: no")
    assert "jetson" in _names("NVIDIA Jetson Orin, L4T 36")


# ---- harmless lines ----------------------------------------------------------------------------------------------
FACTORY = (
    "2024: E external/local_xla/xla/stream_executor/cuda/cuda_fft.cc:485] Unable to register cuFFT factory: Attempting "
    "to register factory for plugin cuFFT when one has already been registered"
)


def test_a_harmless_line_is_explained_and_the_real_one_is_named():
    """TensorFlow's registration lines: what they mean, and which other line is the failure."""
    evidence = _evidence(
        f"{FACTORY}\nTraceback (most recent call last):\n"
        "ImportError: libtorch_cuda.so: undefined symbol: ncclCommRegister"
    )
    assert [harmless.line.number for harmless in evidence.harmless] == [1]
    assert "registers its CUDA plugins twice" in evidence.harmless[0].means
    assert evidence.error.number == 3
    assert rank(evidence)[0].cause.id == "mixed-cuda-libraries"


def test_harmless_lines_alone_are_the_answer():
    """Nothing else is shown: the message itself is explained."""
    assert rank(_evidence(FACTORY))[0].cause.id == "tensorflow-factory-message"


@pytest.mark.parametrize(
    ("advice", "not_a_fact"),
    [
        ("Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.", "device-assert"),
        (
            "If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation.",
            "large-words",
        ),
        ("transform could fit into memory. Either you are (1) performing very large transforms,", "very-large"),
        ("UserWarning: stft with return_complex=False is deprecated.", "fft"),
    ],
)
def test_stock_advice_is_no_fact_about_this_run(advice, not_a_fact):
    """What a program prints under every failure says nothing of this one."""
    assert not_a_fact not in _names(f"the job stopped\n{advice}\n")


def test_line_numbers_stay_when_lines_are_taken_out():
    """Blanks take the place of what is left out."""
    text = f"a\n{FACTORY.lower()}\nb"
    left, facts, _ = without_harmless(text, text.split("\n"))
    assert left.split("\n")[0::2] == ["a", "b"]
    assert not left.split("\n")[1].strip()
    assert [fact.name for fact in facts] == ["tensorflow-factory"]


# ---- programs, codes ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "framework"),
    [
        ("openmm.OpenMMException: Error initializing FFT: 5", Framework.OPENMM),
        ("in: /relion/src/projector.cpp, line 362\nfailed to create cufft plan", Framework.RELION),
        ("cupy.cuda.cufft.CuFFTError: CUFFT_INTERNAL_ERROR", Framework.CUPY),
        ("XlaRuntimeError: INTERNAL: Failed to create cuFFT batched plan. jnp.fft.fftn", Framework.JAX),
        (
            "F tensorflow/stream_executor/cuda/cuda_fft.cc:435] failed to initialize batched cufft plan",
            Framework.TENSORFLOW,
        ),
        (
            "OSError: (External) CUFFT error(5). (at /paddle/paddle/phi/kernels/funcs/cufft_util.h:127)",
            Framework.PADDLE,
        ),
        ("ERROR: CUFFTError: cuFFT was passed an invalid plan handle (code 1, CUFFT_INVALID_PLAN)", Framework.JULIA),
        ("import skcuda.fft as cu_fft\npycuda._driver.LogicError: context is destroyed", Framework.PYCUDA),
        ("  what():  cuFFT error: CUFFT_EXEC_FAILED at /opt/warp/gtom/src/FFT/FFT.cu:40", Framework.CPP),
        ("torch.stft\nRuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR", Framework.PYTORCH),
        (f"{FACTORY}\nimport torch\nRuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR", Framework.PYTORCH),
        ("it does not work", Framework.UNKNOWN),
    ],
)
def test_the_program_is_known_by_its_own_words(text, framework):
    """Whose frames and messages fail decides, not who is mentioned or makes noise beside it."""
    assert _evidence(text).program.framework is framework
    assert program_in("").framework is Framework.UNKNOWN


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Error initializing FFT: 5", "CUFFT_INTERNAL_ERROR"),
        ("Error executing FFT: 1", "CUFFT_INVALID_PLAN"),
        ("!fail to plan 3d FFT (DFT):11", "CUFFT_INVALID_DEVICE"),
        ("cuFFT error: CUFFT NOT IMPLEMENTED", "CUFFT_NOT_IMPLEMENTED"),
        ("OSError: (External) CUFFT error(5).", "CUFFT_INTERNAL_ERROR"),
        ("CUFFTError(code 2, cuFFT failed to allocate GPU or CPU memory)", "CUFFT_ALLOC_FAILED"),
        ("failed to make cuFFT batched plan:5", "CUFFT_INTERNAL_ERROR"),
        ("failed to create cuFFT batched plan:2", "CUFFT_ALLOC_FAILED"),
        ("Check failed: (cufftPlanMany(&p, 1, &n)) == CUFFT_SUCCESS (2 vs. 0)", "CUFFT_ALLOC_FAILED"),
        ("scikits.cuda.cufft.cufftInvalidValue", "CUFFT_INVALID_VALUE"),
        ("cuFFT error: unknown error 19", "CUFFT_NVJITLINK_FAILURE"),
        ("UFFT error: iplan_x creation failed 2", "CUFFT_ALLOC_FAILED"),
        ("cupy.cuda.cufft.CuFFTError: CUFFT_INVALID_VALUE", "CUFFT_INVALID_VALUE"),
        ("cuFFT: Execution of a plan was on different GPU than plan creation", "CUFFT_INVALID_DEVICE"),
    ],
)
def test_the_codes_of_every_framework_are_one(text, code):
    """By name, by number in the words of each program, or in the sentences of cuFFT's manual."""
    assert [seen.result.name for seen in codes_in(text.lower())][:1] == [code]


def test_a_list_of_codes_is_no_failure():
    """A manual or a source that names all codes shows none of them."""
    manual = "\n".join(
        f"CUFFT_{name} = {number},"
        for number, name in enumerate(
            ("INVALID_PLAN", "ALLOC_FAILED", "INVALID_TYPE", "INVALID_VALUE", "INTERNAL_ERROR", "EXEC_FAILED"), 1
        )
    )
    assert codes_in(manual.lower()) == []


def test_a_number_that_is_no_code_is_said_to_be_none():
    """50 comes from a stub, not from cuFFT."""
    assert "code-beyond-range" in _names("OSError: (External) CUFFT error(50).")


# ---- versions and cards ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "framework", "cuda", "sure"),
    [
        ("PyTorch version: 2.1.0+cu121", Framework.PYTORCH, (12, 1), Sure.PRINTED),
        ("torch 2.3.1", Framework.PYTORCH, (12, 1), Sure.USUAL),
        ("CUDA Build Version : 11020", Framework.CUPY, (11, 2), Sure.PRINTED),
        ("# CUFFT version : 10401", Framework.CPP, (11, 2), Sure.PRINTED),
        ("jaxlib==0.1.57+cuda110", Framework.JAX, (11, 0), Sure.PRINTED),
        ("paddlepaddle-gpu 2.5.1.post120", Framework.PADDLE, (12, 0), Sure.PRINTED),
        ("conda list\ncudatoolkit               11.7.0", Framework.OPENMM, (11, 7), Sure.PRINTED),
        ("tensorflow 2.9.1 on an L40", Framework.TENSORFLOW, (11, 2), Sure.USUAL),
        ("I use CUDA 9.0 and TF 1.14", Framework.TENSORFLOW, (9, 0), Sure.SAID),
        ("Driver Version: 550.120   CUDA Version: 12.4", Framework.RELION, None, Sure.NOT),
        ("singularity image; CUDA 12.6", Framework.OPENMM, None, Sure.NOT),
        ("cudatoolkit 11.2.2. You should consider cudatoolkit 11.8.0", Framework.OPENMM, (11, 2), Sure.PRINTED),
        ("we should require cudatoolkit 11.8", Framework.OPENMM, (11, 8), Sure.SAID),
    ],
)
def test_a_version_is_known_with_how_sure(text, framework, cuda, sure):
    """Printed, said, or usual: what a person says of a container or a driver is not the program's CUDA."""
    found = environment_of(text.lower(), framework)
    assert (found.cuda, found.cuda_sure) == (cuda, sure)


@pytest.mark.parametrize(
    ("text", "fails_on", "works_on"),
    [
        ("It ran fine on an A10G. On an L4 we get the error.", ["an l4"], ["an a10g"]),
        ("works fine on GTX-1080-Ti, RTX-3080 or A100, but when we use it on L40 it gives an error", ["l40"], ["a100"]),
        ("在3090可以运行，但切换到4090上就出现 cuFFT error", ["4090"], ["3090"]),
        ("The RTX 3090 fails", ["rtx 3090"], []),
        ("The RTX 3090 does not work", ["rtx 3090"], []),
        ("a 4090; runs without any errors on an A100", ["4090"], ["a100"]),
        ("it works on the A100 whereas the H100 gives the error", ["h100"], ["a100"]),
        ("my card: RTX 4090", ["rtx 4090"], []),
    ],
)
def test_cards_that_work_are_told_from_those_that_fail(text, fails_on, works_on):
    """The clause around a card's name says which it is."""
    found = environment_of(text.lower())
    assert set(fails_on) <= {gpu.name for gpu in found.gpus}
    assert set(works_on) <= {gpu.name for gpu in found.working_gpus}
    assert not {gpu.name for gpu in found.gpus} & {gpu.name for gpu in found.working_gpus}


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Quadro K4000, # CUFFT version : 10401, !fail to plan 3d FFT (DFT):11", "gpu-older-than-cufft"),
        ("RTX 2070, TF 1.14 with CUDA 9.0: failed to make cuFFT batched plan:5", "gpu-perhaps-newer-than-cufft"),
        ("RTX 4090, torch 1.13.1+cu117", "gpu-newer-than-cufft"),
        ("RTX 3090, torch 2.4.0+cu121", "gpu-supported"),
    ],
)
def test_cards_are_held_against_the_cufft_of_the_build(text, fact):
    """Too new, too old, or supported."""
    assert fact in _names(text)


# ---- contrasts ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("runs fine on an A10G, but fails on an L4", "newer-card-fails"),
        ("ts_export works fine at 3.5A or coarser pixel sizes", "coarser-size-works"),
        ("setting size to 32 or smaller seem to work fine", "coarser-size-works"),
        ("the first time, it work well. But at second time, error occur", "first-run-works"),
        ("it does work on the host system outside the container", "host-works-container-fails"),
        ("if torch is imported before tensorflow it dies", "import-order-matters"),
        ("I restarted and it works", "fresh-process-works"),
        ("the same data runs perfectly on another machine", "other-machine-works"),
        ("переустановил драйвер, и всё помогло: переустановка помогла", "reinstall-cures"),
    ],
)
def test_comparisons_are_read(text, fact):
    """The same works on another card, at a smaller size, in another process, after another import."""
    low = text.lower()
    assert fact in {contrast.name for contrast in contrasts_in(low, environment_of(low))}


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("训练时显存不足", "out-of-memory"),
        ("на GPU не хватает памяти", "out-of-memory"),
        ("学習中にメモリ不足", "out-of-memory"),
        ("GPU 메모리 부족", "out-of-memory"),
        ("a GPU ficou sem memória", "out-of-memory"),
        ("报错了", "error-shown"),
        ("оно падает: ошибка", "error-shown"),
        ("偶尔出现", "intermittent"),
        ("иногда падает", "intermittent"),
    ],
)
def test_other_languages_are_read(text, sign):
    """Chinese, Russian, Japanese, Korean and Portuguese words mean what they mean."""
    assert sign in {seen.name for seen in signs_in(text.lower())}


# ---- the line that ended it --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "number", "kind"),
    [
        ("my model\nRuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR\nthanks", 2, "cufft"),
        ("KeyError: 'x'\nRuntimeError: CUDA error: device-side assert triggered", 2, "fault"),
        (
            "I get failed to create cufft plan when I run this long job\nERROR:\nfailed to create cufft plan",
            3,
            "cufft",
        ),
        ("OSError: [WinError 126] The specified module could not be found", 1, "load"),
        ("Error code: 700\nptr_: 23\n!!Error occurred: CUFFT plan creation failed", 1, "fault"),
    ],
)
def test_the_line_that_ended_it_is_chosen_and_shown(text, number, kind):
    """Of several failures the deepest; of the same failure the line of the program, not the prose about it."""
    evidence = _evidence(text)
    assert (evidence.error.number, evidence.error.kind) == (number, kind)
    assert evidence.error.text == text.split("\n")[number - 1].strip()


# ---- what was measured -------------------------------------------------------------------------------------------
def test_the_table_of_measured_answers_is_the_experiments_own():
    """measured.toml is what repro.simdriver.measured makes of expected.json."""
    assert TABLE.read_text(encoding="utf-8") == as_toml()
    assert measured.answers("ptx", "11.3")[0] == "CUFFT_INVALID_SIZE"
    assert measured.answers("ptx", "11.2")[0] == "CUFFT_INTERNAL_ERROR"


def test_on_the_founding_log_the_causes_do_not_contradict_the_measurements():
    """The version as written speaks against, that it is a lower bound and what cuFFT 11.3 answers speaks for."""
    first = rank(_evidence(FOUNDING))[0]
    assert first.cause.id == "ptx-jit-unavailable"
    assert any("cuFFT 11.3 answers CUFFT_INVALID_SIZE" in line and "lower bound" in line for line in first.supports)
    assert any("cuFFT 11.2" in line and "CUFFT_INTERNAL_ERROR" in line for line in first.contradicts)
    assert not any("11.3" in line for line in first.contradicts)


def test_a_printed_version_that_answers_otherwise_is_evidence_against():
    """cuFFT 11.2 was never measured to answer INVALID_SIZE to kernels it cannot load, and here it is printed."""
    text = FOUNDING.replace("PyTorch 2.6+ / CUDA 12.4", "PyTorch version: 2.6.0+cu124")
    before, after = (
        next(f for f in rank(_evidence(t)) if f.cause.id == "ptx-jit-unavailable") for t in (FOUNDING, text)
    )
    assert after.score < before.score


def test_every_reason_is_one_line_and_no_two_say_the_same():
    """No two lines of For begin with the same clause."""
    for finding in rank(_evidence(FOUNDING)):
        openings = [line.split(",")[0] for line in finding.supports]
        assert len(openings) == len(set(openings))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("using CUDA\nThreads.@spawn plan_rfft(x) * x\nsignal (11): Segmentation fault", "plan-shared-across-threads"),
        ("import cupy\ns.begin_capture()\ncp.fft.fft(x)\nSegmentation fault (core dumped)", "cuda-graph-capture"),
        ("the shape goes to zero in the next batch\ncuFFT error: CUFFT_INVALID_SIZE", "empty-batch"),
        ("the FFT plan cache leads to OOM with every new size", "plan-cache-growth"),
        ("C:\\ComfyUI\\nodes.py\ndoes this mean my AMD GPU?\ncuFFT error: CUFFT_INTERNAL_ERROR", "zluda"),
        ("libcaffe.so: undefined reference to `cufftExecC2R'", "not-cufft"),
        ("VkFFT: incorrect C2R result for an odd length", "not-cufft"),
        ("./FFT.exe\nno kernel image is available for execution on the device", "wheel-lacks-gpu-arch"),
    ],
)
def test_other_programs_and_their_circumstances_lead_to_the_cause(text, cause):
    """Threads, captured graphs, emptied batches, caches, emulation, linkers, other libraries, missing kernels."""
    assert rank(_evidence(text))[0].cause.id == cause
