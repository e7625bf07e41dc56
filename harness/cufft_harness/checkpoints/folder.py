"""`OUTPUT/checkpoints`, and the rules of what may be written, trusted and removed there."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import torch

from cufft_harness.checkpoints.contents import BrokenCheckpoint, Checkpoint
from cufft_harness.checkpoints.reading import FORMAT, load, verify
from cufft_harness.errors import MachineError
from cufft_harness.files import PARTIAL, atomic_path, flush, make_folder

log = logging.getLogger(__name__)

INTERRUPTED = "checkpoint_interrupted.pt"
BEST = "best_model.pt"
_EPOCH = re.compile(r"checkpoint_epoch_(0|[1-9][0-9]*)\.pt")
"""Just the names that `CheckpointFolder.epoch_path` makes: `checkpoint_epoch_007.pt` is somebody else's file."""


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: where they are.
        make: make it where it is missing.
        still_held: raises where the run's lock is no longer that of the folder; asked before anything is changed.
    """

    def __init__(self, folder: Path, make: bool = True, still_held: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._still_held = still_held
        self._broken: set[Path] = set()
        self._unmarked_best: int | None = None
        if make:
            make_folder(folder)

    def epoch_path(self, epoch: int) -> Path:
        """Name of the checkpoint taken after `epoch`."""
        return self.folder / f"checkpoint_epoch_{epoch}.pt"

    def epochs(self) -> list[int]:
        """Epochs that have a file, valid or not, in order."""
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
            MachineError: the disk did not take it, or the folder is another one now; what was there before is
                untouched.
        """
        between_epochs = checkpoint.position.batch == 0
        path = self.epoch_path(checkpoint.complete_epochs) if between_epochs else self.folder / INTERRUPTED
        data = vars(checkpoint) | {
            "format": FORMAT,
            "position": asdict(checkpoint.position),
            "history": [asdict(losses) for losses in checkpoint.history],
        }
        self._still_held()
        try:
            with atomic_path(path) as temporary:
                torch.save(data, temporary)
                flush(temporary)
                if prove:
                    verify(temporary)
                self._still_held()  # writing takes its time
        except (OSError, RuntimeError, BrokenCheckpoint) as error:
            raise self._not_written(path, error) from error
        self._broken.discard(path)
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
        self._remove(self.folder.glob(f".*{PARTIAL}"))

    def mark_best(self, path: Path) -> None:
        """Give the checkpoint at `path` the name best_model.pt as well.

        Where the disk refuses, the log says so, and `prune` keeps the file under the name it has.
        """
        self._still_held()
        self._unmarked_best = None
        best = self.folder / BEST
        try:
            if best.exists() and best.samefile(path):
                return  # a rename between two names of one file does nothing, and would leave the temporary name
            with atomic_path(best) as temporary:
                try:
                    os.link(path, temporary)
                except OSError:  # no hard links on this file system
                    shutil.copyfile(path, temporary)
        except OSError as error:
            log.warning("%s is not %s, which is the best: %s", best, path.name, error)
            match = _EPOCH.fullmatch(path.name)
            self._unmarked_best = int(match[1]) if match else None

    def prune(self, keep: int, verified: int, needed: Iterable[int] = ()) -> list[Path]:
        """Remove the files of epochs before the one just verified, all but the newest `keep`, of which that is one.

        What is above it stays: nobody knows whether it is good, and it is overwritten when the run comes there.

        Args:
            keep: how many to keep; 0 keeps all.
            verified: the epoch whose file has been read back.
            needed: epochs somebody still has to read, kept too.
        """
        self._still_held()
        if keep == 0 or not self.epoch_path(verified).exists() or self.epoch_path(verified) in self._broken:
            return []
        older = [epoch for epoch in self.epochs() if epoch < verified]
        sound = [epoch for epoch in older if self.epoch_path(epoch) not in self._broken]
        kept = {*sound[len(sound) - min(keep - 1, len(sound)) :], *needed, self._unmarked_best}
        return self._remove(self.epoch_path(epoch) for epoch in older if epoch not in kept)

    def discard_interrupted(self) -> None:
        """Remove the mid-epoch checkpoint and half-written files: a newer, complete one has been verified."""
        self._remove((self.folder / INTERRUPTED, *self.folder.glob(f".*{PARTIAL}")))

    def _remove(self, paths: Iterable[Path]) -> list[Path]:
        """Remove files that are no longer needed; one that cannot be removed costs room, not the run."""
        self._still_held()
        removed = []
        for path in paths:
            try:
                path.unlink(missing_ok=True)
                removed.append(path)
            except OSError as error:
                log.warning("cannot remove %s: %s", path, error)
        return removed

    def newest_or_raise(
        self, fits: Callable[[Checkpoint], None] = lambda _checkpoint: None
    ) -> tuple[Path, Checkpoint] | None:
        """The newest valid file and what it holds; None where there is no checkpoint at all.

        Args:
            fits: raises `BrokenCheckpoint` for one that the run cannot go on from.

        Raises:
            MachineError: there are checkpoints, and not one is valid: starting over would overwrite what may be saved.
        """
        found = self._read_newest(fits)
        files = [*map(self.epoch_path, self.epochs()), self.folder / INTERRUPTED, self.folder / BEST]
        there = sum(path.exists() for path in files)
        if found is None and there:
            raise MachineError(
                f"none of the {there} checkpoints in {self.folder} is valid; the log says why.",
                "Nothing was changed. Restore one, or give another --output to start over.",
            )
        return found

    def newest(self) -> Path | None:
        """The newest valid file; the ones skipped are named in the log."""
        found = self._read_newest(lambda _checkpoint: None)
        return found[0] if found else None

    def _read_newest(self, fits: Callable[[Checkpoint], None]) -> tuple[Path, Checkpoint] | None:
        """What a damaged file is called does not say how new it is: only positions that were read are compared."""
        epochs = self._first_valid([self.epoch_path(epoch) for epoch in reversed(self.epochs())], fits)
        # of the epoch after the newest complete one, or left behind before `discard_interrupted` ran
        interrupted = self._first_valid([self.folder / INTERRUPTED], fits)
        found = [one for one in (epochs, interrupted) if one is not None]
        if epochs is None and (best := self._first_valid([self.folder / BEST], fits)):
            found.append(best)
        return max(found, key=lambda one: one[1].position, default=None)

    def _first_valid(self, paths: Iterable[Path], fits: Callable[[Checkpoint], None]) -> tuple[Path, Checkpoint] | None:
        for path in paths:
            try:
                checkpoint = verify(path)
                self._check_name(path, checkpoint)
                fits(checkpoint)
            except FileNotFoundError:
                continue
            except (BrokenCheckpoint, OSError) as problem:
                log.warning("skipping %s: %s", path.name, problem)
                self._broken.add(path)
            else:
                return path, checkpoint
        return None

    def _check_name(self, path: Path, checkpoint: Checkpoint) -> None:
        """A file under another epoch's name would pass for newer, or older, than it is."""
        batch, epoch = checkpoint.position.batch, checkpoint.complete_epochs
        if path.name != BEST and path != (self.folder / INTERRUPTED if batch else self.epoch_path(epoch)):
            raise BrokenCheckpoint(f"it is of epoch {epoch}, batch {batch}, under another name")


def _peek_epoch(path: Path) -> int | None:
    try:
        return load(path).position.epoch
    except (BrokenCheckpoint, OSError):
        return None
