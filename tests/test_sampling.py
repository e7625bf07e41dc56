"""Sampling beside training, with real worker processes: whatever they do, no step, checkpoint or sample is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cufft_harness.audio import resample
from cufft_harness.checkpoints import CheckpointFolder, load
from cufft_harness.errors import UserError
from cufft_harness.files import read_json_lines
from cufft_harness.sampling.artefacts import SAMPLE_RATE, SampleFolder, examine
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings
from runs import SPOKEN, TEXT, history, manifest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def troubled(short_run: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six epochs whose sampler meets another failure in each of the first five."""
    output = tmp_path_factory.mktemp("troubled")
    inject = "raise@1,hang@2,crash@3,garbage@4,broken-wav@5"
    # training this fast would leave samples behind, so it waits for each one
    settings = Settings(
        **{**short_run, **SPOKEN, "output": output, "num_epochs": 6, "inject": inject, "take_turns": "always"}
    )
    assert train(settings) == 0
    return output


def test_failures_of_the_sampler_cost_no_sample(troubled: Path):
    """An error, a hang, a crash, garbage and a broken file are each recorded, and each epoch has its sample."""
    records = manifest(troubled)
    assert [(record["epoch"], record["outcome"]) for record in records] == [(epoch, "made") for epoch in range(1, 7)]
    reasons = [" ".join(given_up["reason"] for given_up in record["why"]) for record in records]
    for reason, expected in zip(
        reasons, ["rehearsed", "did not answer", "SIGSEGV", "nonsense", "cut short", ""], strict=True
    ):
        assert expected in reason
        assert bool(expected) == bool(reason)
    for epoch in range(1, 7):
        assert examine(SampleFolder(troubled / "samples").output(epoch)).seconds > 0
        assert examine(SampleFolder(troubled / "samples").reference(epoch)).seconds > 1


def test_failures_of_the_sampler_change_no_loss(troubled: Path, short_run: dict[str, Any], tmp_path: Path):
    """The losses are bit-equal to those of the same run without samples."""
    assert train(Settings(**{**short_run, "output": tmp_path, "num_epochs": 6})) == 0
    assert history(tmp_path) == history(troubled)


def test_tensorboard_shows_how_it_went(troubled: Path):
    """Samples beside the voice, which is there once; rate, memory and seconds of each step; the settings as text."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(troubled / "tensorboard"), size_guidance={"audio": 0})
    board.Reload()
    tags = board.Tags()
    assert [sound.step for sound in board.Audio("sample")] == list(range(1, 7))
    assert len(board.Audio("reference")) == 1
    steps = len(board.Scalars("train/loss"))
    for name in ("learning_rate", "memory_gb"):
        values = [one.value for one in board.Scalars(f"train/{name}")]
        assert len(values) == steps
        assert min(values) > 0
    assert 0 < len(board.Scalars("train/seconds_a_step")) <= steps
    assert "settings/text_summary" in tags["tensors"]
    [settings] = board.Tensors("settings/text_summary")
    assert b"| num_epochs | 6 |" in settings.tensor_proto.string_val[0]


def test_failures_move_down_the_tiers(troubled: Path):
    """The first failure moves the sampler to the bypass, the second to the CPU, and each is recorded."""
    tiers = [record["tier"] for record in manifest(troubled)]
    assert tiers[:3] == ["bypass", "cpu", "cpu"]
    assert manifest(troubled)[0]["why"][0]["placement"] == "native on cpu"


def test_no_worker_is_left_behind(troubled: Path):
    """After the run no process of it lives, hung ones included, and no half-written file lies about."""
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    # a worker is started with its trainer's process id as the last argument, and that trainer was this process
    workers = [line.split() for line in listing.splitlines() if " cufft_harness.sampling " in line]
    assert not [worker for worker in workers if worker[-1] == str(os.getpid())]
    assert not list(troubled.rglob(".*.partial"))


def test_a_sample_is_spoken_by_the_checkpoints_weights(troubled: Path, tiny: Path):
    """Spoken again from the checkpoint's file, each sample is the same, to the last bit; the base model says another.

    So the sample is made by the trained weights, and the manifest's digest is theirs.
    """
    from cufft_harness.dataset.metadata import built_in
    from cufft_harness.xtts import speech
    from cufft_harness.xtts.directory import ModelDirectory, replace_gpt
    from cufft_harness.xtts.directory import load as load_model

    model = load_model(ModelDirectory.at(tiny))

    def speak() -> np.ndarray:
        voice = speech.read_voice(model, built_in() / "wavs" / record["reference"])
        spoken = speech.speak(model, TEXT, "pt", voice, record["seed"], 0.5, speech.Stages(model.device)).samples
        return np.clip(resample(spoken, speech.SAMPLE_RATE, SAMPLE_RATE), -1, 1)

    record = manifest(troubled)[-1]
    base = speak()
    heard = {}
    for record in (manifest(troubled)[0], manifest(troubled)[-1]):
        checkpoint = load(CheckpointFolder(troubled / "checkpoints").epoch_path(record["epoch"]))
        assert record["weights_sha256"] == checkpoint.weights_sha256
        replace_gpt(model, checkpoint.gpt)
        heard[record["epoch"]], _rate = soundfile.read(SampleFolder(troubled / "samples").output(record["epoch"]))
        again = speak()
        assert len(again) == len(heard[record["epoch"]])
        assert np.abs(again - heard[record["epoch"]]).max() < 2 / 32_768
    assert len(base) != len(again) or np.abs(base - again).max() > 0.001
    first, last = heard.values()
    assert len(first) != len(last) or np.abs(first - last).max() > 0.001


def test_the_manifest_tells_the_stages(troubled: Path):
    """Each line has the seconds of each stage, from the trainer's unload to its reload, and the real-time factor."""
    stages = {"unload", "load", "probe", "condition", "decode", "vocode", "write", "reload"}
    for record in manifest(troubled):
        assert stages <= record["stages"].keys()
        assert record["real_time_factor"] > 0
        assert record["reference_sha256"]


