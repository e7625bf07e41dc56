"""Documents of a fleet from files or one stream: what is damaged is counted; of duplicates the latest counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cufft_harness.errors import UserError
from cufft_harness.fleet.document import Document, NotADocument, from_dict

_LONGEST_LINE = 1 << 20


@dataclass
class Fleet:
    """The latest document of every GPU.

    Attributes:
        documents: by host and GPU.
        left_out: why what was read is no document, and how often; one line each.
        replaced: documents that a later one of the same GPU took the place of.
    """

    documents: dict[tuple[str, str], Document] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    replaced: int = 0

    def take(self, text: str) -> None:
        """One JSON value, or the list of them that `check --json` prints."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            self.left_out["cut off, or no JSON"] += 1
            return
        for entry in value if isinstance(value, list) else [value]:
            try:
                self._keep(from_dict(entry))
            except NotADocument as problem:
                self.left_out[str(problem)] += 1

    def _keep(self, document: Document) -> None:
        key = (document.host, document.gpu or str(document.index))
        known = self.documents.get(key)
        if known is not None:
            self.replaced += 1
        if known is None or document.time >= known.time:
            self.documents[key] = document


def read(source: str, stream: Iterable[str]) -> Fleet:
    """All documents below a folder, in one file, or, for "-", in `stream`.

    A file holds one JSON value, or one a line. Links out of the folder are followed, as a folder gathered from many
    machines may hold them.

    Raises:
        UserError: there is no such file or folder.
    """
    fleet = Fleet()
    if source == "-":
        _take_lines(fleet, stream)
        return fleet
    path = Path(source)
    if not path.exists():
        raise UserError(f"no documents at {path}.", "`cufft-harness check --json` writes them.")
    for file in _files(path):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fleet.left_out[f"cannot be read ({type(error).__name__})"] += 1
            continue
        if "\n{" in text.strip():
            _take_lines(fleet, text.splitlines())
        else:
            fleet.take(text)
    return fleet


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in path.rglob("*.json*") if file.is_file())


def _take_lines(fleet: Fleet, lines: Iterable[str]) -> None:
    for line in lines:
        if len(line) > _LONGEST_LINE:
            fleet.left_out["a line of over a megabyte"] += 1
        elif line.strip():
            fleet.take(line)
