"""What sampling is at, for the screen."""

from __future__ import annotations

from dataclasses import dataclass

from cufft_harness.sampling.orders import Left, title
from cufft_harness.sampling.process import Progress


@dataclass(frozen=True)
class Status:
    """What sampling is at.

    Attributes:
        epoch: whose sample is being made; None while a worker is made ready ahead.
        progress: of the worker.
        seconds: since the sample was begun.
        left: what is still to be made.
    """

    epoch: int | None
    progress: Progress
    seconds: float
    left: Left

    def __str__(self) -> str:
        what = "sampler" if self.epoch is None else title(self.epoch)
        stage = _IN_WORDS.get(self.progress.stage, self.progress.stage) or "starting"
        hindered = f", {self.progress.hindered}" if self.progress.hindered else ""
        waited = f", {self.progress.waited:.0f} s of them without a processor" if self.progress.waited >= 1 else ""
        return f"{what}: {stage}{hindered} ({self.seconds:.0f} s{waited}){self.left}"


_IN_WORDS = {
    "imports": "importing PyTorch and TTS",
    "model": "loading the model",
    "load": "loading the weights",
    "probe": "testing the FFT",
    "voice": "reading the voice",
    "condition": "conditioning",
    "decode": "decoding",
    "vocode": "vocoding",
    "write": "writing",
}
"""Stages of the worker as the user knows them."""
