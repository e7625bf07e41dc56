"""Scenarios of XTTS's `get_conditioning_latents`, the call that failed for the original user.

The reference is the same weights on the CPU with every STFT made by NumPy in float64.
"""

from __future__ import annotations

import copy
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cufft_harness.probes import situations
from cufft_harness.probes.outcome import Outcome, Verdict

from repro.matrix import reference, xtts
from repro.matrix.reference import WrongNumbers, check

TRAINING_STEPS = 5
# The STFT's error passes through a log-mel and a network: more than that of the FFT itself, on a GPU above all.
TOLERANCE = 1e-3

Latents = tuple[torch.Tensor, torch.Tensor]
"""Conditioning latents (1, tokens, width) and speaker embedding (1, 512, 1), float32."""


def expected_of(model: Any, clip: Path) -> Latents:
    """What the same weights give on the CPU without PyTorch's FFT."""
    twin = xtts.build()
    twin.load_state_dict({name: value.cpu() for name, value in model.state_dict().items()})
    with reference.numpy_stft():
        latents: Latents = twin.get_conditioning_latents(audio_path=str(clip))
    return latents


def conditioning(model: Any, clip: Path, expected: Latents | None = None) -> float:
    """The larger relative error of the conditioning latents and of the speaker embedding."""
    expected_latents, expected_speaker = expected or expected_of(model, clip)
    latents, speaker = model.get_conditioning_latents(audio_path=str(clip))
    return max(
        check("speaker embedding", speaker, expected_speaker.numpy(), TOLERANCE),
        check("conditioning latents", latents, expected_latents.numpy(), TOLERANCE),
    )


def with_model(scenario: Callable[[Any, Path, str], float]) -> Callable[[str], Outcome]:
    """Give a scenario a fresh model on the device and a clip; its relative error becomes an outcome."""

    @functools.wraps(scenario)
    def run(device: str) -> Outcome:
        xtts.prepare()
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "reference.wav"
            xtts.write_speech(clip)
            model = xtts.build().to(device)
            began = time.perf_counter()
            try:
                error = scenario(model, clip, device)
            except WrongNumbers as wrong:
                return Outcome(Verdict.WRONG_NUMBERS, None, str(wrong), None, time.perf_counter() - began)
        return Outcome(Verdict.PASS, None, "", error, time.perf_counter() - began)

    return run


def train(model: Any, clip: Path, device: str) -> None:
    """Real training steps on the device; the weights must change."""
    before = copy.deepcopy(model.gpt.state_dict())
    trainer = xtts.Trainer(model, device)
    audio = xtts.read_wav(clip, xtts.SAMPLE_RATE)
    for _ in range(TRAINING_STEPS):
        trainer.step(audio)
    if all(torch.equal(value, before[name]) for name, value in model.gpt.state_dict().items()):
        raise RuntimeError("training changed no weight: this would test nothing")


@with_model
def fresh(model: Any, clip: Path, device: str) -> float:
    """Conditioning is the first thing the process does."""
    return conditioning(model, clip)


@with_model
def after_training(model: Any, clip: Path, device: str) -> float:
    """Conditioning after real training steps in the same process."""
    train(model, clip, device)
    return conditioning(model, clip)


@with_model
def between_training(model: Any, clip: Path, device: str) -> float:
    """Training, conditioning, training, conditioning: as samples between epochs."""
    train(model, clip, device)
    first = conditioning(model, clip)
    train(model, clip, device)
    return max(first, conditioning(model, clip))


@with_model
def five_loads(model: Any, clip: Path, device: str) -> float:
    """XTTS loaded five times in one process, conditioning each time."""
    worst = conditioning(model, clip)
    for number in range(1, 5):
        worst = max(worst, conditioning(xtts.build(seed=number).to(device), clip))
    return worst


@with_model
def moved_off_and_on(model: Any, clip: Path, device: str) -> float:
    """The model moved to the CPU and back, as the original user did to make room."""
    worst = conditioning(model, clip)
    for _ in range(3):
        model.cpu()
        if device != "cpu":
            torch.cuda.empty_cache()
        model.to(device)
        worst = max(worst, conditioning(model, clip))
    return worst


@with_model
def in_threads(model: Any, clip: Path, device: str) -> float:
    """Two threads condition with the same model."""
    expected = expected_of(model, clip)
    return max(situations.in_threads(lambda _: conditioning(model, clip, expected), count=2))


@with_model
def little_memory(model: Any, clip: Path, device: str) -> float:
    """Conditioning with 256 MiB of the GPU's memory left."""
    expected = expected_of(model, clip)
    with situations.little_memory(device, 256 * situations.MIB):
        return conditioning(model, clip, expected)


@with_model
def after_out_of_memory(model: Any, clip: Path, device: str) -> float:
    """Conditioning after training and an out-of-memory error that the program recovered from."""
    train(model, clip, device)
    situations.out_of_memory(device)
    return conditioning(model, clip)
