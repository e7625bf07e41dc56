"""cufft_harness.training.lock: one run in a directory; a run whose directory was taken away writes nowhere else."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.errors import MachineError, UserError
from cufft_harness.sampling.artefacts import SampleFolder
from cufft_harness.training import lock
from cufft_harness.training.events import CheckpointVerified
from cufft_harness.training.lock import output_lock
from test_checkpoints import checkpoint
from test_training import watch


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def made_anew(folder: Path) -> None:
    moved(folder)
    folder.mkdir()


def copied_back(folder: Path) -> None:
    moved(folder)
    shutil.copytree(folder.with_name("moved"), folder)


def taken_by_another(folder: Path) -> None:
    made_anew(folder)
    with output_lock(folder):
        pass


def unlocked(folder: Path) -> None:
    (folder / ".lock").unlink()


TAKEN = [moved, made_anew, copied_back, taken_by_another, unlocked]


@pytest.mark.parametrize("take", TAKEN)
def test_a_folder_that_is_not_the_one_locked_is_not_written_into(tmp_path: Path, take: Callable[[Path], None]):
    """Every way to write a checkpoint, or to remove one, stops with a line that says what happened."""
    output = tmp_path / "out"
    output.mkdir()
    with output_lock(output) as held:
        folder = CheckpointFolder(output / "checkpoints", still_held=held.check)
        path = folder.save(checkpoint(1))
        samples = SampleFolder(output / "samples", held.check)
        take(output)
        before = sorted(tmp_path.rglob("*"))
        for write in (
            lambda: folder.save(checkpoint(2)),
            lambda: folder.mark_best(path),
            lambda: folder.prune(1, 1),
            folder.discard_interrupted,
            lambda: folder.recover(None),
            lambda: samples.publish(1, path, True, True),
        ):
            with pytest.raises(MachineError, match="moved, removed or made anew"):
                write()
        assert sorted(tmp_path.rglob("*")) == before


def test_a_run_whose_folder_was_moved_stops_and_writes_nothing_in_its_place(short_run: dict[str, Any], tmp_path: Path):
    """A second run under the old name keeps its checkpoints; the first has what it had saved, where the folder is."""
    output = tmp_path / "out"

    def until_stopped() -> None:
        for event in watch(short_run, output):
            if isinstance(event, CheckpointVerified):
                made_anew(output)
                shutil.copytree(tmp_path / "moved" / "cache", output / "cache")  # what is read is there
                CheckpointFolder(output / "checkpoints").save(checkpoint(1))

    with pytest.raises(MachineError, match="moved, removed or made anew"):
        until_stopped()
    assert CheckpointFolder(tmp_path / "moved" / "checkpoints").epochs() == [1]
    (kept,) = (output / "checkpoints").iterdir()
    assert kept.name == "checkpoint_epoch_1.pt"


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "pipe", "folder", "link to nothing"])
def test_what_is_no_lock_file_is_not_written_into(tmp_path: Path, kind: str):
    """A `.lock` that leads to another file is refused, and that file is as it was."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    output = tmp_path / "out"
    output.mkdir()
    path = output / ".lock"
    {
        "symbolic link": lambda: path.symlink_to(precious),
        "link to nothing": lambda: path.symlink_to(tmp_path / "made"),
        "hard link": lambda: path.hardlink_to(precious),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    with pytest.raises(UserError, match="is no lock file"), output_lock(output):
        pass
    assert precious.read_text() == "kept"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_disk_without_locks_is_said_so_and_a_second_run_stops_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog, number: int
):
    """Nothing keeps the second out there, so the first notices that somebody else has begun, before it writes again."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with output_lock(tmp_path) as first:
        assert "knows no locks" in caplog.text
        first.check()
        with output_lock(tmp_path) as second:
            second.check()
            with pytest.raises(MachineError, match="another run has begun"):
                first.check()


def test_a_system_without_flock_can_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    """Windows has no fcntl: the module is imported, and says what it cannot do."""
    monkeypatch.setattr(lock, "fcntl", None)
    with output_lock(tmp_path) as held:
        held.check()
    assert "knows no locks" in caplog.text
