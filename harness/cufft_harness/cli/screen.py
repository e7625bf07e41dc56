"""What `sample` shows while the sampler is at work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cufft_harness.errors import printable

if TYPE_CHECKING:
    from cufft_harness.sampling.orders import Begun, Record
    from cufft_harness.sampling.status import Status

SECONDS_BETWEEN_LINES = 10.0
"""Where there is no terminal, what goes on is said so often."""


class Screen:
    """Shows what goes on: on a terminal in a line that changes, elsewhere in a line now and then."""

    def __enter__(self) -> Screen:
        from rich.console import Console

        console = Console()
        self._line = console.status("starting the sampler") if console.is_terminal else None
        self._said = 0.0
        if self._line:
            self._line.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._line:
            self._line.stop()

    def tell(self, event: Begun | Record | Status) -> None:
        """Show it; what stays true is said for good."""
        from rich.text import Text

        from cufft_harness.sampling.status import Status

        passing = isinstance(event, Status)
        if passing and self._line:
            self._line.update(Text(str(event)))
        elif not passing or time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            click.echo(printable(str(event)))
            self._said = time.monotonic()
