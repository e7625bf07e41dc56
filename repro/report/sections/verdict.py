"""The answer in three sentences, each as far as the results carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.report.runs import Cell, Evidence, Release, listed, span

if TYPE_CHECKING:
    from repro.report.document import Sources

REFERENCE_SHAPE = "r2c 512/sm_86"


def data(sources: Sources) -> dict[str, Any]:
    """Three sentences."""
    evidence = sources.evidence
    return {
        "sentences": [_transforms(evidence), _fault(evidence), _outlook(evidence)],
        "changed": evidence.changed_answers,
    }


def _transforms(evidence: Evidence) -> str:
    """Whether the transforms and the conditioning themselves are right."""
    names = [name for name, _, gpu_only in evidence.scenarios if not gpu_only and name != "fft.empty_batch"]
    cells = evidence.measured("cpu", "native", names)
    wrong = [one for one in cells if one[2].verdict != "pass"]
    if not cells:
        return "No release's transforms were run on the CPU."
    releases = _releases(cells)
    if wrong:
        broken = listed(sorted({f"{release.torch} ({name}: {cell.text})" for release, name, cell in wrong}))
        return (
            f"On the CPU {len(cells) - len(wrong)} of {len(cells)} outcomes of {releases} are right; not so: {broken}."
        )
    return (
        f"On the CPU nothing is wrong with the sizes, the audio or the training: all {len(cells)} transforms and "
        f"conditionings of {releases}, fresh and after real training steps, agree with NumPy in float64."
    )


def _fault(evidence: Evidence) -> str:
    """What a driver without a PTX compiler does to cuFFT."""
    groups = by_answer(evidence, f"jit_missing/{REFERENCE_SHAPE}")
    healthy = by_answer(evidence, f"healthy/{REFERENCE_SHAPE}")
    failing = {answer: versions for answer, versions in groups.items() if answer != "ok"}
    if not failing:
        return "What cuFFT says when the driver's PTX compiler is missing was not run."
    invalid = [version for answer, versions in groups.items() if "INVALID_SIZE" in answer for version in versions]
    others = [version for answer, versions in failing.items() if "INVALID_SIZE" not in answer for version in versions]
    if not invalid:
        return "Without a PTX compiler in the driver no cuFFT that was tried gives CUFFT_INVALID_SIZE for a valid size."
    releases = listed(evidence.releases_of.get(one, "none here") for one in invalid)
    sound = ", and under one that has it all is well" if set(healthy.get("ok", [])) >= {*invalid, *others} else ""
    first = (
        "The size is not what fails: under a simulated driver without a PTX compiler the answer of "
        f"cuFFT {listed(invalid)} (torch {releases}) to valid sizes is CUFFT_INVALID_SIZE{sound}"
    )
    codes = sorted({answer.split()[-1] for answer in failing if "INVALID_SIZE" not in answer})
    rest = f"; to the same fault that of cuFFT {listed(others)} is {listed(codes, 'or')}" if others else ""
    return f"{first}{rest}."


def _outlook(evidence: Evidence) -> str:
    """Better or worse with time, and what a GPU said."""
    newest = next(reversed(evidence.answers), None)
    answer = evidence.answers[newest].get(f"jit_missing/{REFERENCE_SHAPE}") if newest else None
    trend = ""
    if newest and answer and answer != "ok":
        code = answer.split()[-1]
        better = "It is not getting better" + ("" if "INVALID_SIZE" in code else ", only less misleading")
        trend = f"{better}: cuFFT {newest} still needs the compiler and says {code}"
    elif newest and answer == "ok":
        trend = f"It is getting better: cuFFT {newest} no longer needs the compiler"
    reproduced = [
        one for one in evidence.measured("cuda", "native", ["fft.stft without JIT"]) if one[2].verdict == "failed"
    ]
    gpu = (
        f"on {listed(evidence.gpus)} switching the compiler off reproduced the failure with {_releases(reproduced)}"
        if reproduced
        else "that a real GPU with the compiler switched off does the same was not run"
        if not evidence.measured("cuda", "native", ["fft.stft without JIT"])
        else f"on {listed(evidence.gpus)} switching the compiler off did not reproduce the failure"
    )
    return f"{trend}; {gpu}." if trend else f"{gpu[0].upper()}{gpu[1:]}."


def by_answer(evidence: Evidence, experiment: str) -> dict[str, list[str]]:
    """Answer -> cuFFT versions that gave it; versions that do not run under the simulated driver are left out."""
    groups: dict[str, list[str]] = {}
    for version, answers in evidence.answers.items():
        if experiment in answers and version not in evidence.not_simulated:
            groups.setdefault(answers[experiment], []).append(version)
    return groups


def _releases(cells: list[tuple[Release, str, Cell]]) -> str:
    torches = list(dict.fromkeys(release.torch for release, _, _ in cells))
    return f"torch {span(torches)}" if len(torches) < 3 else f"{len(torches)} releases (torch {span(torches)})"
