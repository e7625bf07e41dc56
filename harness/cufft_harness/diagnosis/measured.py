"""Hold a result code against what each cuFFT was measured to answer under a simulated driver: for and against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from cufft_harness.cufft import CufftResult
from cufft_harness.diagnosis.facts import Environment, Fact, Sure, Version, version_text
from cufft_harness.diagnosis.releases import cufft_of_cuda
from cufft_harness.diagnosis.toml import load

# What `measured.toml` calls a fault, in words.
FAULTS = {
    "ptx": "kernels whose PTX the driver cannot compile",
    "memory": "no memory left for a plan",
    "dead-context": "a context that an earlier fault left dead",
    "driver": "a driver of an older CUDA major version",
    "empty": "zero transforms or zero points",
    "old-gpu": "a GPU it no longer supports (compute capability 7.0)",
    "half-length": "half precision of a length that is no power of two",
    "odd-half": "half precision of odd length",
}
# Faults that every shape of transform shows, so that another answer speaks against them.
_WHATEVER_THE_SHAPE = ("ptx", "memory", "dead-context", "driver")
_MEASURED = "measured under the simulated driver"


def facts_of(environment: Environment, codes: Iterable[CufftResult]) -> Iterator[Fact]:
    """For each fault, whether the cuFFT that failed was measured to answer it with these codes."""
    names = [code.name for code in codes]
    if not names:
        return
    version = cufft_version(environment)
    for fault, meaning in FAULTS.items():
        yield from _of_fault(fault, meaning, names, version, environment)


def cufft_version(environment: Environment) -> Version | None:
    """The library that failed, as (major, minor): as shown, or as it belongs to the CUDA of the build."""
    if environment.cufft:
        return environment.cufft[:2]
    return cufft_of_cuda(environment.cuda) if environment.cuda else None


def answers(fault: str, cufft: str) -> tuple[str, ...]:
    """The codes that this cuFFT ("11.3") was measured to answer the fault with, commonest first; else none."""
    return tuple(dict.fromkeys(answer.split()[1] for answer in _table()[fault].get(cufft, ())))


def measured_cuffts() -> tuple[str, ...]:
    """The cuFFT versions that were measured, oldest first."""
    return tuple(sorted({v for row in _table().values() for v in row}, key=lambda v: tuple(map(int, v.split(".")))))


def _of_fault(
    fault: str, meaning: str, names: list[str], version: Version | None, environment: Environment
) -> Iterator[Fact]:
    here = version_text(version) if version else ""
    given = answers(fault, here)
    others = [minor for minor in measured_cuffts() if answers(fault, minor)[:1] == (names[0],)]
    if names[0] in given:
        yield Fact(f"measured-{fault}-fits", f"cuFFT {here} answers {names[0]} to {meaning} ({_MEASURED})")
    elif not version and fault == "ptx" and 0 < len(others) < len(measured_cuffts()):  # tells the version as well
        says = f"cuFFT {' and '.join(others)} answers {names[0]} to {meaning} ({_MEASURED})"
        yield Fact(f"measured-{fault}-fits", says)
    elif given and fault in _WHATEVER_THE_SHAPE:
        yield Fact(
            f"measured-{fault}-against",
            f"cuFFT {here}, which belongs to CUDA {version_text(environment.cuda)}, answers {given[0]} to {meaning}, "
            f"not {names[0]} ({_MEASURED})",
        )
        if fault == "ptx" and others and (environment.torch_or_later or environment.cuda_sure < Sure.PRINTED):
            yield Fact("measured-other-version", _another(names[0], others, environment))


def _another(name: str, others: list[str], environment: Environment) -> str:
    versions = " and ".join(others)
    open_ended = "the version is given as a lower bound" if environment.torch_or_later else "the version is not printed"
    return f"cuFFT {versions} answers {name} to kernels it cannot load ({_MEASURED}), and {open_ended}"


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    return load("measured.toml")
