"""One output directory, one voice: what a run trains on is kept beside its checkpoints, and compared when it goes on.

A second voice on top of the first would neither be heard as an error nor be undone. A data set is known by its clips,
not by its path or metadata: it may be moved, mended and added to, and a tool that always writes to the same folder is
found out.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from pathlib import Path
from typing import Any

from cufft_harness.dataset.clips import ClipFolder, NoClip
from cufft_harness.dataset.rows import DataSet
from cufft_harness.errors import UserError
from cufft_harness.files import sha256_of, write_atomically
from cufft_harness.training.settings import Settings

FILE = "trained_on.json"
REMEMBERED = 32
"""Clips by which a data set is known again."""
LEAST_IN_COMMON = 0.1
"""Of the remembered clips, so many must still be there; a set that was mended keeps most, another one has none."""


def check_same(output: Path, settings: Settings, data: DataSet) -> None:
    """Refuse to go on in a directory whose checkpoints were trained on other clips.

    Args:
        output: the run's directory; need not exist.
        settings: what is wanted now.
        data: the rows that would be trained on.

    Raises:
        UserError: it was another data set, and `continue_with` is not said; names both.
    """
    before = _read(output / FILE)
    if before is None or settings.continue_with or not any((output / "checkpoints").glob("*.pt")):
        return
    clips: dict[str, str] = before["clips"]
    now = set(_remembered(data).values())
    there = sum(digest in now or _digest(data.root / name) == digest for name, digest in clips.items())
    if there < max(1.0, LEAST_IN_COMMON * len(clips)) and clips:
        raise UserError(
            f"the run in {output} was trained on {before['data']}, and {data.root.resolve()} has {there} of the "
            f"{len(clips)} clips looked for: another data set.",
            "Give another --output; or --continue-with, if one is to be trained on top of the other.",
        )


def remember(output: Path, data: DataSet) -> None:
    """Write down what is trained on from here on.

    Raises:
        OSError: the disk did not take it.
    """
    known = {"data": str(data.root.resolve()), "clips": _remembered(data)}
    write_atomically(output / FILE, json.dumps(known, indent=1))


def _read(file: Path) -> dict[str, Any] | None:
    """What was written down; None for a run of an older release, or a file that somebody damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        whole = isinstance(found["clips"], dict) and isinstance(found["data"], str)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if whole else None


def _remembered(data: DataSet) -> dict[str, str]:
    """The clips with the smallest hashes of their names, and the digests of their bytes."""
    folder = ClipFolder(data.root)
    smallest = heapq.nsmallest(REMEMBERED, {row.clip for row in data.rows}, key=_hash)
    found: dict[str, str] = {}
    for name in smallest:
        try:
            path = folder.find(name)
        except (NoClip, OSError):
            continue
        digest = _digest(path)
        if digest is not None:
            found[path.relative_to(data.root).as_posix()] = digest
    return found


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


def _digest(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None
