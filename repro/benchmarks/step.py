"""One training step: this project's beside that of coqui's own GPTTrainer, with the same model, clips and precision.

Both get the decoded clips for nothing (coqui loads them in other processes). Coqui computes mels and codes in each
step, this project took them from its cache. Losses of the first step must agree, or no figure is given.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from cufft_harness.audio import read_mono
from cufft_harness.dataset.audit import Clip
from cufft_harness.training.loop import Trainer
from cufft_harness.xtts.features import SAMPLE_RATE
from cufft_harness.xtts.loss import Batch
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTArgs, GPTTrainer, GPTTrainerConfig
from TTS.tts.models.xtts import XttsAudioConfig

from repro.benchmarks.pairs import Pair
from repro.benchmarks.run import ready, settings

LOSS_TOLERANCE = 0.02
"""Relative; the conditioning mel of a slice differs in its edge frames (see `conditioning_slice`)."""
NEEDED_GB = {"tiny": 2, "full": 17}


def measure(directory: Path, folder: Path, device: str, size: str, repeats: int) -> Iterator[dict[str, object]]:
    """Rows of the results file."""
    free = _available_gb()
    if device == "cpu" and free < NEEDED_GB[size]:
        reason = f"not run: {free:.0f} GB of memory free, {NEEDED_GB[size]} GB needed for both sides at once"
        yield {"what": "training step", "goal": "step", "remark": reason}
        return
    with ready(settings(directory, folder / "step", device, samples=False)) as (trainer, prepared):
        clips = prepared.audited.train[: prepared.settings.batch_size]
        batch = trainer.data.train.collate(list(range(len(clips))), 1)
        mels: list[float] = []
        ours, theirs = _ours(trainer), _coqui(directory, clips, batch, torch.device(device), mels)
        pair = Pair(f"training step, batch of {batch.size}, float32", goal="step")
        first = _seeded(theirs)[1], _seeded(ours)[1]
        if abs(first[0] - first[1]) > LOSS_TOLERANCE * abs(first[0]):
            pair.different = f"the first step's losses are {first[0]:.4f} and {first[1]:.4f}"
        for repeat in range(repeats):
            pair.add(_seeded(theirs)[0], _seeded(ours)[0])
            print(f"{repeat + 1}/{repeats} training step: {pair.baseline[-1]:.2f} s, {pair.ours[-1]:.2f} s", flush=True)
        share = min(mels) / min(pair.baseline)
        pair.remark = f"first loss {first[0]:.4f} and {first[1]:.4f}; mels and codes are {share:.0%} of coqui's step"
        yield pair.outcome()


def _seeded(step: Callable[[], float]) -> tuple[float, float]:
    """Seconds and loss of a step; the same dropout on both sides."""
    torch.manual_seed(0)
    _wait()
    began = time.perf_counter()
    loss = step()
    _wait()
    return time.perf_counter() - began, loss


def _ours(trainer: Trainer) -> Callable[[], float]:
    trainer.model.train()
    indices = list(range(trainer.settings.batch_size))

    def step() -> float:
        return trainer.update([trainer.data.train.collate(indices, 1)]).loss

    return step


def _coqui(
    directory: Path, clips: list[Clip], batch: Batch, device: torch.device, mels: list[float]
) -> Callable[[], float]:
    """Coqui's own classes: mels and codes (their seconds go into `mels`), loss, optimizer as in its recipe."""
    sizes = json.loads((directory / "config.json").read_text())["model_args"]
    arguments = GPTArgs(**{name: value for name, value in sizes.items() if name in GPTArgs.__dataclass_fields__})
    arguments.tokenizer_file = str(directory / "vocab.json")
    arguments.mel_norm_file = str(directory / "mel_stats.pth")
    arguments.dvae_checkpoint = str(directory / "dvae.pth")
    arguments.xtts_checkpoint = str(directory / "model.pth")
    config = GPTTrainerConfig(
        model_args=arguments,
        audio=XttsAudioConfig(sample_rate=SAMPLE_RATE, output_sample_rate=24_000),
        optimizer="AdamW",
        optimizer_wd_only_on_weights=True,
        optimizer_params={"betas": [0.9, 0.96], "eps": 1e-8, "weight_decay": 1e-2},
    )
    coqui = GPTTrainer(config).to(device)
    coqui.eval()
    gpt = coqui.xtts.gpt.train()
    optimizer = coqui.get_optimizer()
    waves = [torch.from_numpy(read_mono(clip.path, SAMPLE_RATE)).clip(-1, 1) for clip in clips]
    assert batch.slices is not None
    raw = _raw_batch(waves, batch)

    def step() -> float:
        fresh = {name: value.to(device) if value is not None else None for name, value in raw.items()}
        began = time.perf_counter()
        fresh = coqui.format_batch_on_device(fresh)
        _wait()
        mels.append(time.perf_counter() - began)
        _outputs, losses = coqui.train_step(fresh, None)
        losses["loss"].backward()
        clip_grad_norm_(gpt.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(losses["loss"].item())

    return step


def _raw_batch(waves: list[torch.Tensor], batch: Batch) -> dict[str, Any]:
    """What coqui's data loader hands to the trainer, with the slices that `batch` has."""
    # `batch.conditioning` holds mels; the slices' samples are cut out of the clips as coqui's data set cuts them
    hop_length = 256
    longest = (batch.conditioning.shape[-1] - 1) * hop_length
    conditioning = torch.zeros(len(waves), 1, 1, longest)
    assert batch.slices is not None
    for number, (wave, (start, end)) in enumerate(zip(waves, batch.slices.tolist(), strict=True)):
        # slices are in units that make coqui mask codes: 1024 samples times hop_length / 1024
        cut = wave[start * 1024 // hop_length : end * 1024 // hop_length]
        conditioning[number, 0, 0, : len(cut)] = cut[:longest]
    return {
        "padded_text": batch.text,
        "text_lengths": batch.text_lengths,
        "wav": pad_sequence(waves, batch_first=True).unsqueeze(1),
        "wav_lengths": batch.frames,
        "conditioning": conditioning,
        "cond_idxs": batch.slices.clone(),
        "cond_lens": None,
    }


def _available_gb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) / 1e6
    return 0.0


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
