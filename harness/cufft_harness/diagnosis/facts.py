"""What is known about a failure: named facts, and the versions and devices they were derived from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Version = tuple[int, ...]


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
        cuda: CUDA version that PyTorch (or the program) was built for; not the driver's, not the toolkit's.
        cuda_guessed: `cuda` is what that PyTorch release usually brings, or what the user says, not what was printed.
        driver: version of the NVIDIA driver; `driver_cuda` is the newest CUDA it supports.
        working: builds (PyTorch version, CUDA version) that are said to work on the same machine.
        memory_used: largest fraction of a GPU's memory in use according to nvidia-smi.
    """

    torch: Version | None = None
    torch_from_frames: bool = False
    cuda: Version | None = None
    cuda_guessed: bool = False
    cufft: Version | None = None
    driver: Version | None = None
    driver_cuda: Version | None = None
    driver_found: Version | None = None
    gpus: tuple[Gpu, ...] = ()
    working: tuple[tuple[Version | None, Version | None], ...] = ()
    memory_used: float | None = None


@dataclass(frozen=True)
class Fact:
    """One thing that is known; `name` is what rules refer to, `says` is the sentence shown to people."""

    name: str
    says: str


@dataclass(frozen=True)
class Evidence:
    """All that is known about one failure."""

    facts: tuple[Fact, ...] = ()
    environment: Environment = field(default_factory=Environment)
    notes: tuple[str, ...] = ()

    def names(self) -> frozenset[str]:
        """The names of all facts."""
        return frozenset(fact.name for fact in self.facts)

    def says(self, name: str) -> str:
        """The sentence of the fact called `name`; empty if it is not known."""
        return next((fact.says for fact in self.facts if fact.name == name), "")

    def with_facts(self, facts: Iterable[Fact]) -> Evidence:
        """The same evidence and these facts too; a fact already known keeps its first sentence."""
        known = {fact.name: fact for fact in (*facts, *self.facts)}
        known.update({fact.name: fact for fact in self.facts})
        return Evidence(tuple(known.values()), self.environment, self.notes)
