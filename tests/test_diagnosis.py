"""Rules and catalogue: every made-up report comes out as its mechanism, and nothing wrong is said with certainty."""

import importlib
import io
import re
from pathlib import Path

import pytest
import yaml
from cufft_harness.diagnosis import (
    clauses,
    codes,
    environment,
    error_lines,
    hardware,
    log_input,
    matching,
    signs,
    torch_versions,
)
from cufft_harness.diagnosis.catalogue import catalogue
from cufft_harness.diagnosis.environment import environment_of
from cufft_harness.diagnosis.facts import Fact
from cufft_harness.diagnosis.from_text import read_log
from cufft_harness.diagnosis.log_input import Source, clean, read
from cufft_harness.diagnosis.rules import RULES, Confidence, _parse, rank
from cufft_harness.diagnosis.toml import load

REPORTS = yaml.safe_load((Path(__file__).parent / "data" / "reports.yaml").read_text())
# The ids are a contract with whoever counts or links to them.
CAUSES = set(
    """
ptx-jit-unavailable empty-batch zero-length-signal stft-input-too-short low-free-vram torch-oom-not-cufft
alloc-failed-before-torch-workspace old-cufft-on-ada-hopper wheel-lacks-gpu-arch cuda13-cufft-driver-too-old
half-non-power-of-two half-on-old-gpu bfloat16-fft half-on-cpu-fallback sticky-context-error plan-cache-growth
plan-count-limit-cuda9 plan-cache-wrong-device-old plan-cache-vector-segfault clear-plan-cache-race
invalid-plan-terminate no-current-context cufft-111-plan-reuse-wrong makeplan-segfault mixed-cuda-libraries
nvjitlink-absent tensorflow-factory-message cuda-graph-capture forked-child handle-reuse misaligned-real-input
very-large-transform zluda rocm-hipfft unexplained-reinstall-cures allocation-hook not-cufft undetermined
toolkit-too-old-for-card gpu-too-old-for-cufft stub-library binding-does-not-know-library-name windows-dll-init-failed
plan-shared-across-threads exec-does-not-fit-plan-type callback-type-mismatch plan-destroy-ruins-context
other-device-current half-precision-overflow-nan empty-dim-list
""".split()  # noqa: SIM905
)


def _findings(log):
    return rank(read_log(Source(log)))


@pytest.mark.parametrize("report", REPORTS, ids=[report["id"] for report in REPORTS])
def test_made_up_reports_come_out_as_their_mechanism(report):
    """The first cause is the one that was written into the report, or one that fits it as well."""
    findings = _findings(report["log"])
    good = {report["label"], *report.get("also", ())}
    assert findings[0].cause.id in good, [(finding.cause.id, finding.score) for finding in findings]
    if findings[0].confidence is Confidence.HIGH:
        assert findings[0].cause.id == report["label"]


def test_the_catalogue_is_complete():
    """Every cause is there under its id, with title, mechanism and fix, and can be reached by a rule."""
    assert set(catalogue()) == CAUSES
    assert {rule.cause for rule in RULES} == CAUSES
    for cause in catalogue().values():
        assert cause.title
        assert cause.mechanism
        assert cause.fixes
        assert all(url.startswith("https://") for url in cause.evidence)


def test_a_rule_or_reader_that_names_no_known_fact_is_refused():
    """A misspelt fact is an error as soon as rules are loaded or the fact is made, not a rule that never holds."""
    with pytest.raises(ValueError, match="memory-ful"):
        _parse("low-free-vram", {"when": "cufft-code memory-ful|torch-oom", "weight": 1})
    with pytest.raises(ValueError, match="CUFFT_NOPE"):
        Fact("CUFFT_NOPE", "")


def test_every_sign_is_used_by_a_rule():
    """A sign that no rule asks for would be dead weight in every reading."""
    used = {name for rule in RULES for need in rule.needs for name in need} | {n for r in RULES for n in r.excludes}
    assert set(load("signs.toml")) | set(load("contrasts.toml")) <= used


def test_the_answer_is_never_empty():
    """Nothing, blanks or nonsense: the answer is that there is not enough to say, with what to run."""
    for log in ("", "   \n", "ok ok ok", "\x00" * 100):
        (first, *_) = _findings(log)
        assert first.cause.id == "undetermined"
        assert first.confidence is Confidence.LOW
        assert "cufft-harness doctor" in first.remedy.next_experiment


