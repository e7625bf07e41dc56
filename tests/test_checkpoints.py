"""cufft_harness.checkpoints: written whole, proven, found again; damage is noticed and code is never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

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
from cufft_harness.weights import weights_digest


def checkpoint(epoch: int, batch: int = 0) -> Checkpoint:
    """A small checkpoint taken when `epoch` epochs were complete."""
    gpt = {"a.weight": torch.full((64, 64), float(epoch)), "b": torch.arange(5)}
    return Checkpoint(
        gpt=gpt,
        adapters={},
        optimizer={"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
        scheduler={"last_epoch": epoch, "lr_lambdas": [None]},
        scaler={},
        rng={"torch": torch.get_rng_state(), "cuda": [], "python": (3, (1, 2), None)},
        position=Position(epoch + 1, batch, 10 * epoch + batch),
        running=[0.0] * 4,
        history=[Losses(1, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)],
        best_validation=6.0,
        settings={"seed": 0},
        model_fingerprint="f",
        weights_sha256=weights_digest(gpt),
    )


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
    torch.save({**vars(altered), "format": 1, "position": vars(altered.position), "history": []}, path)
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


def test_pruning_keeps_the_newest_the_needed_and_the_best(folder: CheckpointFolder):
    """Old epochs go, except those somebody still reads; best_model.pt keeps its content."""
    for epoch in range(1, 6):
        path = folder.save(checkpoint(epoch))
        if epoch == 2:
            folder.mark_best(path)
    folder.prune(keep=2, needed=[1])
    assert folder.epochs() == [1, 4, 5]
    assert load(folder.folder / BEST).complete_epochs == 2
    folder.prune(keep=0)
    assert folder.epochs() == [1, 4, 5]


def test_a_file_that_is_no_checkpoint_is_named_in_plain_words(folder: CheckpointFolder):
    """No escape codes of torch's own message, and not its advice to run the code in the file."""
    path = folder.folder / "model.pth"
    torch.save({"model": torch.ones(1), "config": Losses}, path)
    with pytest.raises(BrokenCheckpoint) as caught:
        load(path)
    assert str(caught.value) == "unreadable (it holds Python objects beside its weights, which are never read)"
