"""cufft_harness.training: real runs of the tiny model, in this process, without samples."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from cufft_harness.checkpoints import BEST, INTERRUPTED, Checkpoint, CheckpointFolder, load
from cufft_harness.errors import MachineError, UserError
from cufft_harness.training import loop
from cufft_harness.training.display import Display
from cufft_harness.training.events import Ended, Event, Stepped
from cufft_harness.training.run import run as events_of
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings


def run(settings: dict[str, Any], output: Path, **changes: Any) -> int:
    return train(Settings(**{**settings, "output": output, **changes}))


def watch(settings: dict[str, Any], output: Path, **changes: Any) -> Iterator[Event]:
    return events_of(Settings(**{**settings, "output": output, **changes}))


def final(output: Path) -> Checkpoint:
    newest = CheckpointFolder(output / "checkpoints").newest()
    assert newest is not None
    return load(newest)


def losses(output: Path) -> list[object]:
    return list(final(output).history)


@pytest.fixture(scope="module")
def uninterrupted(short_run: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a short run that nothing disturbed."""
    output = tmp_path_factory.mktemp("uninterrupted")
    assert run(short_run, output) == 0
    return output


def test_training_changes_the_weights_and_lowers_the_loss(uninterrupted: Path):
    """Two epochs leave two checkpoints of different weights, the best one under its second name, and a lower loss."""
    folder = CheckpointFolder(uninterrupted / "checkpoints")
    first, second = (load(folder.epoch_path(epoch)) for epoch in (1, 2))
    assert first.weights_sha256 != second.weights_sha256
    assert second.history[1].validation < second.history[0].validation
    assert load(folder.folder / BEST).weights_sha256 == second.weights_sha256
    assert (uninterrupted / "train.log").read_text().count("validation") >= 2
    assert list((uninterrupted / "tensorboard").iterdir())


