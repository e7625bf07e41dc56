"""Which program failed, and with which framework: remedies differ, and so do the words for one and the same code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from cufft_harness.diagnosis.matching import Sign
from cufft_harness.diagnosis.toml import load

_FAILING = 4
_NAMED = 1


class Framework(str, Enum):
    """Who called cuFFT."""

    PYTORCH = "pytorch"
    CUPY = "cupy"
    JAX = "jax"
    TENSORFLOW = "tensorflow"
    PADDLE = "paddle"
    OPENMM = "openmm"
    RELION = "relion"
    JULIA = "julia"
    PYCUDA = "pycuda"
    MATLAB = "matlab"
    CPP = "cpp"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Program:
    """The program that failed.

    Attributes:
        framework: who called cuFFT; UNKNOWN where nothing tells.
        title: its name as people write it.
    """

    framework: Framework = Framework.UNKNOWN
    title: str = ""


@cache
def _signs() -> dict[Framework, tuple[str, Sign, Sign]]:
    """Title, and the words of a failing and of a named framework."""
    return {
        Framework(name): (entry["title"], Sign.parse(entry.get("failing", {})), Sign.parse(entry.get("named", {})))
        for name, entry in load("programs.toml").items()
    }


def program_in(text: str) -> Program:
    """The framework whose own words the failure is in, else the one that is named; `text` is lower case."""
    scores = {
        framework: _FAILING * failing.count(text) + _NAMED * named.count(text)
        for framework, (_, failing, named) in _signs().items()
    }
    best = max(scores, key=lambda framework: scores[framework])  # of equals the first in the file
    return Program(best, _signs()[best][0]) if scores[best] else Program()


def title_of(framework: Framework) -> str:
    """The framework's name as people write it."""
    return _signs()[framework][0] if framework in _signs() else "another program"
