"""What the readers of every format give: rows, and the rows that could not be read, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cufft_harness.errors import printable


@dataclass(frozen=True)
class Row:
    """One clip and what it says, as the data set's files have it.

    Attributes:
        source: the file's name and the line number, for messages.
        clip: the clip as it is named there, not yet looked for.
        text: what is said, normalized (`text.normalize`).
        language: XTTS language code.
        speaker: who says it; empty where the data set does not tell.
    """

    source: str
    clip: str
    text: str
    language: str
    speaker: str = ""


class Reason(Enum):
    """Why a row is left out, for counting; `Rejected.detail` has the particulars."""

    MALFORMED = "the line cannot be read"
    MISSING = "the clip is not there"
    OUTSIDE = "the clip lies outside the data set"
    AMBIGUOUS = "several files could be the clip"
    UNREADABLE = "the clip cannot be read as audio"
    TOO_SHORT = "the clip is too short"
    TOO_LONG = "the clip is too long"
    SILENT = "the clip is silent"
    CLIPPED = "the clip is clipped"
    TEXT = "the text cannot be used"
    TEXT_LENGTH = "the text has too many tokens"
    VOCABULARY = "the text has characters the model does not know"
    PACE = "the text does not fit the length of the clip"
    DUPLICATE = "the clip is there twice"
    CONTRADICTION = "the clip is there with two texts"


@dataclass(frozen=True)
class Rejected:
    """A row that is left out, and why."""

    row: Row
    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.row.source} {printable(self.row.clip)}: {printable(self.detail)}"


@dataclass(frozen=True)
class DataSet:
    """A data set's folder and its rows.

    Attributes:
        root: the folder that every clip must lie in.
        train: rows to train on; all rows where the data set names none for validation.
        validation: rows to validate on; None: a part of the clips that pass the check is set apart.
        rejected: lines that hold no row.
        description: format, files and language in one line.
    """

    root: Path
    train: list[Row]
    validation: list[Row] | None = None
    rejected: list[Rejected] = field(default_factory=list)
    description: str = ""

    @property
    def rows(self) -> list[Row]:
        """All rows, those to train on first."""
        return [*self.train, *(self.validation or [])]
