"""Scenarios of XTTS's `get_conditioning_latents`, the call that failed for the original user.

The reference is the same weights on the CPU with every STFT made by NumPy in float64.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch

from repro.matrix import reference, situations, xtts
from repro.matrix.fft_scenarios import check

TRAINING_STEPS = 5
# The STFT's error passes through a log-mel and a network: more than that of the FFT itself, on a GPU above all.
TOLERANCE = 1e-3


def expected_of(model, clip):
    """(conditioning latents, speaker embedding) of the same weights on the CPU without PyTorch's FFT."""
    twin = xtts.build()
    twin.load_state_dict({name: value.cpu() for name, value in model.state_dict().items()})
    with reference.numpy_stft():
        return twin.get_conditioning_latents(audio_path=str(clip))


def conditioning(model, clip, expected=None):
    """The larger relative error of the conditioning latents and of the speaker embedding."""
    expected_latents, expected_speaker = expected or expected_of(model, clip)
    latents, speaker = model.get_conditioning_latents(audio_path=str(clip))
    return max(
        check("speaker embedding", speaker, expected_speaker.numpy(), TOLERANCE),
        check("conditioning latents", latents, expected_latents.numpy(), TOLERANCE),
    )


def with_model(scenario):
    """Give a scenario a fresh model on the device and a clip: ``scenario(model, clip, device)``."""

    def run(device):
        xtts.prepare()
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "reference.wav"
            xtts.write_speech(clip)
            return scenario(xtts.build().to(device), clip, device)

    run.__doc__ = scenario.__doc__
    return run


def train(model, clip, device):
    """Real training steps on the device; the weights must change."""
    before = copy.deepcopy(model.gpt.state_dict())
    trainer = xtts.Trainer(model, device)
    audio = xtts.read_wav(clip, xtts.SAMPLE_RATE)
    for _ in range(TRAINING_STEPS):
        trainer.step(audio)
    if all(torch.equal(value, before[name]) for name, value in model.gpt.state_dict().items()):
        raise RuntimeError("training changed no weight: this would test nothing")


@with_model
def fresh(model, clip, device):
    """Conditioning is the first thing the process does."""
    return conditioning(model, clip)


@with_model
def after_training(model, clip, device):
    """Conditioning after real training steps in the same process."""
    train(model, clip, device)
    return conditioning(model, clip)


@with_model
def between_training(model, clip, device):
    """Training, conditioning, training, conditioning: as samples between epochs."""
    train(model, clip, device)
    first = conditioning(model, clip)
    train(model, clip, device)
    return max(first, conditioning(model, clip))


@with_model
def five_loads(model, clip, device):
    """XTTS loaded five times in one process, conditioning each time."""
    worst = conditioning(model, clip)
    for number in range(1, 5):
        worst = max(worst, conditioning(xtts.build(seed=number).to(device), clip))
    return worst


@with_model
def moved_off_and_on(model, clip, device):
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
def in_threads(model, clip, device):
    """Two threads condition with the same model."""
    expected = expected_of(model, clip)
    return max(situations.in_threads(lambda _: conditioning(model, clip, expected), count=2))


@with_model
def little_memory(model, clip, device):
    """Conditioning with 256 MB of the GPU's memory left."""
    expected = expected_of(model, clip)
    with situations.little_memory(256):
        return conditioning(model, clip, expected)


@with_model
def after_out_of_memory(model, clip, device):
    """Conditioning after training and an out-of-memory error that the program recovered from."""
    train(model, clip, device)
    situations.out_of_memory()
    return conditioning(model, clip)
