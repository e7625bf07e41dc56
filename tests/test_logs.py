"""The logs of a run that lasts for months stay short, and no trouble with them reaches training or sampling."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from cufft_harness import processes
from cufft_harness.sampling import process
from cufft_harness.sampling.process import WorkerProcess
from cufft_harness.sampling.protocol import Request
from cufft_harness.tiers import Placement, Tier
from cufft_harness.training import logs
from cufft_harness.training.display import Display


def all_of(folder: Path) -> str:
    """Every log of a folder, oldest first."""
    return "".join(path.read_text() for path in sorted(folder.glob("train.log*"), reverse=True))


def test_the_log_stays_short_and_the_newest_lines_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is put aside is whole; beyond the files kept only the oldest lines go."""
    monkeypatch.setattr(logs, "LOG_BYTES", 2000)
    with Display(tmp_path) as shown:
        for number in range(300):
            shown.say(f"epoch {number} is over")
    found = sorted(path.name for path in tmp_path.glob("train.log*"))
    assert found == ["train.log", "train.log.1", "train.log.2", "train.log.3"]
    assert all((tmp_path / name).stat().st_size <= 2000 for name in found)
    kept = [line.split("epoch ")[1] for line in all_of(tmp_path).splitlines()]
    assert kept == [f"{number} is over" for number in range(300 - len(kept), 300)]


def test_a_log_that_cannot_be_put_aside_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """It goes on getting longer, training goes on, and one line says why."""
    monkeypatch.setattr(logs, "LOG_BYTES", 500)
    with Display(tmp_path) as shown:
        monkeypatch.setattr(os, "rename", refuse)
        for number in range(50):
            shown.say(f"epoch {number} is over")
    assert all_of(tmp_path).count("is over") == 50
    assert capsys.readouterr().err.splitlines() == [
        f"cannot put aside {tmp_path / 'train.log'}: [Errno 30] Read-only file system"
    ]


def test_a_log_whose_folder_vanishes_costs_the_log_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Every line still reaches the screen; one says what became of the log."""
    monkeypatch.setattr(logs, "LOG_BYTES", 500)
    folder = tmp_path / "run"
    folder.mkdir()
    with Display(folder) as shown:
        shutil.rmtree(folder)
        for number in range(50):
            shown.say(f"epoch {number} is over")
    captured = capsys.readouterr()
    assert captured.out.count("is over") == 50
    assert captured.err.count("No such file or directory") == 1


def refuse(*_: object) -> None:
    raise OSError(30, "Read-only file system")


CHATTY = """
import json, sys
print('{"number": 0, "made": true}', flush=True)
for line in sys.stdin:
    number = json.loads(line)["number"]
    print(f"sample {number}: " + "x" * 300, file=sys.stderr, flush=True)
    print(json.dumps({"number": number, "made": True}), flush=True)
"""
"""A worker that prints a warning with each sample, as libraries do."""


def speak(tmp_path: Path, log: Path, samples: int) -> None:
    """Let a chatty worker answer so often."""
    worker = WorkerProcess(tmp_path, log, 10.0)
    worker.wait_for_greeting()
    for number in range(1, samples + 1):
        request = Request(number, Placement(Tier.CPU, "cpu"), None, "Olá.", "pt", "", 1, 1.0, "")
        assert worker.ask(request).made
    worker.end()


@pytest.fixture(autouse=True)
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers be the chatty one."""
    start = processes.start
    command = [sys.executable, "-S", "-c", CHATTY]
    monkeypatch.setattr(processes, "start", lambda _, **streams: start(command, **streams))


def test_what_the_worker_prints_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One worker that lives through the whole run: its log is copied aside and emptied between samples."""
    monkeypatch.setattr(process, "LOG_BYTES", 2000)
    speak(tmp_path, tmp_path / "sampler.log", 20)
    newest = (tmp_path / "sampler.log").read_text()
    assert len(newest) < 2000 + 400
    assert newest.splitlines()[-1].startswith("sample 20: ")
    assert newest.startswith("sample ")  # no hole where the emptied part was
    assert 2000 < (tmp_path / "sampler.log.1").stat().st_size < 2000 + 400


def test_a_worker_log_that_cannot_be_put_aside_costs_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It goes on getting longer."""
    monkeypatch.setattr(process, "LOG_BYTES", 1000)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    speak(tmp_path, tmp_path / "sampler.log", 8)
    assert (tmp_path / "sampler.log").read_text().count("sample ") == 8


def test_a_worker_log_that_cannot_be_opened_costs_no_sample(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """What the worker prints is then lost, and the run's log says so."""
    (tmp_path / "sampler.log").mkdir()
    speak(tmp_path, tmp_path / "sampler.log", 2)
    assert "what the sampler prints is lost" in caplog.text
