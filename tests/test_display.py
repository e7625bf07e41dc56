"""What a run shows of its pace: on a terminal below the bar, elsewhere in a line now and then."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from cufft_harness.training import display as module
from cufft_harness.training.display import Display
from cufft_harness.training.events import EpochStarted, Stepped
from cufft_harness.training.pace import Pace, duration, memory_used
from cufft_harness.training.reporter import Reporter
from cufft_harness.training.settings import Settings


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_the_pace_is_that_of_the_steps_and_the_time_left_that_of_all():
    """Three epochs of four batches, 2 s each, 10 s of validation between: what is left includes the pauses."""
    clock = Clock()
    pace = Pace(3, clock)
    assert (pace.seconds_a_step, pace.seconds_left) == (None, None)
    for epoch, seconds in ((1, [60, 2, 2, 2]), (2, [2, 2, 2, 2])):
        pace.begin_epoch(epoch, 4, 0)
        for one in seconds:
            clock.now += one
            pace.step(1)
        clock.now += 10
    assert pace.seconds_a_step == pytest.approx(2)  # the first one takes longer, and is no measure
    # seven steps after the first took 14 s, two pauses 20 s; four batches are left
    assert pace.seconds_left == pytest.approx((14 + 20) / 7 * 4)


def test_a_resumed_epoch_has_its_rest_left():
    """What an earlier session trained is neither counted nor still to be done."""
    clock = Clock()
    pace = Pace(2, clock)
    pace.begin_epoch(2, 10, 7)
    for _ in range(2):
        clock.now += 5
        pace.step(1)
    assert pace.seconds_left == pytest.approx(5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (50, "50 s"), (720, "12 min"), (12_000, "3 h 20 min"), (187_300, "2 d 4 h")],
)
def test_durations_are_told_as_people_do(seconds: float, words: str):
    """One or two units."""
    assert duration(seconds) == words


def test_memory_is_that_of_this_process():
    """A tensor that is kept adds its bytes."""
    before = memory_used(torch.device("cpu"))
    kept = torch.ones(50_000_000)  # 200 MB
    assert 150e6 < memory_used(torch.device("cpu")) - before < 400e6
    del kept


def steps(reporter: Reporter, clock: Clock, count: int, seconds: float) -> None:
    reporter.tell(EpochStarted(1, 100, 0))
    for update in range(1, count + 1):
        clock.now += seconds
        reporter.tell(Stepped(1, 1, update, 2.5, 1.0, 5e-6))


def test_without_a_terminal_a_line_says_so_every_30_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Twenty steps of 4 s: two lines, with loss, learning rate, pace, memory and the time left for the whole run."""
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    monkeypatch.setattr("cufft_harness.training.reporter.Pace", lambda epochs: Pace(epochs, clock))
    with Display(tmp_path) as display:
        steps(Reporter(Settings(num_epochs=1), display, torch.device("cpu")), clock, 20, 4.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "epoch 1: loss 2.500, learning rate 5e-06, 4.0 s a step, " in lines[1]
    assert " GB of memory, 6 min left of the run" in lines[0]
    assert (tmp_path / "train.log").read_text().count("left of the run") == 2


def test_on_a_terminal_the_line_stays_below_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is drawn over and over, and is no line of the log."""
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    clock = Clock()
    monkeypatch.setattr("cufft_harness.training.reporter.Pace", lambda epochs: Pace(epochs, clock))
    with Display(tmp_path) as display:
        steps(Reporter(Settings(num_epochs=1), display, torch.device("cpu")), clock, 20, 0.25)
        display.doing("the sampler is at work")
    assert "epoch 1/1" in screen.getvalue()
    assert "4 steps a second" in screen.getvalue()
    assert "the sampler is at work" in screen.getvalue()
    assert (tmp_path / "train.log").read_text() == ""
