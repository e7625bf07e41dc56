"""Sampling beside training, with real worker processes: whatever they do, no step, checkpoint or sample is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harness.audio import resample
from harness.checkpoints import CheckpointFolder, load
from harness.errors import UserError
from harness.files import read_json_lines
from harness.sampling.artefacts import SAMPLE_RATE, SampleFolder, examine
from harness.sampling.offline import Found
from harness.training.run import train
from harness.training.settings import Settings

pytestmark = pytest.mark.slow

TEXT = "Olá, este é um teste."
SPOKEN = {
    "samples": True,
    "sample_text": TEXT,
    "sample_max_seconds": 0.5,
    "sample_time_limit": 20.0,
    "keep_checkpoints": 0,
}


def manifest(output: Path) -> list[dict[str, Any]]:
    return read_json_lines(output / "samples" / "manifest.jsonl")


def history(output: Path) -> list[object]:
    newest = CheckpointFolder(output / "checkpoints").newest()
    assert newest is not None
    return list(load(newest).history)


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


def test_failures_move_down_the_tiers(troubled: Path):
    """The first failure moves the sampler to the bypass, the second to the CPU, and each is recorded."""
    tiers = [record["tier"] for record in manifest(troubled)]
    assert tiers[:3] == ["bypass", "cpu", "cpu"]
    assert manifest(troubled)[0]["why"][0]["placement"] == "native on cpu"


def test_no_worker_is_left_behind(troubled: Path):
    """After the run no process of it lives, hung ones included, and no half-written file lies about."""
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    # a worker is started with its trainer's process id as the last argument, and that trainer was this process
    workers = [line.split() for line in listing.splitlines() if "-m harness.sampling" in line]
    assert not [worker for worker in workers if worker[-1] == str(os.getpid())]
    assert not list(troubled.rglob(".*.partial"))


def test_a_sample_is_spoken_by_the_checkpoints_weights(troubled: Path, tiny: Path):
    """Spoken again from the checkpoint's file, each sample is the same, to the last bit; the base model says another.

    So the sample is made by the trained weights, and the manifest's digest is theirs.
    """
    from harness.training.metadata import built_in
    from harness.xtts import speech
    from harness.xtts.directory import ModelDirectory, replace_gpt
    from harness.xtts.directory import load as load_model

    model = load_model(ModelDirectory.at(tiny))

    def speak() -> np.ndarray:
        voice = speech.read_voice(model, built_in() / "wavs" / record["reference"])
        spoken = speech.speak(model, TEXT, "pt", voice, record["seed"], 0.5, speech.Stages(model.device))
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


def test_the_worker_lets_training_go_first():
    """The worker's session, not only its threads, has the lowest priority: otherwise CPU training takes far longer."""
    code = (
        "import os; from pathlib import Path; from harness.sampling.__main__ import let_training_go_first\n"
        "let_training_go_first(); group = Path('/proc/self/autogroup')\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0), group.read_text() if group.exists() else 'nice 19')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert result.stdout.startswith("19 "), result.stderr
    assert result.stdout.rstrip().endswith("nice 19")


def test_the_manifest_tells_the_stages(troubled: Path):
    """Each line has the seconds of unload, load, probe, condition, decode, vocode, write, and the real-time factor."""
    for record in manifest(troubled):
        assert {"unload", "load", "probe", "condition", "decode", "vocode", "write"} <= record["stages"].keys()
        assert record["real_time_factor"] > 0
        assert record["reference_sha256"]


def test_a_broken_cufft_is_met_by_the_bypass(short_run: dict[str, Any], tmp_path: Path):
    """With every library FFT failing as cuFFT does, the probe sees it and the sample is made by matrix products.

    Two epochs: the second does not try the broken tier again. The best epoch's sample is the same synthesis.
    """
    changes = {"output": tmp_path, "inject": "CUFFT_INVALID_SIZE"}
    assert train(Settings(**{**short_run, **SPOKEN, **changes})) == 0
    first, second = manifest(tmp_path)
    assert first["tier"] == second["tier"] == "bypass"
    assert "CUFFT_INVALID_SIZE" in first["why"][0]["reason"]
    assert second["why"] == []
    folder = SampleFolder(tmp_path / "samples")
    assert folder.output(2).read_bytes() == folder.output(2, best=True).read_bytes()


def wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def test_killed_with_its_worker_at_work_a_run_goes_on(short_run: dict[str, Any], tmp_path: Path):
    """SIGKILL of the trainer takes the worker along; run again, every epoch gets its sample, the losses are bit-equal.

    This is the command line in a process of its own, as a user has it.
    """
    flags = [
        f"--{name.replace('_', '-')}={value}" for name, value in {**short_run, **SPOKEN}.items() if name != "samples"
    ]
    command = [sys.executable, "-m", "harness", "train", "--output", str(tmp_path), *flags]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: (tmp_path / "checkpoints" / "checkpoint_epoch_1.pt").exists(), 200)
        workers = subprocess.run(["pgrep", "-P", str(victim.pid)], capture_output=True, text=True).stdout.split()
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    for worker in workers:
        wait_for(lambda pid=worker: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 10)
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert "resuming after epoch" in finished.stdout
    plain = tmp_path / "plain"
    assert train(Settings(**{**short_run, "output": plain})) == 0
    assert history(tmp_path) == history(plain)
    assert {record["epoch"] for record in manifest(tmp_path) if record["outcome"] == "made"} == {1, 2}


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_samples_after_the_fact(troubled: Path, tmp_path: Path):
    """`cufft-harness sample` speaks another text with one checkpoint of a run, on whatever tier there is."""
    checkpoint = troubled / "checkpoints" / "checkpoint_epoch_6.pt"
    command = [sys.executable, "-m", "harness", "sample", "--checkpoint", str(checkpoint), "--text", "Bom dia."]
    result = subprocess.run(
        [*command, "--output", str(tmp_path), "--device", "cpu"], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    (record,) = read_json_lines(tmp_path / "manifest.jsonl")
    assert (record["outcome"], record["text"], record["tier"]) == ("made", "Bom dia.", "cpu")
    assert record["weights_sha256"] == load(checkpoint).weights_sha256
    assert examine(tmp_path / "epoch_6_output.wav").seconds <= 0.6


def test_a_missing_checkpoint_is_one_line(tmp_path: Path):
    """A user error: exit code 2, one line on stderr, no traceback."""
    command = [sys.executable, "-m", "harness", "sample", "--checkpoint", str(tmp_path / "none.pt")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"})
    assert result.returncode == 2
    assert result.stderr.splitlines() == [f"error: no checkpoint at {tmp_path / 'none.pt'}."]


def test_a_checkpoint_of_no_run_is_a_user_error(tmp_path: Path):
    """One that does not say what its run was told, or says it wrongly, is named, and so is what is missing."""
    found = Found([tmp_path / "x.pt"], tmp_path, {"sample_text": 5, "sample_seed": 1})
    assert found.setting("sample_seed", int) == 1
    for name in ("sample_text", "sample_language"):
        with pytest.raises(UserError, match=rf"x\.pt is of no run .* it has no {name}"):
            found.setting(name, str)
