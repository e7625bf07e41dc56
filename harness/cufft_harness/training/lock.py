"""One run in a directory at a time: two would overwrite each other's checkpoints."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cufft_harness.errors import UserError


@contextmanager
def output_lock(folder: Path) -> Iterator[None]:
    """Hold `folder/.lock` for the time of the body. The system lets go of it when the process ends, however it ends.

    Raises:
        UserError: another run holds it.
    """
    with (folder / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise UserError(
                f"a run is under way in {folder} ({holder}).", "Wait for it, or give another --output."
            ) from error
        stream.truncate(0)
        stream.write(f"process {os.getpid()}")
        stream.flush()
        yield