def test_the_export_of_a_run_is_its_best_epoch(uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Not the newest one; where none is marked as best, the newest is taken."""
    from cufft_harness.cli.sample import command
    from cufft_harness.sampling import offline

    shutil.copytree(uninterrupted, tmp_path / "run")
    folder = CheckpointFolder(tmp_path / "run" / "checkpoints")
    best = folder.folder / BEST
    shutil.copyfile(folder.epoch_path(1), tmp_path / "first.pt")
    (tmp_path / "first.pt").replace(best)
    target = tmp_path / "exported"
    arguments = ["--checkpoint", str(tmp_path / "run"), "--export", str(target)]
    assert command.main(arguments, standalone_mode=False) == 0
    assert f"exported {best}" in capsys.readouterr().out
    exported = torch.load(target / "model.pth", weights_only=True)["model"]
    for name, weights in load(folder.epoch_path(1)).gpt.items():
        assert torch.equal(exported[f"gpt.{name}"], weights), name
    best.unlink()
    assert offline.find(tmp_path / "run", best=True).checkpoints == [folder.epoch_path(2)]


def run_until(updates: int, settings: dict[str, Any], output: Path) -> int:
    """Send this process a SIGTERM once so many updates were made; the exit code of what follows."""
    for event in watch(settings, output):
        if isinstance(event, Stepped) and event.update == updates:
            os.kill(os.getpid(), signal.SIGTERM)
        if isinstance(event, Ended):
            return event.exit_code
    raise AssertionError("the run did not say that it ended")


@pytest.mark.parametrize("updates", [1, 2, 3])
def test_a_run_stopped_anywhere_goes_on_bit_for_bit(
    short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path, updates: int
):
    """SIGTERM in the middle and at the end of an epoch saves and leaves; resumed, losses and weights are bit-equal."""
    assert run_until(updates, short_run, tmp_path) == 128 + signal.SIGTERM
    assert (tmp_path / "checkpoints" / INTERRUPTED).exists() == (updates % 2 == 1)
    torch.rand(17)  # whatever else draws random numbers must not matter
    assert run(short_run, tmp_path) == 0
    assert losses(tmp_path) == losses(uninterrupted)
    assert final(tmp_path).weights_sha256 == final(uninterrupted).weights_sha256
    assert not (tmp_path / "checkpoints" / INTERRUPTED).exists()


def test_a_damaged_newest_checkpoint_costs_one_epoch_only(
    short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path
):
    """The one before it is resumed from, and the end is bit-equal all the same."""
    shutil.copytree(uninterrupted, tmp_path / "out")
    newest = tmp_path / "out" / "checkpoints" / "checkpoint_epoch_2.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    (newest.parent / BEST).unlink()
    assert run(short_run, tmp_path / "out") == 0
    assert final(tmp_path / "out").weights_sha256 == final(uninterrupted).weights_sha256


def test_more_epochs_go_on_from_the_last(short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path):
    """A finished run says so and does nothing; with more epochs it goes on, and old checkpoints are pruned."""
    shutil.copytree(uninterrupted, tmp_path / "out")
    before = final(tmp_path / "out").weights_sha256
    assert run(short_run, tmp_path / "out") == 0
    assert final(tmp_path / "out").weights_sha256 == before
    assert run(short_run, tmp_path / "out", num_epochs=4, keep_checkpoints=2) == 0
    assert CheckpointFolder(tmp_path / "out" / "checkpoints").epochs() == [3, 4]
    assert losses(tmp_path / "out")[:2] == losses(uninterrupted)


def test_epochs_added_afterwards_make_no_jump(short_run: dict[str, Any], tmp_path: Path):
    """The cosine that ended goes on at its floor; before, the rate would have jumped from there to half."""
    cosine = {"lr_schedule": "cosine", "num_epochs": 1, "lr_floor": 0.2}
    assert run(short_run, tmp_path, **cosine) == 0
    events = [*watch(short_run, tmp_path, **{**cosine, "num_epochs": 3})]
    added = [event.learning_rate for event in events if isinstance(event, Stepped)]
    assert added == pytest.approx([0.2 * short_run["learning_rate"]] * 4)


def test_only_epochs_that_are_due_are_saved_where_best_ones_shall_not_be(short_run: dict[str, Any], tmp_path: Path):
    """With --no-save-best an epoch that is better than all before leaves no file of its own."""
    every = {"save_every_n_epochs": 2, "num_epochs": 4, "keep_checkpoints": 0}
    assert run(short_run, tmp_path / "all", **every) == 0
    assert CheckpointFolder(tmp_path / "all" / "checkpoints").epochs() == [1, 2, 3, 4]
    assert run(short_run, tmp_path / "due", **every, save_best=False) == 0
    folder = CheckpointFolder(tmp_path / "due" / "checkpoints")
    assert folder.epochs() == [2, 4]
    assert load(folder.folder / BEST).complete_epochs == 4
    assert final(tmp_path / "due").weights_sha256 == final(tmp_path / "all").weights_sha256


def test_training_goes_on_while_a_checkpoint_is_read_back(
    short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The next step does not wait for the proof; what is older is removed, and the best marked, only after it."""
    proven, stepped = CheckpointFolder.prove, threading.Event()
    marked_before_the_proof: list[bool] = []

    def prove(self: CheckpointFolder, path: Path) -> None:
        if path.name == "checkpoint_epoch_1.pt":
            assert stepped.wait(60), "training waited for the proof"
            marked_before_the_proof.append((self.folder / BEST).exists())
        proven(self, path)

    monkeypatch.setattr(CheckpointFolder, "prove", prove)
    seen: list[str] = []
    for event in watch(short_run, tmp_path, keep_checkpoints=1):
        seen.append(type(event).__name__)
        if isinstance(event, Stepped) and event.epoch == 2:
            stepped.set()
    assert marked_before_the_proof == [False]
    written, verified = seen.index("CheckpointWritten"), seen.index("CheckpointVerified")
    assert "Stepped" in seen[written:verified]
    assert CheckpointFolder(tmp_path / "checkpoints").epochs() == [2]
    assert final(tmp_path).weights_sha256 == final(uninterrupted).weights_sha256


def test_a_checkpoint_that_does_not_come_back_as_written_ends_the_run(
    short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The run names the last good one, which is still there although only one is kept; resumed, all is bit-equal."""
    proven = CheckpointFolder.prove

    def spoil(self: CheckpointFolder, path: Path) -> None:
        if path.name == "checkpoint_epoch_2.pt":
            path.write_bytes(path.read_bytes()[:-1000])
        proven(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "prove", spoil)
        with pytest.raises(MachineError, match=r"checkpoint_epoch_2\.pt") as caught:
            run(short_run, tmp_path, keep_checkpoints=1)
    assert "checkpoint_epoch_1.pt" in str(caught.value.advice)
    assert run(short_run, tmp_path, keep_checkpoints=1) == 0
    assert losses(tmp_path) == losses(uninterrupted)
    assert final(tmp_path).weights_sha256 == final(uninterrupted).weights_sha256


def test_features_are_computed_once(short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path, monkeypatch):
    """A second run over the same clips reads them from the cache; a damaged entry is made again."""
    shutil.copytree(uninterrupted / "cache", tmp_path / "cache")
    damaged = next((tmp_path / "cache").iterdir())
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-100])
    computed = []
    from cufft_harness.xtts.features import FeatureExtractor

    original = FeatureExtractor.__call__

    def count(self: FeatureExtractor, samples: Any) -> Any:
        computed.append(1)
        return original(self, samples)

    monkeypatch.setattr(FeatureExtractor, "__call__", count)
    assert run(short_run, tmp_path, num_epochs=1) == 0
    assert len(computed) == 1
    assert damaged.read_bytes() == good


def test_lora_trains_adapters_and_saves_plain_weights(short_run: dict[str, Any], tiny: Path, tmp_path: Path):
    """With lora_rank only adapters are trained; the checkpoint's plain weights fit the base model, changed."""
    from cufft_harness.xtts.directory import ModelDirectory, gpt_state
    from cufft_harness.xtts.directory import load as load_model

    assert run(short_run, tmp_path, lora_rank=4, num_epochs=1) == 0
    saved = final(tmp_path)
    base = gpt_state(load_model(ModelDirectory.at(tiny)))
    assert saved.gpt.keys() == base.keys()
    changed = {name for name in base if not torch.equal(base[name], saved.gpt[name])}
    assert changed
    assert all(name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) for name in changed)
    assert saved.adapters
    with pytest.raises(UserError, match="lora_rank 4"):
        run(short_run, tmp_path, num_epochs=2)
    assert run(short_run, tmp_path, lora_rank=4, num_epochs=2) == 0


def test_checkpoints_of_weights_alone(short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path):
    """A third of the size, the same weights; a run goes on from one, and says that the optimizer begins anew."""
    light = {"checkpoint_content": "weights"}
    assert run(short_run, tmp_path, **light) == 0
    assert final(tmp_path).weights_sha256 == final(uninterrupted).weights_sha256
    name = "checkpoints/checkpoint_epoch_2.pt"
    assert (tmp_path / name).stat().st_size < 0.4 * (uninterrupted / name).stat().st_size
    assert run(short_run, tmp_path, num_epochs=3, **light) == 0
    log = (tmp_path / "train.log").read_text()
    assert "the optimizer begins anew" in log
    assert len(losses(tmp_path)) == 3


def test_the_room_that_checkpoints_take_is_said_first(short_run: dict[str, Any], uninterrupted: Path):
    """Up to six with the defaults, and the size is right to a tenth."""
    line = next(one for one in (uninterrupted / "train.log").read_text().splitlines() if "checkpoints: up to" in one)
    said = re.search(r"up to (\d) of ([\d.]+) MB", line)
    assert said is not None
    assert said[1] == "6"
    size = (uninterrupted / "checkpoints" / "checkpoint_epoch_2.pt").stat().st_size / 1e6
    assert float(said[2]) == pytest.approx(size, rel=0.1)


def test_gradient_checkpointing_changes_no_number(short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path):
    """Activations are computed again with the dropout of the first time: losses and weights are bit-equal."""
    assert run(short_run, tmp_path, gradient_checkpointing=True) == 0
    assert losses(tmp_path) == losses(uninterrupted)
    assert final(tmp_path).weights_sha256 == final(uninterrupted).weights_sha256


def test_accumulated_gradients_update_once_a_group(short_run: dict[str, Any], tmp_path: Path):
    """Batches of 2 gathered in pairs make as many updates as batches of 4, also with the rest of an epoch."""
    assert run(short_run, tmp_path, batch_size=2, gradient_accumulation_steps=3, num_epochs=1) == 0
    assert final(tmp_path).position.update == 2  # 4 batches: a group of 3, a rest of 1


def test_a_loss_that_stays_infinite_stops_the_run(short_run: dict[str, Any], tmp_path: Path, monkeypatch):
    """The error comes after some steps, not after days, and the weights were never touched."""
    monkeypatch.setattr(loop, "MOST_BAD_STEPS", 2)
    monkeypatch.setattr("cufft_harness.xtts.loss.AUDIO_WEIGHT", float("nan"))
    with pytest.raises(MachineError, match="not finite for 2 steps"):
        run(short_run, tmp_path)


def test_another_model_in_the_same_directory_is_refused(
    short_run: dict[str, Any], uninterrupted: Path, tiny: Path, tmp_path: Path
):
    """A run cannot be resumed with another base model, and nothing of it is changed."""
    shutil.copytree(uninterrupted, tmp_path / "out")
    other = shutil.copytree(tiny, tmp_path / "other")
    torch.save(torch.full((80,), 2.0), other / "mel_stats.pth")
    with pytest.raises(UserError, match="another model") as caught:
        run(short_run, tmp_path / "out", model=str(other), num_epochs=3)
    assert str(tiny) in caught.value.message
    assert str(other) in caught.value.message
    assert final(tmp_path / "out").weights_sha256 == final(uninterrupted).weights_sha256


def test_two_runs_in_one_directory_are_refused(short_run: dict[str, Any], tmp_path: Path):
    """The second one is told who holds the directory."""
    from cufft_harness.training.lock import output_lock

    with output_lock(tmp_path), pytest.raises(UserError, match=f"process {os.getpid()}"):
        run(short_run, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "/nowhere"}, "no model directory"),
        ({"data": Path("/nowhere")}, "no data set"),
        ({"sample_reference": Path("/nowhere.wav")}, "no reference clip"),
        ({"inject": "earthquake"}, "cannot inject"),
        ({"device": "cuda"}, "no usable GPU"),
    ],
)
def test_mistakes_are_found_before_any_training(
    short_run: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
):
    """Each is a user error of one line, and no checkpoint was written."""
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=message):
        run(short_run, tmp_path, samples=True, **changes)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_text_that_cannot_be_split_is_refused(
    short_run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without spaCy text stays whole, and one that is too long for the model is a user error before any training."""
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(UserError, match="tokens"):
        run(short_run, tmp_path, samples=True, sample_text=("olá " * 300,))
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_vanished_tensorboard_folder_costs_the_curves_only(
    short_run: dict[str, Any], uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """TensorBoard writes in a thread; when its folder goes, one line says so, and the run ends as if nothing were."""
    scalars = Display.scalars

    def written(self: Display, values: Any, step: int) -> None:
        scalars(self, values, step)
        with suppress(OSError):  # waits until the writer's thread has seen the missing folder
            self.flush()

    monkeypatch.setattr(Display, "scalars", written)
    for event in watch(short_run, tmp_path):
        if isinstance(event, Stepped):
            shutil.rmtree(tmp_path / "tensorboard", ignore_errors=True)
    assert losses(tmp_path) == losses(uninterrupted)
    assert "TensorBoard cannot write" in (tmp_path / "train.log").read_text()
