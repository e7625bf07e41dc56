"""Labelled reports: facts and short quotes of public threads, each with its address and what the thread established.

id          name of the case
url         the thread
label       the cause that the thread established; `acceptable` are others that fit what the report shows
confidence  how sure the label is; "low" ones are counted apart
basis       why this label
log         what is given to `diagnose`
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "cases"
_THIRDS = 3


@dataclass(frozen=True)
class Case:
    """One labelled report."""

    id: str
    url: str
    label: str
    acceptable: frozenset[str]
    confidence: str
    log: str

    @property
    def established(self) -> bool:
        """The thread says what it was, rather than leaving it open."""
        return self.confidence != "low"

    @property
    def part(self) -> str:
        """Two thirds of the threads, "seen", may be looked at when rules are written; "kept" ones are only scored."""
        digest = hashlib.sha256(self.url.encode()).hexdigest()
        return "kept" if int(digest, 16) % _THIRDS == 0 else "seen"


def load(folder: Path = FOLDER) -> Iterator[Case]:
    """All cases of a folder, by name."""
    for path in sorted(folder.glob("*.yaml")):
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))
        good = frozenset([entry["label"], *entry.get("acceptable", ())])
        yield Case(entry["id"], entry["url"], entry["label"], good, entry["confidence"], entry["log"])
