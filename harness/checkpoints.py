"""Checkpoints: complete, written whole, proven, and only then allowed to replace older ones.

A file is a zip archive of tensors and plain data that `torch.load(weights_only=True)` reads, so it cannot run code. It
holds a CRC-32 of every part, and the GPT's weights carry a SHA-256: a file that was cut short or altered is
found and skipped. `best_model.pt` is a second name (hard link) of the best epoch's file, where links exist.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from harness.errors import MachineError, UserError
from harness.files import PARTIAL, flush, whole
from harness.weights import GptState, weights_digest

log = logging.getLogger(__name__)

FORMAT = 1
INTERRUPTED = "checkpoint_interrupted.pt"
BEST = "best_model.pt"
_EPOCH = re.compile(r"checkpoint_epoch_(\d+)\.pt")


class BrokenCheckpoint(ValueError):
    """The file is no valid checkpoint; the message says why, in one line."""


@dataclass(frozen=True)
class Losses:
    """What an epoch came to; means over its batches."""

    epoch: int
    train_text: float
    train_audio: float
    train: float
    validation_text: float
    validation_audio: float
    validation: float


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes:
        epoch: the epoch being trained, from 1; all before it are complete.
        batch: batches of it already trained; 0 between epochs.
        update: updates of the weights so far.
    """

    epoch: int = 1
    batch: int = 0
    update: int = 0


@dataclass
class Checkpoint:
    """All a run needs to go on as if it had never stopped.

    Attributes:
        gpt: plain weights of the GPT; with LoRA the adapters are merged in.
        adapters: the LoRA adapters apart; empty without LoRA.
        rng: states of the random generators.
        running: sums of the losses of the unfinished epoch, and how many batches they hold.
        model_fingerprint: of the base model.
    """

    gpt: GptState
    adapters: GptState
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    rng: dict[str, Any]
    position: Position
    running: list[float]
    history: list[Losses]
    best_validation: float
    settings: dict[str, Any]
    model_fingerprint: str
    weights_sha256: str

    @property
    def complete_epochs(self) -> int:
        """Epochs that are over."""
        return self.position.epoch - 1


class CheckpointFolder:
    """`OUTPUT/checkpoints`, and the rules of what may be written, trusted and removed there."""

    def __init__(self, folder: Path, make: bool = True) -> None:
        self.folder = folder
        if make:
            folder.mkdir(parents=True, exist_ok=True)

    def epoch_path(self, epoch: int) -> Path:
        """Name of the checkpoint taken after `epoch`."""
        return self.folder / f"checkpoint_epoch_{epoch}.pt"

    def epochs(self) -> list[int]:
        """Epochs that have a file, in order."""
        found = (_EPOCH.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, read it back, and return its path.

        Raises:
            MachineError: the disk did not take it; what was there before is untouched.
        """
        between_epochs = checkpoint.position.batch == 0
        path = self.epoch_path(checkpoint.complete_epochs) if between_epochs else self.folder / INTERRUPTED
        data = vars(checkpoint) | {
            "format": FORMAT,
            "position": asdict(checkpoint.position),
            "history": [asdict(losses) for losses in checkpoint.history],
        }
        try:
            with whole(path) as temporary:
                torch.save(data, temporary)
                flush(temporary)
                verify(temporary)
        except (OSError, RuntimeError, BrokenCheckpoint) as error:
            kept = self.newest()
            raise MachineError(
                f"could not write {path}: {error}.",
                f"The last good checkpoint is {kept.name}." if kept else "No checkpoint has been written yet.",
            ) from error
        return path

    def mark_best(self, path: Path) -> None:
        """Give the checkpoint at `path` the name best_model.pt as well."""
        with whole(self.folder / BEST) as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(path, temporary)
            except OSError:  # no hard links on this file system
                shutil.copyfile(path, temporary)

    def prune(self, keep: int, needed: Iterable[int] = ()) -> list[Path]:
        """Remove all but the newest `keep` epochs' files; 0 keeps all. To be called only after `save` returned.

        Args:
            keep: how many to keep.
            needed: epochs somebody still has to read, kept too.
        """
        if keep == 0:
            return []
        needed = set(needed)
        old = [self.epoch_path(epoch) for epoch in self.epochs()[:-keep] if epoch not in needed]
        for path in old:
            path.unlink(missing_ok=True)
        return old

    def forget_interruption(self) -> None:
        """Remove the mid-epoch checkpoint and half-written files: a newer, complete one has been proven."""
        (self.folder / INTERRUPTED).unlink(missing_ok=True)
        for path in self.folder.glob(f".*{PARTIAL}"):
            path.unlink(missing_ok=True)

    def newest(self) -> Path | None:
        """The newest file that proves valid; the ones skipped are named in the log."""
        for path in self._newest_first():
            try:
                verify(path)
            except BrokenCheckpoint as problem:
                log.warning("skipping %s: %s", path.name, problem)
            else:
                return path
        return None

    def _newest_first(self) -> list[Path]:
        files = [self.epoch_path(epoch) for epoch in reversed(self.epochs())]
        interrupted = self.folder / INTERRUPTED
        if interrupted.exists():
            # It is of the epoch after the newest complete one, or was left behind before `forget_interruption` ran.
            epoch = _peek_epoch(interrupted)
            behind = epoch is not None and any(complete >= epoch for complete in self.epochs())
            files.insert(len(files) if behind else 0, interrupted)
        best = self.folder / BEST
        return [*files, best] if best.exists() else files


def verify(path: Path) -> None:
    """Check a file as a whole: CRC-32 of every part, the format, and that the weights are the ones it says.

    Raises:
        BrokenCheckpoint: anything is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError) as error:
        raise BrokenCheckpoint(f"not a whole archive ({error})") from error
    if bad is not None:
        raise BrokenCheckpoint(f"part {bad} is damaged")
    checkpoint = load(path)
    if weights_digest(checkpoint.gpt) != checkpoint.weights_sha256:
        raise BrokenCheckpoint("its weights are not the ones it was written with")


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; tensors stay in the file until they are used.

    Raises:
        BrokenCheckpoint: the file is damaged, or of another program or format.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ... for broken files
        raise BrokenCheckpoint(f"unreadable ({str(error).splitlines()[0][:200] if str(error) else error!r})") from error
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise BrokenCheckpoint("not a checkpoint of this program, or of another version")
    try:
        data["position"] = Position(**data["position"])
        data["history"] = [Losses(**losses) for losses in data["history"]]
        return Checkpoint(**data)
    except (TypeError, KeyError) as error:
        raise BrokenCheckpoint(f"incomplete ({error})") from error


def load_for_sampling(path: Path) -> Checkpoint:
    """Read and check a checkpoint a user named.

    Raises:
        UserError: it is not there or not valid.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}.")
    try:
        verify(path)
        return load(path)
    except BrokenCheckpoint as problem:
        raise UserError(f"{path} is no valid checkpoint: {problem}.") from problem


def _peek_epoch(path: Path) -> int | None:
    try:
        return load(path).position.epoch
    except BrokenCheckpoint:
        return None