@pytest.mark.parametrize(
    ("log", "not_first"),
    [
        ("RTX 3060, I am not using ZLUDA, torch 2.3+cu121: cuFFT error: CUFFT_INTERNAL_ERROR", "zluda"),
        (
            "RTX 3060. README says CUDA and ROCm are supported. cuFFT error: CUFFT_INTERNAL_ERROR, torch 2.3",
            "rocm-hipfft",
        ),
        ("CUFFT_INVALID_SIZE; the tensor is not empty, shape (4, 16000)", "empty-batch"),
        ("cuFFT error: CUFFT_INTERNAL_ERROR in ComfyUI, with DynamicVRAM disabled still the same", "allocation-hook"),
        ("RTX 3090, torch 1.13.1+cu117: cuFFT error: CUFFT_INTERNAL_ERROR", "old-cufft-on-ada-hopper"),
        ("RTX 4090, torch 2.4+cu124: cuFFT error: CUFFT_INTERNAL_ERROR", "old-cufft-on-ada-hopper"),
        ("torch 1.12+cu113 in an LXC: cuFFT error: CUFFT_INVALID_SIZE", "ptx-jit-unavailable"),
        ("cuFFT error: CUFFT_INTERNAL_ERROR. I reinstalled torch, still the same", "unexplained-reinstall-cures"),
        ("torch 2.4: fft gives wrong results on the second call", "not-cufft"),
    ],
)
def test_what_a_report_denies_or_rules_out_is_not_the_answer(log, not_first):
    """Negations, and versions or cards on which a cause cannot occur, speak against it."""
    assert _findings(log)[0].cause.id != not_first


def test_high_confidence_needs_proof():
    """Many hints never add up to certainty: without a rule that proves, a cause is medium at most."""
    for report in REPORTS:
        for finding in _findings(report["log"]):
            proving = [rule for rule in RULES if rule.cause == finding.cause.id and rule.proves]
            assert finding.confidence is not Confidence.HIGH or proving


@pytest.mark.parametrize(
    ("text", "torch", "cuda"),
    [
        ("PyTorch version: 1.13.0+cu116", (1, 13, 0), (11, 6)),
        ("torch==2.1.0\nnvidia-cufft-cu12==11.0.2.54", (2, 1, 0), (12, 1)),
        ("pytorch 1.12.1 py3.9_cuda11.3_cudnn8_0", (1, 12, 1), (11, 3)),
        ("torch                    2.8.0", (2, 8, 0), (12, 8)),
        ("pytorch-lightning==1.9.5", None, None),
        ("torchvision 0.14.1", None, None),
        ('File "x/torch/nn/modules/module.py", line 1194, in _call_impl', (1, 13), (11, 7)),
        ('File "x\\torch\\functional.py", line 641, in stft', (2, 0), (11, 7)),
        ("PyTorch 2.6+ / CUDA 12.4", (2, 6), (12, 4)),
        ("torch 2.6 fails, torch 2.4.0+cu118 works", (2, 6), (12, 4)),
    ],
)
def test_versions_are_read_as_people_write_them(text, torch, cuda):
    """PyTorch's and its CUDA's version from collect_env, pip, conda, prose and the line numbers of tracebacks."""
    found = environment_of(text.lower())
    assert (found.torch, found.cuda) == (torch, cuda)


@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ("NVIDIA GeForce RTX 4070 Ti SUPER", (8, 9)),
        ("my 4090 laptop", (8, 9)),
        ("RTX 4000 SFF Ada Generation", (8, 9)),
        ("Quadro RTX 4000", (7, 5)),
        ("an L4 on GCP", (8, 9)),
        ("NVIDIA A10G", (8, 6)),
        ("H100 80GB HBM3", (9, 0)),
        ("5090", (12, 0)),
        ("GTX 1080 Ti", (6, 1)),
        ("Tesla T4", (7, 5)),
        ("GTX TITAN X", (5, 2)),
        ("cuda capability sm_86", (8, 6)),
        ("File x.py, line 4090", None),
        ("batch (4070, 3)", None),
        ("http://127.0.0.1:4080", None),
    ],
)
def test_gpus_are_known_by_the_names_people_use(text, capability):
    """Compute capability from names with and without RTX, and not from line numbers, shapes or ports."""
    gpus = environment_of(text.lower()).gpus
    assert [gpu.capability for gpu in gpus][:1] == ([capability] if capability else [])


