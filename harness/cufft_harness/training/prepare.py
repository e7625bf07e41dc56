"""Everything before the first step: model, checked data set, cached features. A user's mistakes show here."""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cufft_harness.dataset.audit import Audited, Clip, Limits, audit
from cufft_harness.dataset.batches import Batches, Data
from cufft_harness.dataset.features import FeatureCache, FeatureSource, FreshFeatures
from cufft_harness.errors import UserError, printable
from cufft_harness.files import atomic_path
from cufft_harness.sampling.orders import utterances
from cufft_harness.training.display import Display
from cufft_harness.training.fft import Transforms, choose
from cufft_harness.training.inputs import check_inputs
from cufft_harness.training.settings import Settings
from cufft_harness.training.trained_on import remember
from cufft_harness.xtts.directory import ModelDirectory, gpt_for_training, load
from cufft_harness.xtts.features import FeatureExtractor
from cufft_harness.xtts.loss import TrainingModel
from cufft_harness.xtts.registry import resolve
from cufft_harness.xtts.speech import longest_sentence, sentences

if TYPE_CHECKING:
    from TTS.tts.models.xtts import Xtts


@dataclass(frozen=True)
class Prepared:
    """All that exists before the first step.

    Attributes:
        audited: the clips to train and validate on.
        model: the base model's directory.
        voices: clips to speak after: all of them in each epoch, or one after the other with `cycle_references`.
    """

    settings: Settings
    model: ModelDirectory
    audited: Audited
    data: Data
    training_model: TrainingModel
    voices: list[Path]


def prepare(settings: Settings, output: Path, device: torch.device, display: Display, is_main: bool = True) -> Prepared:
    """Model, checked data set and cached features; every user error shows here, before any training.

    Only the main process of a run writes its files: the others come after it, all at once.
    """
    began = time.perf_counter()
    data_set = check_inputs(settings)
    display.say(f"training on {_describe(device)}; model {settings.model}; data {data_set.root}; output {output}")
    display.say(f"reading {data_set.description}")
    if is_main:
        remember(output, data_set)
    model = resolve(settings.model, output, settings.accept_licence)
    xtts = load(model)
    for said in utterances(settings.sample_text, settings.sample_language, (Path(),)):
        _check_sample_text(xtts, said.text, said.language, display)
    most_seconds = (int(xtts.args.gpt_max_audio_tokens) - 4) * 1024 / 22_050
    limits = Limits(
        max_seconds=min(settings.max_clip_seconds, most_seconds),
        max_tokens=min(int(xtts.args.gpt_max_text_tokens), (settings.max_text_tokens or sys.maxsize) + 1),
        unknown_token=xtts.tokenizer.tokenizer.token_to_id("[UNK]"),
    )
    with display.steps("checking clips", len(data_set.rows)) as advance:
        audited = audit(data_set, xtts.tokenizer.encode, limits, advance, settings.validation_fraction)
    if is_main:
        _report_rejected(audited, output, display)
    clips = audited.train[: settings.max_train_samples], audited.validation[: settings.max_val_samples]
    data, transforms = _batches(settings, model, output, device, clips, display)
    voices = [clip.expanduser() for clip in settings.sample_reference or ()] or _voices(clips, settings)
    display.say(
        f"{len(clips[0])} clips to train on, {len(clips[1])} to validate on, {len(audited.rejected)} left out; "
        f"training mels: {transforms}; ready after {time.perf_counter() - began:.1f} s"
    )
    return Prepared(settings, model, audited, data, TrainingModel(gpt_for_training(xtts)), voices)


def _describe(device: torch.device) -> str:
    """The device in words a user knows."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return "the CPU" if torch.cuda.is_available() else "the CPU (PyTorch finds no usable GPU)"


def _check_sample_text(xtts: Xtts, text: str, language: str, display: Display) -> None:
    """Refuse a text that XTTS cannot speak, and say so of one that it may not speak to the end."""
    parts = sentences(xtts, text, language)
    try:
        tokens = max(len(xtts.tokenizer.encode(part.strip().lower(), language)) for part in parts)
    except Exception as error:
        raise UserError(f"the sample text cannot be tokenized as `{language}`: {error}") from error
    limit, longest = int(xtts.args.gpt_max_text_tokens), longest_sentence(xtts, language)
    split = "pip install 'cufft-harness[long-text]' has it split"
    if tokens >= limit:
        advice = f"Shorten it, or {split}." if len(parts) == 1 else "Shorten its longest sentence."
        raise UserError(f"the sample text has {tokens} tokens, XTTS takes fewer than {limit} at once.", advice)
    if longest is not None and len(text) >= longest and len(parts) == 1:
        display.say(
            f"note: a sample text has {len(text)} characters; XTTS speaks {longest} well at once in {language}; {split}"
        )


def _voices(clips: tuple[list[Clip], list[Clip]], settings: Settings) -> list[Path]:
    if settings.cycle_references:
        return [clip.path for clip in (*clips[1], *clips[0])]
    fitting = [clip.path for clip in clips[1] if clip.row.language == settings.sample_language[0]]
    return (fitting or [clip.path for clip in clips[1]])[:1]


def _report_rejected(audited: Audited, output: Path, display: Display) -> None:
    """Name each row that is left out; many of them in a file only, and its name on the screen."""
    rejected = audited.rejected
    with atomic_path(output / "rejected.tsv") as path, path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, dialect="excel-tab")
        writer.writerow(["row", "clip", "reason"])
        writer.writerows([item.row.source, printable(item.row.clip), printable(item.detail)] for item in rejected)
    for item in rejected[:20]:
        display.say(f"left out: {item}")
    if len(rejected) > 20:
        display.say(f"left out: {len(rejected) - 20} more, all in {output / 'rejected.tsv'}")
        counts = Counter(item.reason.value for item in rejected)
        display.say("left out because " + "; ".join(f"{reason} ({count})" for reason, count in counts.most_common()))
    if audited.unknown:
        shown = ", ".join(f"{one} (U+{ord(one):04X}) in {count}" for one, count in audited.unknown.most_common(20))
        display.say(f"characters that the model's vocabulary does not know, and in how many texts: {shown}")


def _batches(
    settings: Settings,
    model: ModelDirectory,
    output: Path,
    device: torch.device,
    clips: tuple[list[Clip], list[Clip]],
    display: Display,
) -> tuple[Data, Transforms]:
    transforms = choose(settings.fft, device)
    extractor = FeatureExtractor(model, transforms.device, transforms.context)
    features: FeatureSource = FreshFeatures(extractor)
    if settings.features == "cached":
        features = cache = FeatureCache(output / "cache", extractor)
        with display.steps("computing features", len(clips[0]) + len(clips[1])) as advance:
            cache.fill([*clips[0], *clips[1]], advance)
    masks = model.config().model_args.gpt_use_masking_gt_prompt_approach
    if not masks and settings.masking != "none":
        display.say("nothing is masked: the model's config.json has gpt_use_masking_gt_prompt_approach false")

    def batches(part: list[Clip], training: bool) -> Batches:
        return Batches(
            part,
            features,
            batch_size=settings.batch_size,
            seed=settings.seed,
            training=training,
            draw=settings.draw,
            masking=settings.masking if masks else "none",
            hop_length=extractor.hop_length,
        )

    return Data(batches(clips[0], True), batches(clips[1], False)), transforms
