"""What follows for users, release by release, as far as the answers carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.report.runs import Evidence, listed

if TYPE_CHECKING:
    from repro.report.document import Sources

NO_COMPILER = ("jit_missing", "jit_disabled", "jit_failing", "jit_version")
INVALID_SHAPES = ("empty batch", "length 0", "half 1000", "half 401")


def data(sources: Sources) -> dict[str, Any] | None:
    """For each cuFFT: what each code means on a valid size; and the general rules that hold for all."""
    evidence = sources.evidence
    versions = [version for version in evidence.answers if version not in evidence.not_simulated]
    if not versions:
        return None
    faults = evidence.facts("faults")
    meanings = [
        {
            "version": version,
            "releases": evidence.releases_of.get(version, "–"),
            "codes": _codes(evidence, version, faults),
        }
        for version in versions
    ]
    return {"meanings": meanings, "rules": _rules(evidence, versions)}


def valid(experiment: str) -> bool:
    """A first try of a transform that cuFFT should be able to do."""
    parts = experiment.split("/")
    return len(parts) == 3 and parts[2] == "sm_86" and not any(word in parts[1] for word in INVALID_SHAPES)


def _codes(evidence: Evidence, version: str, faults: dict[str, str]) -> list[tuple[str, list[str]]]:
    """Answer -> the faults that give it to the shape of XTTS's speaker encoder."""
    found: dict[str, list[str]] = {}
    for name in faults:
        answer = evidence.answers[version].get(f"{name}/r2c 512/sm_86", "ok")
        if answer != "ok":
            found.setdefault(answer, []).append(name)
    return [(answer, _in_words(names, faults)) for answer, names in found.items()]


def _in_words(names: list[str], faults: dict[str, str]) -> list[str]:
    """The faults' meanings; the four ways of having no PTX compiler as one."""
    if not set(NO_COMPILER) <= set(names):
        return [faults[name] for name in names]
    rest = [faults[name] for name in names if name not in NO_COMPILER]
    return ["the driver cannot compile PTX: its compiler is missing, switched off, failing or too old", *rest]


def _rules(evidence: Evidence, versions: list[str]) -> list[str]:
    """Sentences that hold for every version measured; each is checked before it is said."""
    rules = []

    def answers(fault: str, shape: str = "r2c 512", rest: str = "sm_86") -> dict[str, str]:
        """The answers of all versions, or none at all where one of them lacks it: a rule is about all."""
        name = f"{fault}/{shape}/{rest}"
        found = {version: evidence.answers[version][name] for version in versions if name in evidence.answers[version]}
        return found if len(found) == len(versions) else {}

    makers = {
        name.split("/")[0]
        for version in versions
        for name, answer in evidence.answers[version].items()
        if valid(name) and "INVALID_SIZE" in answer
    }
    if makers and makers <= set(NO_COMPILER):
        rules.append(
            "Of the faults tried, none gives CUFFT_INVALID_SIZE on a valid size but a PTX compiler that is missing, "
            "switched off or failing: look for `libnvidia-ptxjitcompiler.so.1` beside `libcuda.so.1` first, not at the "
            "size."
        )
    empty = answers("healthy", "r2c empty batch").values()
    if empty and all("INVALID_SIZE" in answer for answer in empty):
        rules.append(
            "On a healthy driver CUFFT_INVALID_SIZE means an empty batch or a length of zero: some step before it gave "
            "no frames."
        )
    spared = [version for version, answer in answers("jit_missing", "c2c 512").items() if answer == "ok"]
    if spared:
        rules.append(
            f"Without the compiler a complex transform of 512 points still works (cuFFT {listed(spared)}), while "
            "real ones fail: `torch.fft.fft` passing where `torch.stft` fails points to the compiler, and a test with "
            "the former alone misses it."
        )
    memory = {answer.split()[-1] for fault in ("module_oom", "alloc_failed") for answer in answers(fault).values()}
    if memory and not any("INVALID_SIZE" in code for code in memory):
        rules.append(f"Too little memory is not reported as an invalid size, but as {listed(sorted(memory), 'or')}.")
    launches = {answer for fault in ("launch_failed", "launch_illegal") for answer in answers(fault).values()}
    if launches == {"exec CUFFT_EXEC_FAILED"}:
        rules.append(
            "CUFFT_EXEC_FAILED means the launch failed: an earlier kernel broke the context. Look before the FFT."
        )
    if set(answers("driver_too_old").values()) == {"create CUFFT_NOT_SUPPORTED"}:
        rules.append("CUFFT_NOT_SUPPORTED at creation means a driver older than the CUDA major of the wheel.")
    again = [
        answer for way in ("same", "fresh") for answer in answers("jit_missing", rest=f"sm_86/{way} handle").values()
    ]
    if again and "ok" not in again:
        rules.append("Trying again, with the same plan or a new one, does not help while the fault is there.")
    sticky = [
        version
        for version, answer in answers("jit_missing", rest="sm_86/same handle, fault gone").items()
        if answer != "ok"
    ]
    if sticky:
        rules.append(
            f"After the fault has gone, cuFFT {listed(sticky)} goes on failing with a plan made during it; PyTorch "
            "keeps plans, so `torch.backends.cuda.cufft_plan_cache.clear()` is needed there."
        )
    return rules
