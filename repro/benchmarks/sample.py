"""One sample, stage by stage: every tier of the warm worker beside stock TTS, which loads a new model for each sample.

The worker is handed a checkpoint's weights anew for every sample. Stock TTS says the same codes with the same seed; the
plain path must give its waveform, or no figure is given.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch
from cufft_harness.audio import read_mono, resample
from cufft_harness.dataset.metadata import built_in
from cufft_harness.sampling.protocol import Request
from cufft_harness.sampling.worker import Worker
from cufft_harness.tiers import Placement, Tier, placements
from cufft_harness.xtts.directory import ModelDirectory, gpt_state
from cufft_harness.xtts.speech import Stages
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from repro.benchmarks.pairs import Pair

CLIP = built_in() / "wavs" / "pt_01.ogg"
TEXT = "Olá, este é um teste de síntese de voz usando XTTS treinado."
SEED = 1234
STAGES = ("load", "condition", "decode", "vocode", "write")
CODE_SECONDS = 1024 / 22_050


@dataclass(frozen=True)
class Spoken:
    """Seconds of each of `STAGES`, and the samples at 22 050 Hz."""

    seconds: dict[str, float]
    samples: np.ndarray
    precision: str = "float32"

    @property
    def total(self) -> float:
        """Seconds of the whole sample."""
        return sum(self.seconds.values())

    @property
    def speech(self) -> float:
        """Seconds of decode and vocode alone."""
        return self.seconds["decode"] + self.seconds["vocode"]


def stock(directory: Path, device: str, tokens: int, target: Path) -> Spoken:
    """What the original flow did for each sample: a new model from disk, float32, coqui's own methods."""
    stages = Stages(torch.device(device))
    with stages.stage("load"):
        config = XttsConfig()
        config.load_json(str(directory / "config.json"))
        model = Xtts(config)
        model.load_checkpoint(config, checkpoint_dir=str(directory), eval=True)
        model.to(device)
    with stages.stage("condition"):
        latents, embedding = model.get_conditioning_latents(
            str(CLIP),
            max_ref_length=config.max_ref_len,
            gpt_cond_len=config.gpt_cond_len,
            gpt_cond_chunk_len=config.gpt_cond_chunk_len,
        )
    vocoder, plain = model.hifigan_decoder, model.hifigan_decoder.forward

    def timed(*arguments: object, **named: object) -> torch.Tensor:
        with stages.stage("vocode"):
            wave: torch.Tensor = plain(*arguments, **named)
        return wave

    vocoder.forward = timed
    names = ("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p")
    torch.manual_seed(SEED)
    with stages.stage("decode"):
        wave = model.inference(
            TEXT, "pt", latents, embedding, max_new_tokens=tokens, **{name: config[name] for name in names}
        )["wav"]
    stages.seconds["decode"] -= stages.seconds["vocode"]
    with stages.stage("write"):
        soundfile.write(target, wave, 24_000, subtype="PCM_16")
    return Spoken(stages.seconds, resample(np.asarray(wave, dtype=np.float32), 24_000, 22_050))


def warm(worker: Worker, placement: Placement, checkpoint: Path, tokens: int, target: Path, fast: bool) -> Spoken:
    """The same by the worker; the checkpoint counts as a new one, so that its weights are handed over again."""
    os.utime(checkpoint, ns=(time.time_ns(), time.time_ns()))
    seconds = (tokens + 0.5) * CODE_SECONDS
    request = Request(1, placement, str(checkpoint), TEXT, "pt", str(CLIP), SEED, seconds, str(target), fast=fast)
    answer = worker.handle(request)
    if not answer.made:
        raise RuntimeError(f"{placement}: {answer.reason}")
    seconds_of = dict(answer.stages)
    seconds_of["condition"] += seconds_of.pop("probe") + seconds_of.pop("voice")
    return Spoken(seconds_of, read_mono(target, 22_050), answer.precision)


