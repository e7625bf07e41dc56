"""Ctrl-C, SIGTERM, a closed terminal: note the wish, finish the step, save, leave. A second Ctrl-C ends at once.

Before the first step there is nothing to save, and a start may take long: there the first signal ends it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal ended the start of a run; `exit_code` is what a shell expects then."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


class StopRequest:
    """Within its `with`, the signals set `signal` instead of ending the process.

    Raises:
        KeyboardInterrupt: from a second Ctrl-C, and again at the end of the `with`, where a library took the first for
            an error of its own: coqui's `Xtts.load_checkpoint` does.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._insisted = False
        self._starting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        # what this process was started to ignore, by `nohup` or in the background of a script, it goes on ignoring
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._insisted and isinstance(error, Exception):
            raise KeyboardInterrupt from error

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within this `with` the first signal ends what is done.

        Raises:
            Interrupted: there was a signal; also where a library took it for an error of its own, or went on.
        """
        self._starting = True
        try:
            yield
        except Exception as error:
            if self.signal is not None:
                raise Interrupted(self.exit_code) from error
            raise
        finally:
            self._starting = False
        if self.signal is not None:
            raise Interrupted(self.exit_code)

    @property
    def wanted(self) -> bool:
        """Somebody asked the run to stop."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program ended by this signal."""
        return 128 + (self.signal or 0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            self._insisted = True
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        if self._starting:
            raise Interrupted(self.exit_code)
