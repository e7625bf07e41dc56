"""The folder in which guarded processes leave their accounts; one that a killed run left is removed by the next."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "cufft-harness-run-"
_NAME = re.compile(re.escape(_PREFIX) + r"(\d+)-\w+")


@contextlib.contextmanager
def accounts_folder() -> Iterator[Path]:
    """A folder of this run alone; those that killed runs left behind are removed."""
    _remove_left(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(place: Path) -> None:
    """Remove folders of ours whose process is gone. A number that was given to another process since is left alone."""
    for folder in place.glob(f"{_PREFIX}*"):
        name = _NAME.fullmatch(folder.name)
        if name is None or folder.is_symlink() or not _is_ours(folder):
            continue
        try:
            os.kill(int(name.group(1)), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except (OSError, AttributeError):  # gone meanwhile; Windows has no user numbers
        return False
