"""Files that are either whole or not there: temporary name, flush, rename; and JSON lines that survive a crash.

A power cut takes what was not flushed: the content of a file, and apart from it the name in its folder. So whoever
makes a file flushes both, and whoever makes a folder flushes the folder above it (fsync(2): flushing a file "does not
necessarily ensure that the entry in the directory containing the file has also reached disk").
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cufft_harness.errors import HarnessError, UserError

PARTIAL = ".partial"


def expanded(path: Path) -> Path:
    """The path with a leading ``~`` or ``~user`` replaced by the home directory.

    Raises:
        UserError: there is no such user, or no home.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: there is no such home directory.") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing; it and the names in it survive a power cut from here on.

    What is there already is flushed, too: whoever made it may have been killed before it came to that.

    Raises:
        OSError: it cannot be made, or a file has its name.
    """
    missing = [part for part in (folder, *folder.parents) if not part.is_dir()]
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        flush_folder(part.parent)
    if not missing:
        flush_folder(folder.parent)
        flush_folder(folder)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed to disk and renamed to `path`, on failure removed.

    The rename is atomic because both names are in one directory. The directory is flushed too, so that the new name
    survives a power cut. The temporary name is this thread's own: two writers of one file cannot mix their bytes.

    Raises:
        OSError: as the disk reports it, a full one in plain words, also where the library that wrote had other words
            for it (PyTorch: "unexpected pos 64 vs 0"); `path` is then what it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}{PARTIAL}")
    temporary.unlink(missing_ok=True)  # what a killed writer left may be a second name of a file that is good
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    except BaseException as error:
        refusal = error if isinstance(error, OSError) else _refusal(temporary, error)
        with suppress(OSError):  # what went wrong first is what the caller has to know
            temporary.unlink(missing_ok=True)
        if refusal is not None:
            raise plainly(refusal, path) from error
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left half written in `folder`; to be called where nobody else writes there."""
    for leftover in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError):  # it costs room, nothing else
            leftover.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a small file whole, as `atomic_path` does; text is UTF-8, and a lone surrogate in it is written escaped."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _refusal(path: Path, error: BaseException) -> OSError | None:
    """What the disk says when asked to make a file longer; None if it does so."""
    if not isinstance(error, Exception) or isinstance(error, HarnessError):
        return None
    try:
        with path.open("ab") as stream:
            stream.write(bytes(1 << 16))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as refusal:
        return refusal
    return None


_PLAIN = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files may not grow that large here",
    errno.EROFS: "the disk is read-only",
}


def plainly(error: OSError, path: Path) -> OSError:
    """The same error with the words of a user before the system's, where the disk is what failed; names `path`."""
    words = _PLAIN.get(error.errno or 0)
    if words is None or str(error.strerror).startswith(words):
        return error
    return OSError(error.errno, f"{words} ({error.strerror})", str(path))


def flush(path: Path) -> None:
    """Ask the system to put a file's content on disk now (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_CANNOT_FLUSH_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR})
"""How a file system says that a folder cannot be opened or flushed as a file is: some network ones, Windows."""


def flush_folder(folder: Path) -> None:
    """Put the names in a folder on disk now; a file system that cannot do that keeps them as it keeps them.

    Raises:
        OSError: the disk failed, or the folder is gone.
    """
    try:
        flush(folder)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def append_json_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record as one line and flush it, so that a crash loses at most the line being written.

    A half line left by an earlier crash is closed first, so that it cannot swallow this one.
    """
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace") + b"\n"
    with path.open("ab+") as stream:
        new = not stream.tell()
        if not new and not _ends_with_newline(path):
            stream.write(b"\n")
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())
    if new:
        flush_folder(path.parent)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All whole records of a JSON lines file; lines that a crash cut short are left out. A missing file has none."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # a text may hold other line ends
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
