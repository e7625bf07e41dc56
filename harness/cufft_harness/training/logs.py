"""Where a run's lines go: a log file that stays short, and a screen that may go away."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.logging import RichHandler

LOG_BYTES = 10 << 20
"""Length at which train.log is put aside as train.log.1; some forty thousand epochs with their samples."""
LOGS_KEPT = 3

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler


class PatientStream:
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


def handlers(output: Path, console: Console) -> list[logging.Handler]:
    """Those of a run: `train.log` in `output`, and the screen."""
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
