"""One run in a directory at a time: two would overwrite each other's checkpoints."""

from __future__ import annotations

import errno
import logging
import os
import platform
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cufft_harness.errors import MachineError, UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL})
"""How a file system says that it knows no locks (some network and user-space ones)."""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})


@dataclass(frozen=True)
class OutputLock:
    """The lock of one folder, held.

    Attributes:
        path: the lock file's name.
        descriptor: of the file, as it was opened.
        text: what this process wrote into it, unlike any other's.
        locked: the system keeps others out. Where it cannot, who comes last is known by its text.
    """

    path: Path
    descriptor: int
    text: str
    locked: bool

    def check(self) -> None:
        """See whether the folder of this name is still the one that was locked; to be asked before each write.

        Raises:
            MachineError: it was moved, removed or made anew, or somebody else has begun in it.
        """
        try:
            now, mine = self.path.stat(follow_symlinks=False), os.fstat(self.descriptor)
            same = (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)
            if not self.locked:
                same = self.path.read_text(errors="replace") == self.text
        except OSError as error:
            if error.errno not in _GONE:
                raise
            same = False
        if not same:
            raise MachineError(
                f"{self.path.parent} is not the folder any more that this run began in: it was moved, removed or made "
                "anew, or another run has begun there.",
                "Nothing was written into it since; what was saved before is where the folder is now.",
            )


@contextmanager
def output_lock(folder: Path) -> Iterator[OutputLock]:
    """Hold `folder/.lock` for the time of the body. The system lets go of it when the process ends, however it ends.

    Raises:
        UserError: another run holds it, or a file of that name is no lock.
    """
    path = folder / ".lock"
    descriptor = _open(path)
    try:
        locked = _lock(descriptor, path)
        text = f"process {os.getpid()} on {platform.node()}, {secrets.token_hex(8)}"
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode(errors="replace"))
        yield OutputLock(path, descriptor, text, locked)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the lock file and nothing else: what is written into it must reach no other file, through no link."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise UserError(f"cannot lock {path}: {error.strerror}.", "Give another --output.") from error
        raise UserError(f"{path} is no lock file.", "Remove it, or give another --output.") from error
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
        os.close(descriptor)
        raise UserError(f"{path} is no lock file.", "Remove it, or give another --output.")
    return descriptor


def _lock(descriptor: int, path: Path) -> bool:
    """Lock the file; False where neither the system nor the file system can, which the log says."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError as error:
        holder = os.read(descriptor, 200).decode(errors="replace").partition(",")[0] or "another process"
        raise UserError(
            f"a run is under way in {path.parent} ({holder}).", "Wait for it, or give another --output."
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    log.warning("the disk of %s knows no locks: do not start two runs in it at once", path.parent)
    return False