def test_an_amd_card_is_not_an_nvidia_one():
    """Radeon names are AMD's; a misspelt RX 4090 is NVIDIA's."""
    assert environment_of("amd radeon rx 6700 xt").gpus[0].amd
    assert environment_of("rx 4090").gpus[0].capability == (8, 9)


def test_escape_codes_and_invisible_characters_are_removed():
    """Colours, titles, cursor tricks, right-to-left marks and zero-width characters never reach matching or output."""
    text = "\x1b[31mcuFFT\u200b error\x1b[0m\x1b]0;title\x07\u202e\x08 x\r\ny\rz\u2019s"
    assert clean(text) == "cuFFT error x\ny\nz's"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_recognised(encoding):
    """What a Windows shell or editor writes is read as what it says."""
    log = "RTX 4090, torch 1.13.1+cu117\r\nRuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR\r\n"
    text = read(io.BytesIO(log.encode(encoding)))
    assert rank(read_log(text))[0].cause.id == "old-cufft-on-ada-hopper"


def test_a_long_log_keeps_its_telling_lines():
    """Beginning, end, and the lines around an error in the middle are kept; the rest is not."""
    noise = "2024-01-01 INFO step 100 loss 0.5\n" * 60_000
    telling = "NVIDIA GeForce RTX 4090\nRuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR\n"
    log = f"PyTorch version: 1.13.1+cu117\n{noise}{telling}{noise}"
    text = read(io.BytesIO(log.encode()))
    assert len(text.text) < 300_000
    assert "long" in text.notes[0]
    assert rank(read_log(text))[0].cause.id == "old-cufft-on-ada-hopper"


@pytest.mark.parametrize(
    ("magic", "kind"), [(b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip"), (b"\x89PNG\r\n", "PNG")]
)
def test_files_that_are_no_text_are_named(magic, kind):
    """A compressed log or a screenshot is called what it is."""
    assert kind in read(io.BytesIO(magic + bytes(200))).notes[0]


def _repeats(tree):
    """(upper bound, what is repeated) of every repetition in a parsed pattern."""
    for operation, argument in tree:
        if str(operation) in ("MAX_REPEAT", "MIN_REPEAT"):
            yield argument[1], argument[2]
        children = argument if isinstance(argument, (list, tuple)) else [argument]
        for child in children:
            parts = child if isinstance(child, list) else [child]
            for part in parts:
                if hasattr(part, "data"):
                    yield from _repeats(part)


def _patterns():
    tables = ("signs.toml", "contrasts.toml", "harmless.toml")
    entries = [(name, entry) for table in tables for name, entry in load(table).items()]
    entries += [(name, entry.get(part, {})) for name, entry in load("programs.toml").items() for part in entry]
    for name, entry in entries:
        if isinstance(entry, dict):
            yield from ((name, pattern.removeprefix("*")) for pattern in entry.get("patterns", ()))
    modules = (clauses, codes, environment, error_lines, hardware, log_input, matching, signs, torch_versions)
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value.pattern
    yield from (("hardware table", pattern) for pattern, _ in hardware._TABLE)
    yield "hardware._AMD", hardware._AMD


def test_no_input_makes_a_pattern_explode():
    """Every repetition is bounded, and none that is long repeats a group that holds a long one: time stays linear."""
    parse = (re._parser if hasattr(re, "_parser") else importlib.import_module("sre_parse")).parse
    for name, pattern in _patterns():
        for upper, body in _repeats(parse(pattern)):
            assert upper <= 4096, (name, pattern)
            inner = [bound for bound, _ in _repeats(body)]
            assert not inner or upper * max(inner) <= 200, (name, pattern)


@pytest.mark.parametrize("unit", ["a", " ", "[", "0, ", "cuda ", "torch ", "(", "\x1b]", "\x1b[", "rtx ", "not ", "9"])
def test_monotonous_input_is_read_to_the_end(unit):
    """The same characters over and over, as much as is ever kept of a log, are read and give an answer."""
    assert rank(read_log(read(io.BytesIO(unit.encode() * 100_000))))[0].cause.id == "undetermined"