def test_samples_after_the_fact(troubled: Path, tmp_path: Path):
    """`cufft-harness sample` speaks other texts with one checkpoint of a run, and says what it does from the start."""
    checkpoint = troubled / "checkpoints" / "checkpoint_epoch_6.pt"
    command = [sys.executable, "-m", "cufft_harness", "sample", "--checkpoint", str(checkpoint), "--text", "Bom dia."]
    command += ["--text", "Até logo."]
    result = subprocess.run(
        [*command, "--output", str(tmp_path), "--device", "cpu"], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    records = read_json_lines(tmp_path / "manifest.jsonl")
    assert [(one["outcome"], one["text"], one["tier"]) for one in records] == [
        ("made", "Bom dia.", "cpu"),
        ("made", "Até logo.", "cpu"),
    ]
    for record in records:
        assert record["weights_sha256"] == load(checkpoint).weights_sha256
        assert record["stopped_by_itself"] in (True, False)
        assert examine(tmp_path / record["files"][0]).seconds <= 0.6
    assert [record["files"][0] for record in records] == ["epoch_6_output.wav", "epoch_6_output_2.wav"]
    said = result.stdout.splitlines()
    assert "loading PyTorch" in result.stderr
    assert said[0].startswith("sampler: ") or said[0].startswith("sample of epoch 6 (1 of 2) begins: “Bom dia.”")
    assert any(line.startswith("sample of epoch 6 (2 of 2) begins: “Até logo.”") for line in said)
    cut = [record["stopped_by_itself"] for record in records].count(False)
    assert sum("did not stop by itself" in line for line in said) == cut


@pytest.mark.parametrize("where", ["a folder of its own", "the run's samples"])
def test_two_that_write_samples_keep_out_of_each_others_way(
    troubled: Path, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
):
    """A second `sample`, or one into the samples of a run under way, is refused, and removes nothing half written."""
    from cufft_harness.cli.sample import command
    from cufft_harness.training.lock import output_lock

    own = where == "a folder of its own"
    folder = tmp_path if own else troubled / "samples"
    half = SampleFolder(folder).spoken(1)
    half.write_bytes(b"half")
    flags = ["--checkpoint", str(troubled / "checkpoints" / "checkpoint_epoch_1.pt"), "--output", str(folder)]
    with output_lock(folder if own else troubled), pytest.raises(UserError, match="is under way"):
        command.main(flags, standalone_mode=False)
    assert half.exists()
    half.unlink()
