"""Whole runs with samples, as a user has them: a broken cuFFT, a kill in the middle, wrong checkpoints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.checkpoints import load
from cufft_harness.errors import UserError
from cufft_harness.sampling.artefacts import SampleFolder
from cufft_harness.sampling.offline import Found
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.directory import ModelDirectory, gpt_state
from cufft_harness.xtts.directory import load as load_model
from runs import SPOKEN, history, manifest

pytestmark = pytest.mark.slow


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
    assert (tmp_path / "train.log").read_text().count(first["why"][0]["reason"]) == 1
    folder = SampleFolder(tmp_path / "samples")
    assert folder.output(2).read_bytes() == folder.output(2, best=True).read_bytes()


def test_what_was_not_made_is_made_by_the_next_session(
    short_run: dict[str, Any], tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """Of a best epoch whose own checkpoint is gone, too, from best_model.pt; and the base model's, to compare with.

    Nothing is left to train, so the user is told what goes on, line by line, though there is no terminal.
    """
    settings = {**short_run, "output": tmp_path, "keep_checkpoints": 0}
    assert train(Settings(**settings)) == 0
    kept = load(tmp_path / "checkpoints" / "best_model.pt")
    assert kept.complete_epochs == 2
    for epoch in (1, 2):
        (tmp_path / "checkpoints" / f"checkpoint_epoch_{epoch}.pt").unlink()
    capfd.readouterr()
    said = {"sample_text": ("Olá.", "Bom dia."), "sample_base_model": True}
    assert train(Settings(**{**settings, **SPOKEN, **said})) == 0
    lines = manifest(tmp_path)
    assert {(line["epoch"], line["number"], line["outcome"]) for line in lines} == {
        (epoch, number, "made") for epoch in (0, 2) for number in (1, 2)
    }
    spoken_by = {line["epoch"]: (line["checkpoint"], line["weights_sha256"]) for line in lines}
    assert spoken_by[0] == (None, weights_digest(gpt_state(load_model(ModelDirectory.at(tiny)))))
    assert spoken_by[2] == ("best_model.pt", kept.weights_sha256)
    folder = SampleFolder(tmp_path / "samples")
    assert folder.output(2, best=True, number=2).exists()
    shown = capfd.readouterr().out
    assert "sample of the base model (1 of 2) begins: “Olá.”" in shown
    assert re.search(r"\(1 of 2\) begins: “Olá.”, pt, .*; 1 more to come; about \d+ s left", shown)


def wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def children(pid: int) -> list[str]:
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()


def test_killed_with_its_worker_at_work_a_run_goes_on(short_run: dict[str, Any], tmp_path: Path):
    """SIGKILL of the trainer takes the worker along; run again, every epoch gets its sample, the losses are bit-equal.

    This is the command line in a process of its own, as a user has it.
    """
    values = {name.replace("_", "-"): value for name, value in {**short_run, **SPOKEN}.items() if name != "samples"}
    flags = [f"--no-{name}" if value is False else f"--{name}={value}" for name, value in values.items()]
    command = [sys.executable, "-m", "cufft_harness", "train", "--output", str(tmp_path), *flags]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: (tmp_path / "checkpoints" / "checkpoint_epoch_1.pt").exists(), 200)
        wait_for(lambda: children(victim.pid), 60)
        workers = children(victim.pid)
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


def test_a_missing_checkpoint_is_one_line(tmp_path: Path):
    """A user error: exit code 2, one line on stderr, no traceback."""
    command = [sys.executable, "-m", "cufft_harness", "sample", "--checkpoint", str(tmp_path / "none.pt")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"})
    assert result.returncode == 2
    assert result.stderr.splitlines() == [f"error: there is no checkpoint and no run at {tmp_path / 'none.pt'}."]


def test_a_checkpoint_of_no_run_is_a_user_error(tmp_path: Path):
    """One that does not say what its run was told, or says it wrongly, is named, and so is what is missing."""
    found = Found([tmp_path / "x.pt"], tmp_path, {"sample_text": 5, "sample_seed": 1})
    assert found.setting("sample_seed", int) == 1
    for name in ("sample_text", "sample_language"):
        with pytest.raises(UserError, match=rf"x\.pt is of no run .* it has no {name}"):
            found.setting(name, str)
