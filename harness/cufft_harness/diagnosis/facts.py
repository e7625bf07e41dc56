"""What is known about a failure: named facts, and the versions and devices they were derived from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from cufft_harness.diagnosis.programs import Program
from cufft_harness.diagnosis.registry import known_facts

Version = tuple[int, ...]

_SHOWN = 200


class Sure(IntEnum):
    """How a version is known, from not at all to printed by the program that has it."""

    NOT = 0
    USUAL = 1
    """What that release usually brings, or what the line numbers of a traceback give away."""
    SAID = 2
    """What a person wrote, who may mean the toolkit beside it, or the host around the container."""
    PRINTED = 3
    """What a program printed about itself, or what stands in a package's own name."""


def version_text(version: Version | None) -> str:
    """(12, 8) -> "12.8"."""
    return ".".join(map(str, version)) if version else "unknown"


@dataclass(frozen=True)
class Gpu:
    """A GPU by name; `capability` is (major, minor), None for AMD cards and unknown names."""

    name: str
    capability: Version | None
    amd: bool = False


@dataclass(frozen=True)
class Environment:
    """Versions and devices, as far as a report or a machine shows them.

    Attributes:
        torch: PyTorch's version; `torch_from_frames` if only the line numbers of a traceback tell it.
        torch_or_later: the version is given as a lower bound ("2.6+").
        cuda: CUDA version that the failing program was built for; not the driver's, not the toolkit's. `cuda_sure` says
            how that is known.
        cufft: version of the cuFFT library itself, where it is shown.
        driver: version of the NVIDIA driver; `driver_cuda` is the newest CUDA it supports.
        gpus: the cards it fails on, or that are named without more; `working_gpus`: those on which the same works.
        working: builds (PyTorch version, CUDA version) that are said to work on the same machine.
        memory_used: largest fraction of a GPU's memory in use according to nvidia-smi.
    """

    torch: Version | None = None
    torch_from_frames: bool = False
    torch_or_later: bool = False
    cuda: Version | None = None
    cuda_sure: Sure = Sure.NOT
    cufft: Version | None = None
    driver: Version | None = None
    driver_cuda: Version | None = None
    driver_found: Version | None = None
    gpus: tuple[Gpu, ...] = ()
    working_gpus: tuple[Gpu, ...] = ()
    working: tuple[tuple[Version | None, Version | None], ...] = ()
    memory_used: float | None = None


@dataclass(frozen=True)
class Fact:
    """One thing that is known; `name` is what rules refer to, `says` is the sentence shown to people.

    Raises:
        ValueError: no such fact is registered; see `registry`.
    """

    name: str
    says: str

    def __post_init__(self) -> None:
        if self.name not in known_facts():
            raise ValueError(f"unknown fact {self.name!r}: it is neither a sign, a code nor in facts.toml")


@dataclass(frozen=True)
class ErrorLine:
    """A line of a report that shows a failure.

    Attributes:
        number: its place in the text that was read, from 1.
        text: the line itself, shortened.
        kind: what sort of failure; see `error_lines`.
    """

    number: int
    text: str
    kind: str


def quoted(line: str) -> str:
    """A line of a report, fit to be shown: printable, without its indentation, and not too long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in line[: 4 * _SHOWN]).strip()
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."


@dataclass(frozen=True)
class Harmless:
    """A line that looks like a failure and is none: what it means, and the line itself."""

    line: ErrorLine
    means: str


@dataclass(frozen=True)
class Evidence:
    """All that is known about one failure.

    Attributes:
        program: what failed; decides which remedies are offered.
        error: the line that was taken for the error that ended it; `also_shown` are the other failures in the report.
    """

    facts: tuple[Fact, ...] = ()
    environment: Environment = field(default_factory=Environment)
    notes: tuple[str, ...] = ()
    program: Program = field(default_factory=Program)
    error: ErrorLine | None = None
    also_shown: tuple[ErrorLine, ...] = ()
    harmless: tuple[Harmless, ...] = ()

    def names(self) -> frozenset[str]:
        """The names of all facts."""
        return frozenset(fact.name for fact in self.facts)

    def says(self, name: str) -> str:
        """The sentence of the fact called `name`; empty if it is not known."""
        return next((fact.says for fact in self.facts if fact.name == name), "")


def unique(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Each fact once; the first sentence stays."""
    known: dict[str, Fact] = {}
    for fact in facts:
        known.setdefault(fact.name, fact)
    return tuple(known.values())
