"""The original page's explanations, each with the experiment that decides it.

The page is docs/TRAINING_SAMPLES.md of https://github.com/JohnHeberty/tts-webui-proxmox-passthrough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.report.runs import Evidence, listed
from repro.report.sections.consequences import valid

if TYPE_CHECKING:
    from repro.report.document import Sources

OPEN = "not decided"


def data(sources: Sources) -> dict[str, Any]:
    """(claim, what was found, by which experiment) for each explanation."""
    evidence = sources.evidence
    rows = [
        ("Training leaves the CUDA state corrupted", *_training(evidence)),
        ("Loading XTTS more than once breaks cuFFT", *_loading(evidence)),
        ("The audio or its sample rate gives cuFFT a size it cannot do", *_size(evidence)),
        ("It is a bug of PyTorch 2.6 with CUDA 12.4", *_release(evidence)),
        ("Video memory is short, so it has to be freed first", *_memory(evidence)),
        ("Only the CPU can make samples", *_only_cpu(evidence)),
    ]
    return {"rows": rows}


def _passes(evidence: Evidence, device: str, tier: str, names: list[str]) -> tuple[int, int]:
    cells = evidence.measured(device, tier, names)
    return sum(cell.verdict == "pass" for _, _, cell in cells), len(cells)


def _simulated_without_training(evidence: Evidence) -> bool:
    """The very error arises in a process that never saw a model."""
    return any("INVALID_SIZE" in answers.get("jit_missing/r2c 512/sm_86", "") for answers in evidence.answers.values())


def _on_gpu(evidence: Evidence, names: list[str]) -> str:
    passed, measured = _passes(evidence, "cuda", "native", names)
    return f"On a GPU: {passed} of {measured} pass." if measured else "On a GPU: not run."


def _training(evidence: Evidence) -> tuple[str, str]:
    names = ["xtts.after_training", "xtts.between_training", "xtts.after_out_of_memory"]
    passed, measured = _passes(evidence, "cpu", "native", ["xtts.after_training"])
    needless = _simulated_without_training(evidence)
    found = "refuted: training is not needed for the error" if needless else OPEN
    how = "The same code comes from a process that only asks cuFFT for one plan. " if needless else ""
    after = f"Conditioning after real training steps, CPU: {passed} of {measured} releases pass."
    return found, f"{how}{after} {_on_gpu(evidence, names)}"


def _loading(evidence: Evidence) -> tuple[str, str]:
    names = ["xtts.five_loads", "xtts.moved_off_and_on"]
    passed, measured = _passes(evidence, "cpu", "native", ["xtts.five_loads"])
    needless = _simulated_without_training(evidence)
    found = "refuted: no model is needed for the error" if needless else OPEN
    return found, f"Five loads in one process, CPU: {passed} of {measured} releases pass. {_on_gpu(evidence, names)}"


def _size(evidence: Evidence) -> tuple[str, str]:
    healthy = [
        answer
        for version, answers in evidence.answers.items()
        if version not in evidence.not_simulated
        for name, answer in answers.items()
        if name.startswith("healthy/") and valid(name)
    ]
    if not healthy:
        return OPEN, "Not run."
    good = healthy.count("ok")
    found = "refuted: the sizes are fine" if good == len(healthy) else OPEN
    return (
        found,
        f"Every valid transform under a healthy simulated driver: {good} of {len(healthy)} are planned and executed.",
    )


def _release(evidence: Evidence) -> tuple[str, str]:
    own = next((release for release in evidence.releases if release.torch.startswith("2.6.")), None)
    answers = evidence.answers.get(own.cufft, {}) if own else {}
    if not own or not answers:
        return OPEN, "torch 2.6 was not run."
    codes = [name for name, answer in answers.items() if valid(name) and "INVALID_SIZE" in answer]
    makers = [
        f"{evidence.releases_of.get(version, '–')} (cuFFT {version})"
        for version, found in evidence.answers.items()
        if "INVALID_SIZE" in found.get("jit_missing/r2c 512/sm_86", "")
    ]
    if codes:
        return OPEN, f"cuFFT {own.cufft} of torch 2.6 answers CUFFT_INVALID_SIZE to {len(codes)} faults on valid sizes."
    return (
        "refuted: the code is that of other releases",
        f"cuFFT {own.cufft} of torch 2.6 works under a healthy driver, and no fault made it say CUFFT_INVALID_SIZE to "
        f"a valid size. Torch {listed(makers) or 'of no run release'} say it when the driver cannot compile PTX.",
    )


def _memory(evidence: Evidence) -> tuple[str, str]:
    codes = {
        answers[name].split()[-1]
        for version, answers in evidence.answers.items()
        if version not in evidence.not_simulated
        for name in answers
        if name.split("/")[0] in ("module_oom", "alloc_failed") and valid(name)
    } - {"ok"}
    if not codes:
        return OPEN, "Not run."
    found = OPEN if "CUFFT_INVALID_SIZE" in codes else "refuted: it would be another code"
    names = ["fft.little_memory", "fft.after_out_of_memory", "xtts.little_memory"]
    return found, f"Memory running out gives {', '.join(sorted(codes))}. {_on_gpu(evidence, names)}"


def _only_cpu(evidence: Evidence) -> tuple[str, str]:
    names = ["fft.stft", "fft.fft_functions", "xtts.after_training"]
    passed, measured = _passes(evidence, "cpu", "bypass", names)
    gpu_passed, gpu_measured = _passes(evidence, "cuda", "bypass", [*names, "xtts.fresh without JIT"])
    where = f"On a GPU: {gpu_passed} of {gpu_measured} pass." if gpu_measured else "On a GPU: not run."
    found = "refuted" if gpu_measured and gpu_passed == gpu_measured else f"{OPEN} on a GPU"
    return found, f"The same calls with the FFT as matrix products, CPU: {passed} of {measured} pass. {where}"
