"""The three ways to make a sample, and the ladder that moves between them as samples fail and succeed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Tier(str, Enum):
    """Where a sample is computed and by what its FFTs."""

    NATIVE = "native"
    """On the accelerator, with the library's FFT (cuFFT)."""

    BYPASS = "bypass"
    """On the accelerator, with FFTs as matrix products: cuFFT is broken, the GPU is not."""

    CPU = "cpu"
    """On the CPU, with the CPU's own FFT."""


@dataclass(frozen=True)
class Placement:
    """A tier on a device; `device` is a torch device such as "cuda:0"."""

    tier: Tier
    device: str

    def __str__(self) -> str:
        return self.tier.value if self.tier is Tier.CPU else f"{self.tier.value} on {self.device}"


WORKING_MEMORY = 512 << 20
"""Bytes wanted on a GPU besides the model's own: activations, the key-value cache, FFT plans and workspaces."""
CUDA_CONTEXT = 512 << 20
"""Bytes that a process which uses a GPU takes there for itself, so long as it has not begun to."""


def placements(accelerator: str | None) -> tuple[Placement, ...]:
    """All placements there are, best first; `accelerator` is None on a machine without one."""
    cpu = Placement(Tier.CPU, "cpu")
    if accelerator is None:
        return (cpu,)
    return Placement(Tier.NATIVE, accelerator), Placement(Tier.BYPASS, accelerator), cpu


class Ladder:
    """Which placement to try first, learnt from what happened.

    A failure moves down one step for the samples to come; after some good samples in a row the next better step is
    tried once again. Each such trial that fails doubles the good samples wanted before the next one, so that a broken
    step costs less and less.

    Args:
        steps: placements, best first.
        recover_after: good samples in a row before the better step is tried again.
    """

    def __init__(self, steps: tuple[Placement, ...], recover_after: int = 3) -> None:
        self.steps = steps
        self._level = 0
        self._good = 0
        self._recover_after = recover_after

    def order(self) -> tuple[Placement, ...]:
        """The placements to try for the next sample, in this order, until one makes it."""
        first = self._level - 1 if self._level and self._good >= self._recover_after else self._level
        return self.steps[first:]

    def failed(self, placement: Placement) -> None:
        """Note that `placement` did not make the sample."""
        if placement not in self.steps:  # forbidden meanwhile
            return
        step = self.steps.index(placement)
        if step < self._level:
            self._recover_after *= 2
        self._level = min(max(self._level, step + 1), len(self.steps) - 1)
        self._good = 0

    def forbid(self, device: str) -> None:
        """Never use `device` again: a process that cannot be killed sits on it. The last step stays in any case."""
        self.steps = tuple(step for step in self.steps if step.device != device) or self.steps[-1:]
        self._level = min(self._level, len(self.steps) - 1)

    def made(self, placement: Placement) -> None:
        """Note that `placement` made a good sample."""
        step = self.steps.index(placement)
        self._good = self._good + 1 if step == self._level else 1
        self._level = step
