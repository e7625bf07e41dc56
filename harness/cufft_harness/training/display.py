"""What a run shows: a progress bar on a terminal, plain lines elsewhere, a log file and TensorBoard always."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard import SummaryWriter

from cufft_harness.audio import AudioError, read_mono
from cufft_harness.sampling.artefacts import SAMPLE_RATE

log = logging.getLogger("cufft_harness")

LOG_BYTES = 10 << 20
"""Length at which train.log is put aside as train.log.1; some forty thousand epochs with their samples."""
LOGS_KEPT = 3
SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal, what goes on is said so often."""

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler


class Display:
    """The one voice of a run.

    Args:
        output: gets `train.log` and `tensorboard/`.
        main: this is the main process; the others of a distributed run stay silent.
    """

    def __init__(self, output: Path, main: bool = True) -> None:
        self.console = Console(file=cast(TextIO, _Patient(sys.stdout)), quiet=not main)
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
        self._handlers = _handlers(output, self.console) if main else []
        self._bar: TaskID | None = None
        self._doing = ""
        self._board: SummaryWriter | None = None
        self._doing_said = 0.0
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
        self._doing = description

    def advance_bar(self, steps: int = 1, loss: float | None = None) -> None:
        """So many steps of the work were made; the loss, if known, is shown beside."""
        if self._bar is not None:
            shown = self._doing if loss is None else f"{self._doing}  loss {loss:.3f}"
            self._progress.update(self._bar, advance=steps, description=shown)

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

    def doing(self, what: object, since_last: float = SECONDS_BETWEEN_LINES) -> None:
        """Show what goes on beside the training: on a terminal as a line below the bars, elsewhere now and then.

        Args:
            what: as text; None takes the line away, and counts as a line said.
            since_last: seconds between two lines where there is no terminal.
        """
        now = time.monotonic()
        self._progress.below = "" if what is None else str(what)
        if what is None:
            self._doing_said = now
        elif self._progress.disable and now - self._doing_said >= since_last:
            self._doing_said = now
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

    def sample(self, path: Path, epoch: int, number: int = 1) -> None:
        """Add a sample's audio to TensorBoard; of several in an epoch, `number` says which."""
        try:
            samples = read_mono(path, SAMPLE_RATE)
        except AudioError as problem:
            log.warning("%s is not shown in TensorBoard: %s", path, problem)
            return
        name = "sample" if number == 1 else f"sample_{number}"
        self._to_board(lambda board: board.add_audio(name, samples[None], epoch, sample_rate=SAMPLE_RATE))

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
    """Bars, and one line of text below them."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn."""
        yield from super().get_renderables()
        if self.below:
            yield Text(self.below, overflow="ellipsis", no_wrap=True)


class _Patient:
    """A stream for a terminal that may go away (a closed window, a lost connection): what it shows is then lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if there is still somebody to read it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if there is still somebody to read it."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _LogFile(logging.handlers.RotatingFileHandler):
    """The log file; one that can no longer be written costs the log, not the run, and is told once.

    One that cannot be put aside (its folder is read-only, say) goes on getting longer: better that than lines lost.
    """

    _told = False

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Put the file aside and begin a new one, where the disk allows it."""
        try:
            super().doRollover()
        except OSError:
            self._tell("put aside")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say why, on the first line that was lost."""
        self._tell("write")

    def _tell(self, what: str) -> None:
        """Say once what cannot be done, if there is still somebody to say it to."""
        if not self._told:
            self._told = True
            with suppress(OSError):
                sys.stderr.write(f"cannot {what} {self.baseFilename}: {sys.exc_info()[1]}\n")


class _Screen(_StreamHandler):
    """Plain lines for a screen that is no terminal; one that went away (`| head`) costs the lines, not the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing can be said where nobody listens; the log file has it all."""


def _handlers(output: Path, console: Console) -> list[logging.Handler]:
    file = _LogFile(output / "train.log", maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, encoding="utf-8")
    file.setFormatter(_Escaped("%(asctime)s %(levelname)s %(message)s"))
    screen: logging.Handler
    if console.is_terminal:
        screen = RichHandler(console=console, show_path=False, show_level=False, log_time_format="%H:%M:%S")
        screen.setFormatter(_Escaped("%(message)s"))
    else:
        screen = _Screen(sys.stdout)
        screen.setFormatter(_Escaped("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    return [file, screen]


class _Escaped(logging.Formatter):
    """Names and texts from outside must not steer the terminal or rich's markup."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
