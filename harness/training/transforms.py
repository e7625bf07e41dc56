"""How the mels of training are transformed: they are the one place where a broken cuFFT kills training too."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from harness.errors import MachineError
from harness.probes.outcome import Verdict
from harness.probes.stft import check_stft
from harness.sampling.tiers import Tier

log = logging.getLogger(__name__)


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
        if self.tier is not Tier.BYPASS:
            return nullcontext()
        from harness.fft import bypass

        replaced: AbstractContextManager[object] = bypass(torch.device(self.device).type)
        return replaced

    def __str__(self) -> str:
        return f"{self.tier.value} on {self.device} ({self.reason})"


def choose(wanted: str, device: torch.device) -> Transforms:
    """Pick the best tier that a probe finds working.

    Args:
        wanted: "auto", or the name of the one tier to use.
        device: of the training.

    Raises:
        MachineError: the tier asked for does not work here.
    """
    if wanted == Tier.CPU.value or (wanted == "auto" and device.type == "cpu"):
        return Transforms(Tier.CPU, "cpu", "as asked for" if wanted != "auto" else "training is on the CPU")
    tiers = [Tier(wanted)] if wanted != "auto" else [Tier.NATIVE, Tier.BYPASS]
    problems: list[str] = []
    for tier in tiers:
        transforms = Transforms(tier, str(device), "; ".join(problems) or "the probe passed")
        with transforms.context():
            result = check_stft(str(device))
        if result.verdict is Verdict.PASS:
            return transforms
        problems.append(f"{tier.value}: {result.verdict} {result.code or ''}".strip())
        log.warning("training mels, %s on %s: %s", tier.value, device, result.detail)
    if wanted != "auto":
        raise MachineError(f"--fft {wanted} does not work here: {problems[-1]}.", "Use --fft auto.")
    return Transforms(Tier.CPU, "cpu", "; ".join(problems))
