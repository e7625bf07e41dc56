"""How the mels of training are transformed: they are the one place where a broken cuFFT kills training too."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from cufft_harness.errors import MachineError
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.registry import PROBES
from cufft_harness.probes.runner import run_probes
from cufft_harness.tiers import Tier

log = logging.getLogger(__name__)

EXPERIMENTS = {Tier.NATIVE: "stft", Tier.BYPASS: "bypass"}
"""Tiers on the device of the training, best first, and the probe that speaks for each."""


@dataclass(frozen=True)
class Transforms:
    """A tier for the transforms of training.

    Attributes:
        device: where they run.
        reason: why this tier.
    """

    tier: Tier
    device: str
    reason: str

    def context(self) -> AbstractContextManager[object]:
        """What to enter around the transforms."""
        from cufft_harness.fft.context import fft_context

        return fft_context(self.tier, self.device)

    def __str__(self) -> str:
        return f"{self.tier.value} on {self.device} ({self.reason})"


def choose(wanted: str, device: torch.device) -> Transforms:
    """Pick the best tier that a probe finds working; the probe runs in a child process, so a hang is an answer too.

    Args:
        wanted: "auto", or the name of the one tier to use.
        device: of the training.

    Raises:
        MachineError: the tier asked for does not work here.
    """
    if wanted == Tier.CPU.value:
        return Transforms(Tier.CPU, "cpu", "as asked for")
    if wanted == "auto" and device.type == "cpu":
        return Transforms(Tier.CPU, "cpu", "training is on the CPU")
    tiers = [Tier(wanted)] if wanted != "auto" else list(EXPERIMENTS)
    names = [EXPERIMENTS[tier] for tier in tiers]
    outcomes = run_probes([probe for probe in PROBES if probe.name in names], str(device)).outcomes
    chosen = first_working(tiers, outcomes, str(device))
    if wanted != "auto" and chosen.tier.value != wanted:
        raise MachineError(f"--fft {wanted} does not work here: {chosen.reason}.", "Use --fft auto.")
    return chosen


def first_working(tiers: Sequence[Tier], outcomes: Mapping[str, Outcome], device: str) -> Transforms:
    """The first tier whose experiment passed, with the reasons against those before it; the CPU if none did."""
    against: list[str] = []
    for tier in tiers:
        outcome = outcomes[EXPERIMENTS[tier]]
        if outcome.verdict is Verdict.PASS:
            return Transforms(tier, device, "; ".join(against) or "the probe passed")
        against.append(f"{tier.value}: {outcome.verdict} {outcome.code or ''}".strip())
        log.warning("training mels, %s on %s: %s %s", tier.value, device, outcome.verdict, outcome.detail)
    return Transforms(Tier.CPU, "cpu", "; ".join(against))
