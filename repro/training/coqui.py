"""coqui's GPTTrainer in its own `trainer.Trainer`, as its recipe sets it up, on clips and with draws that are given.

Nothing of its code is changed. Its data set asks the module `random` for language, clip and slice; here it is given
what our `Batches` draw at the same place. Audio is read with soundfile (see `cufft_harness.xtts`), not with FFmpeg.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from cufft_harness.dataset.audit import Clip
from cufft_harness.dataset.batches import hash_seed
from cufft_harness.training.settings import Settings
from trainer import Trainer, TrainerArgs
from TTS.tts.configs.xtts_config import XttsAudioConfig
from TTS.tts.layers.xtts.trainer import dataset
from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTArgs, GPTTrainer, GPTTrainerConfig

SAMPLE_RATE = 22_050


def config(model: Path, output: Path, **changes: Any) -> GPTTrainerConfig:
    """The configuration of coqui's `recipes/ljspeech/xtts_v2/train_gpt_xtts.py` for a model directory."""
    sizes = json.loads((model / "config.json").read_text())["model_args"]
    arguments = GPTArgs(**{name: value for name, value in sizes.items() if name in GPTArgs.__dataclass_fields__})
    arguments.max_conditioning_length, arguments.min_conditioning_length = 132_300, 66_150
    arguments.max_wav_length, arguments.max_text_length = 255_995, 200
    arguments.tokenizer_file = str(model / "vocab.json")
    arguments.mel_norm_file = str(model / "mel_stats.pth")
    arguments.dvae_checkpoint = str(model / "dvae.pth")
    arguments.xtts_checkpoint = str(model / "model.pth")
    values = {
        "output_path": str(output),
        "model_args": arguments,
        "audio": XttsAudioConfig(sample_rate=SAMPLE_RATE, dvae_sample_rate=SAMPLE_RATE, output_sample_rate=24_000),
        "batch_size": 3,
        "eval_batch_size": 3,
        "num_loader_workers": 0,
        "num_eval_loader_workers": 0,
        "optimizer": "AdamW",
        "optimizer_wd_only_on_weights": True,
        "optimizer_params": {"betas": [0.9, 0.96], "eps": 1e-8, "weight_decay": 1e-2},
        "lr": 5e-6,
        "lr_scheduler": "MultiStepLR",
        "lr_scheduler_params": {"milestones": [900_000, 2_700_000, 5_400_000], "gamma": 0.5, "last_epoch": -1},
        "test_sentences": [],
        "print_step": 10_000,
    }
    return GPTTrainerConfig(**{**values, **changes})


def train(
    settings: Settings,
    model: Path,
    clips: tuple[list[Clip], list[Clip]],
    after_step: Callable[[Trainer, float], None] = lambda trainer, loss: None,
    after_epoch: Callable[[Trainer], None] = lambda trainer: None,
    prepare: Callable[[torch.nn.Module], None] = lambda model: None,
) -> Path:
    """Train as `settings` of recipe coqui say, by coqui's own code.

    Args:
        settings: number of epochs, batch size, accumulation, rate and seed of the draws.
        model: the base model's directory.
        clips: to train and to validate on.
        after_step: called after each batch with the trainer and the batch's loss.
        after_epoch: called after each epoch, once it is evaluated.
        prepare: called with the model before it is trained.

    Returns:
        coqui's run directory: config.json, best_model.pth, logs.
    """
    changes = {"epochs": settings.num_epochs, "batch_size": settings.batch_size, "lr": settings.learning_rate}
    chosen = config(model, settings.output, **changes)
    gpt_trainer = GPTTrainer(chosen)
    prepare(gpt_trainer)
    losses: list[float] = []
    step = gpt_trainer.train_step

    def noting(*arguments: Any, **named: Any) -> Any:
        outputs, found = step(*arguments, **named)
        losses.append(float(found["loss"].detach()))
        return outputs, found

    gpt_trainer.train_step = noting
    train_samples, eval_samples = (
        [{"text": one.row.text, "audio_file": str(one.path), "language": one.row.language} for one in part]
        for part in clips
    )
    with _given_draws(settings.seed, len(train_samples)):
        trainer = Trainer(
            TrainerArgs(grad_accum_steps=settings.gradient_accumulation_steps),
            chosen,
            output_path=str(settings.output),
            model=gpt_trainer,
            train_samples=train_samples,
            eval_samples=eval_samples,
            parse_command_line_args=False,
            callbacks={"on_train_step_end": lambda one: after_step(one, losses[-1]), "on_epoch_end": after_epoch},
        )
        trainer.fit()
    return Path(trainer.output_path)


class _Draws:
    """Stands in for the module `random` in coqui's data set."""

    def __init__(self, seed: int) -> None:
        self._seed, self._drawing = seed, random.Random()

    def go_to(self, epoch: int, place: int) -> None:
        """From now on draw what our batches draw there."""
        self._drawing = random.Random(hash_seed(self._seed, epoch, place))

    def choice(self, options: list[Any]) -> Any:
        """A language."""
        return self._drawing.choice(options)

    def randint(self, low: int, high: int) -> int:
        """A clip, a length, a start."""
        return self._drawing.randint(low, high)

    def seed(self, _seed: int) -> None:
        """Of the order in which clips lie in memory, which is not changed here."""

    def shuffle(self, _samples: list[Any]) -> None:
        """See `seed`."""


@contextmanager
def _given_draws(seed: int, clips: int) -> Iterator[None]:
    """Let coqui's data set draw what ours draws."""
    draws, drawn = _Draws(seed), 0
    item = dataset.XTTSDataset.__getitem__

    def given(self: Any, index: int) -> Any:
        nonlocal drawn
        if not self.is_eval:
            draws.go_to(drawn // clips + 1, drawn % clips)
            drawn += 1
        return item(self, index)

    before = dataset.random
    dataset.random, dataset.XTTSDataset.__getitem__ = draws, given
    try:
        yield
    finally:
        dataset.random, dataset.XTTSDataset.__getitem__ = before, item
