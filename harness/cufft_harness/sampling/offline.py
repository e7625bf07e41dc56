"""Samples after the fact: from one checkpoint, or from all of a run, by the worker that samples during training."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cufft_harness.checkpoints import BEST, CheckpointFolder, load_for_sampling
from cufft_harness.errors import MachineError, UserError
from cufft_harness.files import expanded
from cufft_harness.model_files import is_model
from cufft_harness.sampling.artefacts import SampleFolder
from cufft_harness.sampling.orders import Begun, Order, Record, Spec, Utterance
from cufft_harness.sampling.status import Status
from cufft_harness.sampling.supervisor import Supervisor
from cufft_harness.sampling.waiting import LONGEST_QUEUE
from cufft_harness.tiers import placements


@dataclass(frozen=True)
class Found:
    """What a user's path turned out to be.

    Attributes:
        checkpoints: the files, oldest first; each was checked. None is the model itself, which no run has trained.
        output: the run's output directory; for a model, the current one.
        settings: those the run was trained with; for a model, the defaults.
    """

    checkpoints: list[Path | None]
    output: Path
    settings: dict[str, Any]

    def setting(self, name: str, *kinds: type) -> Any:
        """One setting of the run, of one of these types.

        Raises:
            UserError: the checkpoint does not say, or says something else there.
        """
        value = self.settings.get(name)
        if not isinstance(value, kinds):
            raise self._lacks(name)
        return value

    def several(self, name: str) -> tuple[str, ...]:
        """One of those that may be given several times; runs of old have one.

        Raises:
            UserError: the checkpoint does not say, or says something else there.
        """
        value = self.setting(name, str, list, tuple)
        values = (value,) if isinstance(value, str) else tuple(value)
        if not values or not all(isinstance(one, str) for one in values):
            raise self._lacks(name)
        return values

    def _lacks(self, name: str) -> UserError:
        return UserError(f"{self.checkpoints[-1]} is of no run of `cufft-harness train`: it has no {name}.")


def find(path: Path, best: bool = False, of_model: Mapping[str, Any] | None = None) -> Found:
    """Understand a checkpoint, a run's output directory, its `checkpoints` folder, or a model of its own.

    Args:
        path: what the user named.
        best: of a run take the one best checkpoint; the newest where none is marked so.
        of_model: settings for a model that no run has trained.

    Raises:
        UserError: there is no checkpoint, or one is not valid.
    """
    path = expanded(path)
    if is_model(path):
        return Found([None], Path.cwd(), dict(of_model or {}))
    files = [path]
    if path.is_dir():
        folder = CheckpointFolder(path / "checkpoints" if (path / "checkpoints").is_dir() else path, make=False)
        files = [folder.epoch_path(epoch) for epoch in folder.epochs()]
        marked = [file for file in [folder.folder / BEST] if file.is_file()]
        if best:
            files = marked or files[-1:]
        files = files or marked
        if not files:
            raise UserError(f"no checkpoint in {path}.", "Give a checkpoint, or the output directory of a run.")
    settings = [load_for_sampling(file).settings for file in files]
    return Found([*files], files[0].resolve().parent.parent, settings[-1])


def speak(
    found: Found,
    model: Path,
    said: tuple[Utterance, ...],
    folder: Path,
    spec: Spec,
    device: str,
    tell: Callable[[Begun | Record | Status], None],
) -> list[Record]:
    """Make samples of every checkpoint found.

    Args:
        found: the checkpoints.
        model: directory of the base model they were trained from.
        said: what to say with each.
        folder: gets the samples and their manifest.
        spec: what they have in common.
        device: "auto", "cuda" or "cpu".
        tell: called with what is begun and each record as it comes, and some times a second with what goes on.

    Raises:
        MachineError: not one sample could be made; the reasons are in the manifest.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda, but PyTorch finds no usable GPU.", "`cufft-harness doctor` says why.")
    accelerator = "cuda:0" if device != "cpu" and torch.cuda.is_available() else None
    samples = SampleFolder(folder)
    supervisor = Supervisor(model, samples, placements(accelerator), spec, folder / "sampler.log")
    records: list[Record] = []

    def report_progress() -> None:
        for event in supervisor.news():
            if isinstance(event, Record):
                records.append(event)
            tell(event)
        if status := supervisor.status():
            tell(status)

    try:
        for number, checkpoint in enumerate(found.checkpoints, start=1):
            while len(supervisor.pending_epochs()) > LONGEST_QUEUE:
                supervisor.wait(0.2)
                report_progress()
            supervisor.order(Order(_epoch(checkpoint, number), checkpoint, said))
        while not supervisor.wait(0.2):
            report_progress()
    finally:
        supervisor.close()
        report_progress()
    if not any(record.outcome == "made" for record in records):
        raise MachineError(f"no sample could be made: {records[-1]}.", f"The reasons are in {samples.manifest}.")
    return records


def _epoch(checkpoint: Path | None, otherwise: int) -> int:
    """The epoch a checkpoint was taken after, for the sample's name; 0 for a model that no run has trained."""
    if checkpoint is None:
        return 0
    named = re.search(r"epoch_(\d+)", checkpoint.name)
    if named:
        return int(named[1])
    complete = load_for_sampling(checkpoint).complete_epochs
    return complete or otherwise
