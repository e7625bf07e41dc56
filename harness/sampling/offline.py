"""Samples after the fact: from one checkpoint, or from all of a run, by the same worker that samples during training."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.checkpoints import BEST, CheckpointFolder, load_for_sampling
from harness.errors import MachineError, UserError
from harness.sampling.artefacts import SampleFolder
from harness.sampling.supervisor import LONGEST_QUEUE, Order, Record, Spec, Supervisor
from harness.sampling.tiers import placements

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What a checkpoint's settings tell of its run.

    Attributes:
        model: the `--model` it was started with.
        reference: the clip its samples were spoken after, if the settings name one.
    """

    checkpoints: list[Path]
    model: str
    output: Path
    reference: Path | None
    text: str
    language: str
    seed: int
    max_seconds: float


def find(path: Path) -> Run:
    """Understand what the user named: a checkpoint, a run's output directory, or its `checkpoints` folder.

    Raises:
        UserError: there is no valid checkpoint.
    """
    path = path.expanduser()
    if path.is_dir():
        folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
        found = CheckpointFolder(folder)
        files = [found.epoch_path(epoch) for epoch in found.epochs()]
        if not files and (folder / BEST).is_file():
            files = [folder / BEST]
        if not files:
            raise UserError(f"no checkpoint in {path}.", "Give a checkpoint, or the output directory of a run.")
    else:
        files = [path]
    settings = load_for_sampling(files[-1]).settings
    reference = settings["sample_reference"]
    return Run(
        checkpoints=files,
        model=settings["model"],
        output=files[0].resolve().parent.parent,
        reference=Path(reference) if reference else None,
        text=settings["sample_text"],
        language=settings["sample_language"],
        seed=settings["sample_seed"],
        max_seconds=settings["sample_max_seconds"],
    )
