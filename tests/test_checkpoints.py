"""cufft_harness.checkpoints: written whole, proven, found again; damage is noticed and code is never run."""

from __future__ import annotations

import os
import pickle
import random
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from cufft_harness.checkpoints import (
    BEST,
    INTERRUPTED,
    BrokenCheckpoint,
    Checkpoint,
    CheckpointFolder,
    Losses,
    Position,
    load,
    verify,
)
from cufft_harness.errors import MachineError
from cufft_harness.files import atomic_path
from cufft_harness.weights import weights_digest


def checkpoint(epoch: int, batch: int = 0) -> Checkpoint:
    """A small checkpoint taken when `epoch` epochs were complete."""
    gpt = {"a.weight": torch.full((64, 64), float(epoch)), "b": torch.arange(5)}
    moments = {"step": torch.tensor(float(epoch)), "exp_avg": torch.ones(64, 64), "exp_avg_sq": torch.ones(64, 64)}
    update = 10 * epoch + batch
    return Checkpoint(
        gpt=gpt,
        adapters={},
        optimizer={"state": {0: moments}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]},
        scheduler={"decay_epochs": 3},
        scaler={},
        rng={"torch": torch.get_rng_state(), "cuda": [], "python": random.Random(epoch).getstate()},
        position=Position(epoch + 1, batch, update),
        running=[0.0] * 4,
        history=[Losses(number, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0) for number in range(1, epoch + 1)],
        best_validation=6.0,
        settings={"seed": 0},
        model_fingerprint="f",
        weights_sha256=weights_digest(gpt),
    )


def as_written(checkpoint: Checkpoint) -> dict[str, Any]:
    """What `CheckpointFolder.save` puts into the file."""
    return vars(checkpoint) | {
        "format": 1,
        "position": asdict(checkpoint.position),
        "history": [asdict(losses) for losses in checkpoint.history],
    }


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


def test_what_is_saved_comes_back(folder: CheckpointFolder):
    """Tensors bit for bit, position, history and settings as they were."""
    before = checkpoint(2, batch=3)
    after = load(folder.save(before))
    assert torch.equal(after.gpt["a.weight"], before.gpt["a.weight"])
    assert (after.position, after.history, after.settings) == (before.position, before.history, before.settings)
    assert after.rng["python"] == before.rng["python"]


def test_the_newest_is_found(folder: CheckpointFolder):
    """By epoch, not by file time or by the alphabet: 10 comes after 9."""
    for epoch in (9, 10, 8):
        folder.save(checkpoint(epoch))
    assert folder.newest() == folder.epoch_path(10)


def test_an_interrupted_epoch_is_newer_than_the_last_complete_one(folder: CheckpointFolder):
    """A run stopped in epoch 3 goes on there; once epoch 3 is complete, the stop is forgotten."""
    folder.save(checkpoint(2))
    folder.save(checkpoint(2, batch=5))
    assert folder.newest() == folder.folder / INTERRUPTED
    folder.save(checkpoint(3))
    assert folder.newest() == folder.epoch_path(3)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swapped"])
def test_a_damaged_newest_checkpoint_is_skipped(folder: CheckpointFolder, damage: str, caplog):
    """The one before it is used, and the log says which was skipped and why."""
    good, bad = folder.save(checkpoint(1)), folder.save(checkpoint(2))
    data = bytearray(bad.read_bytes())
    if damage == "cut":
        bad.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        position = data.find(torch.full((64, 64), 2.0).numpy().tobytes()[:64]) + 5
        data[position] ^= 0x10
        bad.write_bytes(data)
    elif damage == "empty":
        bad.write_bytes(b"")
    else:
        torch.save({"model": {"a": torch.ones(3)}}, bad)
    assert folder.newest() == good
    assert f"skipping {bad.name}" in caplog.text


def test_weights_that_are_not_the_ones_written_are_found(folder: CheckpointFolder):
    """Also where the archive itself is sound: the digest of the weights is checked."""
    altered = checkpoint(1)
    altered.gpt["a.weight"][0, 0] = 7.0
    path = folder.epoch_path(1)
    torch.save(as_written(altered), path)
    with pytest.raises(BrokenCheckpoint, match="weights are not the ones"):
        verify(path)