def measure(directory: Path, folder: Path, device: str, tokens: int, repeats: int) -> Iterator[dict[str, object]]:
    """Rows of the results file."""
    from repro.benchmarks.checkpoint import of_base_model

    model = ModelDirectory.at(directory)
    worker = Worker(model)
    checkpoint = of_base_model(gpt_state(worker.model), folder / "checkpoint_epoch_1.pt")
    steps = placements("cuda:0" if device == "cuda" else None)
    sides = {str(step): (step, False) for step in steps} | {"cpu, fast": (steps[-1], True)}
    for step, fast in sides.values():
        warm(worker, step, checkpoint, min(tokens, 4), folder / "warm-up.wav", fast)
    found: dict[str, list[Spoken]] = {}
    for repeat in range(repeats):
        for where in dict.fromkeys(step.device for step in steps):
            found.setdefault(f"stock on {where}", []).append(stock(directory, where, tokens, folder / "stock.wav"))
        for name, (step, fast) in sides.items():
            spoken = warm(worker, step, checkpoint, tokens, folder / "ours.wav", fast)
            found.setdefault(name, []).append(spoken)
            print(f"{repeat + 1}/{repeats} {name}: {spoken.total:.1f} s, {spoken.seconds}", flush=True)
    checkpoint.unlink()
    for name, (step, fast) in sides.items():
        yield from _rows(f"stock on {step.device}", name, step, fast, found)
    if device == "cuda":
        native, bypass = (found[str(step)] for step in steps[:2])
        pair = Pair("whole sample, tier bypass over tier native", goal="bypass")
        for one, other in zip(native, bypass, strict=True):
            pair.add(other.total, one.total)
        yield pair.outcome()


def _rows(
    baseline: str, name: str, step: Placement, fast: bool, found: dict[str, list[Spoken]]
) -> Iterator[dict[str, object]]:
    theirs, ours = found[baseline], found[name]
    different = _difference(theirs[0].samples, ours[0].samples, exact=not fast and step.tier is Tier.CPU)
    audio = len(ours[0].samples) / 22_050
    used = ours[-1].precision
    title = f"{name} ({used})" if fast else name
    values: list[tuple[str, Callable[[Spoken], float], str]] = [
        (stage, lambda spoken, stage=stage: spoken.seconds[stage], "")  # type: ignore[misc]
        for stage in STAGES
    ]
    on_cpu = step.tier is Tier.CPU and fast
    goals = ("cpu sample", "cpu speech") if on_cpu else ("", "gpu speech") if step.tier is Tier.NATIVE else ("", "")
    values.append(("decode + vocode", lambda spoken: spoken.speech, goals[1]))
    values.append(("whole sample", lambda spoken: spoken.total, goals[0]))
    for stage, value, goal in values:
        pair = Pair(f"{title}, {stage}", goal=goal, different=different)
        for one, other in zip(theirs, ours, strict=True):
            pair.add(value(one), value(other))
        if stage == "whole sample":
            factors = [sum(pair.baseline) / len(theirs) / audio, sum(pair.ours) / len(ours) / audio]
            pair.remark = f"{audio:.2f} s of speech; real-time factor {factors[0]:.2f} before, {factors[1]:.2f} now"
        seconds = [round(median(pair.baseline), 4), round(median(pair.ours), 4)]
        yield {**pair.outcome(), "sides": [baseline, title], "stage": stage, "seconds": seconds}


def _difference(theirs: np.ndarray, ours: np.ndarray, exact: bool) -> str:
    """Why two samples are not the same work; one step of 16 bits is rounding."""
    if abs(len(theirs) - len(ours)) > 1:
        return f"{len(theirs)} and {len(ours)} samples"
    length = min(len(theirs), len(ours))
    apart = float(np.abs(np.clip(theirs[:length], -1, 1) - ours[:length]).max())
    return f"the waveforms differ by {apart:.3g}" if exact and apart > 2 / 32_768 else ""
