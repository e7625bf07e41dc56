"""What a run shows: a progress bar on a terminal, plain lines elsewhere, a log file and TensorBoard always."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard import SummaryWriter

from cufft_harness.audio import AudioError, Samples, read_mono
from cufft_harness.sampling.artefacts import SAMPLE_RATE
from cufft_harness.training.logs import PatientStream, handlers

log = logging.getLogger("cufft_harness")

SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal, what goes on is said so often."""


class Display:
    """The one voice of a run.

    Args:
        output: gets `train.log` and `tensorboard/`.
        main: this is the main process; the others of a distributed run stay silent.
    """

    def __init__(self, output: Path, main: bool = True) -> None:
        self.console = Console(file=cast(TextIO, PatientStream(sys.stdout)), quiet=not main)
        self._main = main
        self._progress = _Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (main and self.console.is_terminal),
        )
        self._handlers = handlers(output, self.console) if main else []
        self._bar: TaskID | None = None
        self._board: SummaryWriter | None = None
        self._said = {"training": time.monotonic(), "beside": 0.0}
        self._heard: dict[str, bytes] = {}  # by its name in TensorBoard, the last audio there
        self._thread_failed = threading.excepthook
        if main:
            try:
                self._board = SummaryWriter(str(output / "tensorboard"), max_queue=100, flush_secs=10)
            except OSError as error:
                log.warning("TensorBoard is switched off: %s", error)

    def __enter__(self) -> Display:
        log.setLevel(logging.INFO)
        log.propagate = False
        for handler in self._handlers:
            log.addHandler(handler)
        self._thread_failed, threading.excepthook = threading.excepthook, self._explain_thread
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._to_board(lambda board: board.close())
        threading.excepthook = self._thread_failed
        for handler in self._handlers:
            log.removeHandler(handler)
            handler.close()
        log.propagate = True

    def say(self, message: str) -> None:
        """Write one line to the screen and the log file."""
        log.info(message)

    def start_bar(self, description: str, total: int, completed: int = 0) -> None:
        """Show a bar for some work, in place of the one before."""
        self.end_bar()
        self._bar = self._progress.add_task(description, total=total, completed=completed)

    def advance_bar(self, steps: int = 1) -> None:
        """So many steps of the work were made."""
        if self._bar is not None:
            self._progress.update(self._bar, advance=steps)

    def end_bar(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar for the time of the body; the function given takes how many steps were made."""
        self.start_bar(description, total)
        try:
            yield self.advance_bar
        finally:
            self.end_bar()

    def training(self, facts: str) -> None:
        """Show how the training goes: on a terminal as a line below the bars, elsewhere in a line now and then."""
        self._show("training", facts, SECONDS_BETWEEN_LINES)

    def doing(self, what: object, since_last: float = SECONDS_BETWEEN_LINES) -> None:
        """Show what goes on beside the training, likewise.

        Args:
            what: as text; None takes the line away, and counts as a line said.
            since_last: seconds between two lines where there is no terminal.
        """
        self._show("beside", what, since_last)

    def _show(self, subject: str, what: object, since_last: float) -> None:
        now = time.monotonic()
        self._progress.below[subject] = "" if what is None else str(what)
        if what is None:
            self._said[subject] = now
        elif self._progress.disable and now - self._said[subject] >= since_last:
            self._said[subject] = now
            self.say(str(what))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add values to TensorBoard; a full disk costs the curve, not the run."""

        def write(board: SummaryWriter) -> None:
            for name, value in values.items():
                board.add_scalar(name, value, step)

        self._to_board(write)

    def flush(self) -> None:
        """Wait until TensorBoard has written what it was given."""
        self._to_board(lambda board: board.flush())

    def text(self, name: str, markdown: str) -> None:
        """Add a text to TensorBoard."""
        self._to_board(lambda board: board.add_text(name, markdown))

    def sample(self, spoken: Path, reference: Path, epoch: int, number: int = 1) -> None:
        """Add a sample's audio to TensorBoard, and that of its voice where it is not the last one's.

        Args:
            spoken: the sample.
            reference: the clip whose voice it was spoken in.
            epoch: of the weights.
            number: of several in an epoch, which.
        """
        suffix = "" if number == 1 else f"_{number}"
        for name, path in ((f"reference{suffix}", reference), (f"sample{suffix}", spoken)):
            try:
                samples = read_mono(path, SAMPLE_RATE)
            except AudioError as problem:
                log.warning("%s is not shown in TensorBoard: %s", path, problem)
                continue
            content = samples.tobytes()
            if self._heard.get(name) != content:
                self._heard[name] = content
                self._to_board(partial(_add_audio, name=name, samples=samples, epoch=epoch))

    def _explain_thread(self, failure: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread of its own; its disk trouble is one line, as everybody else's."""
        if isinstance(failure.thread, _AsyncWriterThread) and isinstance(failure.exc_value, OSError):
            log.warning("TensorBoard cannot write: %s", failure.exc_value)
        else:
            self._thread_failed(failure)

    def _to_board(self, write: Callable[[SummaryWriter], object]) -> None:
        if self._board is None:
            return
        try:
            write(self._board)
        except OSError as error:
            log.warning("TensorBoard is switched off: %s", error)
            self._board = None


class _Bars(Progress):
    """Bars, and lines of text below them."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        self.below = {"training": "", "beside": ""}
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn."""
        yield from super().get_renderables()
        for line in filter(None, self.below.values()):
            yield Text(line, overflow="ellipsis", no_wrap=True)


def _add_audio(board: SummaryWriter, name: str, samples: Samples, epoch: int) -> None:
    board.add_audio(name, samples[None], epoch, sample_rate=SAMPLE_RATE)
