"""A run that is ready to train on the built-in speech, for the sides that train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.training.display import Display
from cufft_harness.training.loop import Trainer
from cufft_harness.training.prepare import Prepared, prepare
from cufft_harness.training.settings import Settings
from cufft_harness.training.stop import StopRequest


def settings(directory: Path, output: Path, device: str, **changes: Any) -> Settings:
    """Settings of a short run of `directory`'s model: an epoch is one step on a CPU, six on a GPU."""
    clips, batch, epochs = (1, 1, 2) if device == "cpu" else (24, 4, 3)
    values = {"model": str(directory), "output": output, "device": device, "batch_size": batch, "num_epochs": epochs}
    return Settings(**{**values, "max_train_samples": clips, "max_val_samples": 1, "keep_checkpoints": 1, **changes})


@contextmanager
def ready(chosen: Settings) -> Iterator[tuple[Trainer, Prepared]]:
    """The trainer of a run, as `cufft_harness.training.run` makes it, before its first step."""
    accelerator = Accelerator(cpu=chosen.device == "cpu", mixed_precision=chosen.mixed_precision)
    chosen.output.mkdir(parents=True, exist_ok=True)
    with Display(chosen.output) as display, StopRequest() as stop:
        prepared = prepare(chosen, chosen.output, accelerator.device, display)
        folder = CheckpointFolder(chosen.output / "checkpoints")
        model, data = prepared.training_model, prepared.data
        yield Trainer(chosen, accelerator, model, data, folder, "", stop), prepared
