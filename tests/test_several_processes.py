"""Training in several processes, on the CPU with gloo: the same data, losses and checkpoints as in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.checkpoints import CheckpointFolder, load
from cufft_harness.dataset.batches import Batches
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def batches(clips: int, batch_size: int) -> Batches:
    """Batches of clips that are only counted."""

    class Counted(Batches):
        def collate(self, indices: list[int], epoch: int, place: int = 0) -> Any:
            return tuple(indices)

    return Counted([None] * clips, None, batch_size=batch_size, seed=0, training=True)  # type: ignore[list-item,arg-type]


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_every_clip_is_trained_on_and_each_process_makes_as_many_steps(processes: int, start: int):
    """28 clips in 7 batches: whatever was done before, the rest is done once, the last round filled up."""
    data = batches(28, 4)
    whole = [*data.epoch(1)]
    parts = [[*data.epoch(1, start, rank, processes)] for rank in range(processes)]
    assert len({len(part) for part in parts}) == 1
    assert {batch for part in parts for batch in part} == set(whole[start:])
    assert sum(map(len, parts)) < len(whole[start:]) + processes


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_validation_scores_every_clip_once(processes: int):
    """28 clips on 4 processes: 28 are scored."""
    data = batches(28, 4)
    scored = [number for rank in range(processes) for number, _batch in data.share(rank, processes)]
    assert sorted(scored) == list(range(7))


def newest(output: Path) -> Any:
    path = CheckpointFolder(output / "checkpoints").newest()
    assert path is not None
    return load(path)


@pytest.fixture(scope="module")
def settings(short_run: dict[str, Any]) -> dict[str, Any]:
    return {**short_run, "batch_size": 2, "max_train_samples": 7, "max_val_samples": 3}


def start(*arguments: str) -> None:
    command = [sys.executable, *arguments]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=alone)
    assert done.returncode == 0, done.stderr


def test_a_run_of_two_processes_stopped_in_an_epoch_ends_as_if_it_were_not(settings: dict[str, Any], tmp_path: Path):
    """Losses of training and validation, and the weights, are bit-equal; one process then goes on with a note."""
    start(*TORCHRUN, str(Path(__file__).parent / "two_processes.py"), json.dumps(settings), str(tmp_path))
    undisturbed, stopped = newest(tmp_path / "undisturbed"), newest(tmp_path / "stopped")
    assert undisturbed.processes == 2
    assert undisturbed.position.update == 4  # 4 batches in 2 rounds, twice
    assert stopped.history == undisturbed.history
    assert stopped.weights_sha256 == undisturbed.weights_sha256

    assert train(Settings(**{**settings, "output": tmp_path / "stopped", "num_epochs": 3})) == 0
    log = (tmp_path / "stopped" / "train.log").read_text()
    assert "1 processes train from here on, 2 did until now" in log
    assert newest(tmp_path / "stopped").position.update == 4 + 4


def test_accelerate_starts_all_processes_on_the_cpu(settings: dict[str, Any], tmp_path: Path):
    """`accelerate launch --cpu --num_processes 2` trains in two; the base model's validation loss is that of one."""
    given = {name: value for name, value in settings.items() if not isinstance(value, bool)}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    line = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "cufft_harness", "train"]
    start(*line, *flags, "--no-samples", "--num-epochs", "1", "--output", str(tmp_path / "two"))
    assert newest(tmp_path / "two").processes == 2
    assert train(Settings(**{**settings, "output": tmp_path / "one", "num_epochs": 1})) == 0

    def before_training(output: Path) -> str:
        (line,) = (line for line in (output / "train.log").read_text().splitlines() if "before training" in line)
        return line.partition("before")[2]

    assert before_training(tmp_path / "two") == before_training(tmp_path / "one")