def test_a_checkpoint_cannot_run_code(folder: CheckpointFolder, tmp_path: Path):
    """A pickle that would run a command is refused, and the command is not run."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    path = folder.epoch_path(1)
    torch.save({"format": 1, "gpt": Evil()}, path)
    with pytest.raises(BrokenCheckpoint):
        load(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(BrokenCheckpoint):
        load(path)
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_leaves_the_last_good_checkpoint(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch):
    """The error names what is still there; no half file is left."""
    good = folder.save(checkpoint(1))

    def full(data: object, path: Path) -> None:
        path.write_bytes(b"PK half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MachineError, match="No space left") as caught:
        folder.save(checkpoint(2))
    assert "checkpoint_epoch_1.pt" in caught.value.advice
    assert list(folder.folder.iterdir()) == [good]


def damage(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_pruning_removes_nothing_newer_than_what_was_just_verified(folder: CheckpointFolder):
    """Damaged files of later epochs push no good checkpoint out, however many are to be kept."""
    folder.mark_best(folder.save(checkpoint(1)))
    for epoch in (10, 11, 12):
        damage(folder.save(checkpoint(epoch)))
    for epoch in (2, 3, 4, 5):
        path = folder.save(checkpoint(epoch))
        folder.prune(keep=3, verified=epoch)
        assert folder.newest() == path
    assert folder.epochs() == [3, 4, 5, 10, 11, 12]


def test_pruning_counts_no_file_that_was_found_broken(folder: CheckpointFolder):
    """Of two to keep, the second is the newest good one; the broken ones between go."""
    for epoch in (1, 2, 3, 4):
        folder.save(checkpoint(epoch))
    for epoch in (3, 4):
        damage(folder.epoch_path(epoch))
    assert folder.newest() == folder.epoch_path(2)
    folder.save(checkpoint(5))
    folder.prune(keep=2, verified=5)
    assert folder.epochs() == [2, 5]


@pytest.mark.parametrize("name", ["checkpoint_epoch_0099.pt", "checkpoint_epoch_٩٩.pt", "checkpoint_epoch_+99.pt"])
def test_a_file_under_a_name_we_never_give_is_not_ours(folder: CheckpointFolder, name: str):
    """It counts in nothing, and is neither trusted nor removed."""
    stray = folder.folder / name
    folder.save(checkpoint(99)).rename(stray)
    for epoch in (1, 2):
        folder.save(checkpoint(epoch))
        folder.prune(keep=1, verified=epoch)
    assert folder.epochs() == [2]
    assert folder.newest() == folder.epoch_path(2)
    assert stray.exists()


def test_a_checkpoint_under_another_epochs_name_is_skipped(folder: CheckpointFolder, caplog):
    """A copy that is called newer than it is hides nothing."""
    folder.save(checkpoint(2))
    shutil.copy(folder.save(checkpoint(1)), folder.epoch_path(7))
    assert folder.newest() == folder.epoch_path(2)
    assert "skipping checkpoint_epoch_7.pt: it is of epoch 1" in caplog.text


def test_a_damaged_later_epoch_does_not_hide_the_interrupted_one(folder: CheckpointFolder):
    """What cannot be read says nothing of what is newest."""
    folder.save(checkpoint(2))
    interrupted = folder.save(checkpoint(2, batch=3))
    damage(folder.save(checkpoint(3)))
    assert folder.newest() == interrupted


def test_the_best_survives_pruning_where_it_got_no_second_name(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
):
    """A disk that takes no second name, and is too full for a copy, costs room."""
    path = folder.save(checkpoint(1))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        patch.setattr(shutil, "copyfile", refuse)
        folder.mark_best(path)
    for epoch in (2, 3):
        folder.save(checkpoint(epoch))
        folder.prune(keep=1, verified=epoch)
    assert folder.epochs() == [1, 3]
    folder.mark_best(folder.epoch_path(3))
    folder.prune(keep=1, verified=3)
    assert folder.epochs() == [3]


def test_marking_the_best_twice_leaves_nothing_behind(folder: CheckpointFolder):
    """A rename between two names of one file does nothing; the temporary name goes all the same."""
    path = folder.save(checkpoint(1))
    for _ in range(2):
        folder.mark_best(path)
    assert sorted(one.name for one in folder.folder.iterdir()) == [BEST, path.name]


def test_what_a_killed_writer_left_is_not_written_through(folder: CheckpointFolder):
    """Killed between link and rename, the temporary name is a second name of a good checkpoint: it is not truncated."""
    path = folder.save(checkpoint(1))
    for name in (BEST, "checkpoint_epoch_2.pt"):
        with atomic_path(folder.folder / name) as temporary:
            os.link(path, temporary)
            leftover = temporary
            kept = path.read_bytes()
            os.link(path, folder.folder / "aside")
        (folder.folder / name).unlink()
        (folder.folder / "aside").rename(leftover)
        with atomic_path(folder.folder / name) as temporary:
            temporary.write_bytes(b"new")
        assert path.read_bytes() == kept


def test_pruning_keeps_the_newest_the_needed_and_the_best(folder: CheckpointFolder):
    """Old epochs go, except those somebody still reads; best_model.pt keeps its content."""
    for epoch in range(1, 6):
        path = folder.save(checkpoint(epoch))
        if epoch == 2:
            folder.mark_best(path)
    folder.prune(keep=2, verified=5, needed=[1])
    assert folder.epochs() == [1, 4, 5]
    assert load(folder.folder / BEST).complete_epochs == 2
    folder.prune(keep=0, verified=5)
    assert folder.epochs() == [1, 4, 5]


def test_a_file_that_is_no_checkpoint_is_named_in_plain_words(folder: CheckpointFolder):
    """No escape codes of torch's own message, and not its advice to run the code in the file."""
    path = folder.folder / "model.pth"
    torch.save({"model": torch.ones(1), "config": Losses}, path)
    with pytest.raises(BrokenCheckpoint) as caught:
        load(path)
    assert str(caught.value) == "it holds Python objects beside its weights, which are never read"
