"""cufft_harness.training.stop: a wish to stop is noted; a second Ctrl-C leaves, whoever stands in its way."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.files import read_json_lines
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings
from cufft_harness.training.stop import Interrupted, StopRequest
from TTS.tts.models.xtts import Xtts


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_one_ctrl_c_is_noted_and_does_not_raise():
    """The step is finished; the exit code is what a shell expects; the handlers of before come back."""
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as interruption:
        ctrl_c()
        assert interruption.wanted
        assert interruption.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_library_that_swallows_the_second_ctrl_c_cannot_make_an_error_of_it():
    """What a bare `except` turned into another error leaves as Ctrl-C all the same."""

    def load() -> None:
        with StopRequest():
            ctrl_c()
            try:
                ctrl_c()
            except:  # noqa: E722 - as coqui's Xtts.load_checkpoint does
                raise RuntimeError("keys are missing") from None

    with pytest.raises(KeyboardInterrupt):
        load()


def test_an_error_after_one_ctrl_c_stays_an_error():
    """Only who insists leaves without hearing what else went wrong."""

    def fail() -> None:
        with StopRequest():
            ctrl_c()
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()


def test_ctrl_c_twice_while_the_model_loads(short_run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It ends the run as everywhere else, not with an error about the model."""
    load = Xtts.load_state_dict

    def interrupted(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(Xtts, "load_state_dict", load)
        ctrl_c()
        ctrl_c()

    monkeypatch.setattr(Xtts, "load_state_dict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(Settings(**{**short_run, "output": tmp_path}))


def test_a_run_that_stands_aside_for_a_sample_can_be_stopped(short_run: dict[str, Any], tmp_path: Path):
    """SIGTERM while training waits for a worker that hangs: the run leaves, and the manifest says what was not made."""
    changes = {
        "output": tmp_path,
        "samples": True,
        "take_turns": "always",
        "inject": "hang@1",
        "sample_time_limit": 600.0,
        "keep_checkpoints": 0,
    }

    def stop_once_saved() -> None:
        deadline = time.monotonic() + 200
        while not (tmp_path / "checkpoints" / "checkpoint_epoch_1.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_once_saved)
    stopper.start()
    status = train(Settings(**{**short_run, **changes}))
    stopper.join()
    assert status == 128 + signal.SIGTERM
    lines = read_json_lines(tmp_path / "samples" / "manifest.jsonl")
    assert lines[0]["epoch"] == 1
    assert {line["outcome"] for line in lines} == {"dropped"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_one_signal_ends_a_start(
    short_run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    """While the model loads there is nothing to save: the run leaves, though coqui takes the signal for an error."""
    load, calls = Xtts.load_state_dict, []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            os.kill(os.getpid(), number)
        return load(*arguments, **named)

    monkeypatch.setattr(Xtts, "load_state_dict", interrupted)
    with pytest.raises(Interrupted) as caught:
        train(Settings(**{**short_run, "output": tmp_path}))
    assert caught.value.exit_code == 128 + number
    assert not (tmp_path / "checkpoints").exists()
