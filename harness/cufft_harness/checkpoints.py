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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cufft_harness.errors import MachineError, UserError
from cufft_harness.files import PARTIAL, atomic_path, flush
from cufft_harness.weights import GptState, weights_digest, why_unreadable

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
        batch: batches of it already trained, by all processes together; 0 between epochs.
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
        processes: that trained together.
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
    processes: int = 1

    def __post_init__(self) -> None:
        kinds: dict[str, type] = {
            "gpt": dict,
            "adapters": dict,
            "optimizer": dict,
            "scheduler": dict,
            "scaler": dict,
            "rng": dict,
        }
        kinds |= {"running": list, "settings": dict, "model_fingerprint": str, "weights_sha256": str, "processes": int}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} is no {kind.__name__}")

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
        try:
            found = [_EPOCH.fullmatch(path.name) for path in self.folder.iterdir()]
        except OSError:  # the folder is gone, and with it all of them
            return []
        return sorted(int(match[1]) for match in found if match)

    def save(self, checkpoint: Checkpoint, prove: bool = True) -> Path:
        """Write a checkpoint and return its path.

        Args:
            checkpoint: of a running or finished epoch, which decides its name.
            prove: read it back before it gets its name; without, call `prove` before anything older is removed.

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
            with atomic_path(path) as temporary:
                torch.save(data, temporary)
                flush(temporary)
                if prove:
                    verify(temporary)
        except (OSError, RuntimeError, BrokenCheckpoint) as error:
            raise self._not_written(path, error) from error
        return path

    def prove(self, path: Path) -> None:
        """Read a checkpoint back.

        Raises:
            MachineError: it is not what was written; the last good one is named.
        """
        try:
            verify(path)
        except (OSError, BrokenCheckpoint) as error:
            raise self._not_written(path, error) from error

    def _not_written(self, path: Path, error: Exception) -> MachineError:
        kept = self.newest()
        return MachineError(
            f"could not write {path}: {error}.",
            f"The last good checkpoint is {kept.name}." if kept else "No checkpoint has been written yet.",
        )

    def recover(self, best: int | None) -> None:
        """After a kill between two steps of saving: give the best epoch its second name, remove what is half written.

        Args:
            best: the best epoch so far; None before the first.
        """
        path = self.folder / BEST
        marked = _peek_epoch(path) if path.exists() else None
        if best is not None and marked != best + 1 and self.epoch_path(best).exists():
            self.mark_best(self.epoch_path(best))
        for leftover in self.folder.glob(f".*{PARTIAL}"):
            _removed(leftover)

    def mark_best(self, path: Path) -> None:
        """Give the checkpoint at `path` the name best_model.pt as well; where the disk refuses, the log says so."""
        try:
            with atomic_path(self.folder / BEST) as temporary:
                temporary.unlink(missing_ok=True)
                try:
                    os.link(path, temporary)
                except OSError:  # no hard links on this file system
                    shutil.copyfile(path, temporary)
        except OSError as error:
            log.warning("%s is not %s, which is the best: %s", self.folder / BEST, path.name, error)

    def prune(self, keep: int, needed: Iterable[int] = ()) -> list[Path]:
        """Remove all but the newest `keep` epochs' files; 0 keeps all. To be called only when the newest is proven.

        Args:
            keep: how many to keep.
            needed: epochs somebody still has to read, kept too.
        """
        if keep == 0:
            return []
        needed = set(needed)
        old = [self.epoch_path(epoch) for epoch in self.epochs()[:-keep] if epoch not in needed]
        return [path for path in old if _removed(path)]

    def discard_interrupted(self) -> None:
        """Remove the mid-epoch checkpoint and half-written files: a newer, complete one has been proven."""
        for path in (self.folder / INTERRUPTED, *self.folder.glob(f".*{PARTIAL}")):
            _removed(path)

    def newest_or_raise(self) -> Path | None:
        """The newest file that proves valid; None where there is no checkpoint at all.

        Raises:
            MachineError: there are checkpoints, and not one is valid: starting over would overwrite what may be saved.
        """
        found = self.newest()
        if found is None and (files := self._newest_first()):
            raise MachineError(
                f"none of the {len(files)} checkpoints in {self.folder} is valid; the log says why.",
                "Nothing was changed. Restore one, or give another --output to start over.",
            )
        return found

    def newest(self) -> Path | None:
        """The newest file that proves valid; the ones skipped are named in the log."""
        for path in self._newest_first():
            try:
                verify(path)
            except (BrokenCheckpoint, OSError) as problem:
                log.warning("skipping %s: %s", path.name, problem)
            else:
                return path
        return None

    def _newest_first(self) -> list[Path]:
        files = [self.epoch_path(epoch) for epoch in reversed(self.epochs())]
        interrupted = self.folder / INTERRUPTED
        if interrupted.exists():
            # It is of the epoch after the newest complete one, or was left behind before `discard_interrupted` ran.
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
    with _archive(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise BrokenCheckpoint(f"part {bad!r} is damaged")
    checkpoint = load(path)
    if weights_digest(checkpoint.gpt) != checkpoint.weights_sha256:
        raise BrokenCheckpoint("its weights are not the ones it was written with")


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; tensors stay in the file until they are used.

    Raises:
        BrokenCheckpoint: the file is damaged, or of another program or format.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    with _archive(path):  # nothing of it is unpacked, and nothing in it is larger than the file
        pass
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ... for broken files
        raise BrokenCheckpoint(f"unreadable ({why_unreadable(error)})") from error
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise BrokenCheckpoint("not a checkpoint of this program, or of another version")
    try:
        data["position"] = Position(**data["position"])
        data["history"] = [Losses(**losses) for losses in data["history"]]
        checkpoint = Checkpoint(**data)
    except (TypeError, KeyError) as error:
        raise BrokenCheckpoint(f"incomplete ({error})") from error
    _check_contents(checkpoint)
    return checkpoint


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a checkpoint's zip archive, if it can be one that `torch.save` wrote: nothing in it is compressed.

    So reading it takes no more memory than the file is long, whoever made it.

    Raises:
        BrokenCheckpoint: it is no archive, is damaged, or would unpack to more than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise BrokenCheckpoint("parts of it are compressed, which no checkpoint's are")
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise BrokenCheckpoint("its parts are larger than the file")
            yield archive
    except BrokenCheckpoint:
        raise
    except Exception as error:  # zipfile raises BadZipFile, RuntimeError, ValueError, struct.error ... for broken ones
        raise BrokenCheckpoint(f"not a whole archive ({error})") from error


def _check_contents(checkpoint: Checkpoint) -> None:
    """What the sum of the weights does not cover: a file made by somebody else may hold anything anywhere."""
    tensors = [*checkpoint.gpt.items(), *checkpoint.adapters.items()]
    if not all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in tensors):
        raise BrokenCheckpoint("its weights are no tensors")
    if any(tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes() for _name, tensor in tensors):
        raise BrokenCheckpoint("a tensor of it claims more values than are there")
    numbers = vars(checkpoint.position).values()
    if not all(type(number) is int and 0 <= number < 2**53 for number in numbers):
        raise BrokenCheckpoint("its position in the run is no position")
    if any(not isinstance(value, (int, float)) for losses in checkpoint.history for value in vars(losses).values()):
        raise BrokenCheckpoint("its history holds something that is no loss")


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


def _removed(path: Path) -> bool:
    """Remove a file that is no longer needed; one that cannot be removed costs room, not the run."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("cannot remove %s: %s", path, error)
        return False
    return True


def _peek_epoch(path: Path) -> int | None:
    try:
        return load(path).position.epoch
    except BrokenCheckpoint:
        return None
