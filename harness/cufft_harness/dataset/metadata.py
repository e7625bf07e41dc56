"""The data set's own files: LJSpeech layout, `wavs/name.wav|text`, one clip a line.

Accepted variations, so that data made for other tools works as it is: LJSpeech's `name|text|normalised text` (no suffix
means `wavs/name.wav`), and a third column holding a language code (`wavs/a.wav|Olá.|pt`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from cufft_harness.audio import SUFFIXES
from cufft_harness.errors import UserError

LANGUAGES = frozenset(
    ["en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi"]
)
"""The languages of XTTS-v2 (`XttsConfig.languages`)."""


@dataclass(frozen=True)
class Row:
    """One line of a metadata file.

    Attributes:
        source: the metadata file's name and the line number, for messages.
        clip: the clip as the line names it, not yet checked.
        text: what is said.
        language: XTTS language code.
    """

    source: str
    clip: str
    text: str
    language: str


@dataclass(frozen=True)
class DataSet:
    """A data set's folder and its rows, as written."""

    root: Path
    train: list[Row]
    validation: list[Row]


def built_in() -> Path:
    """The folder of the sentences that come with the package."""
    return Path(str(resources.files("cufft_harness") / "dataset" / "speech"))


def read_data_set(root: Path | None, language: str, validation_fraction: float) -> DataSet:
    """Read metadata_train.csv and metadata_val.csv, or split metadata.csv; None is the built-in data.

    The split depends on each row's own text and clip name alone, so adding rows moves no other row to the other side.

    Raises:
        UserError: the folder or its metadata is missing or not text.
    """
    root = built_in() if root is None else root.expanduser()
    if not root.is_dir():
        raise UserError(f"no data set at {root}.", "Give --data a folder with metadata_train.csv and wavs/.")
    train, validation, plain = (root / f"metadata{part}.csv" for part in ("_train", "_val", ""))
    if train.is_file() and validation.is_file():
        return DataSet(root, _read(train, language), _read(validation, language))
    single = next((file for file in (plain, train) if file.is_file()), None)
    if single is None:
        raise UserError(
            f"{root} has neither metadata_train.csv and metadata_val.csv nor metadata.csv.",
            "Each line is `wavs/name.wav|what is said`.",
        )
    return DataSet(root, *split(_read(single, language), validation_fraction))


def split(rows: list[Row], fraction: float) -> tuple[list[Row], list[Row]]:
    """Split rows into training and validation by a hash of each; of two rows or more, both sides get at least one."""

    def place(row: Row) -> str:
        return hashlib.sha256(f"{row.clip}|{row.text}".encode()).hexdigest()

    validation = {id(row) for row in rows if int(place(row)[:8], 16) < fraction * 2**32}
    by_hash = sorted(rows, key=place)
    if len(rows) > 1 and not validation:
        validation = {id(by_hash[0])}
    if len(rows) > 1 and len(validation) == len(rows):
        validation.discard(id(by_hash[-1]))
    return [row for row in rows if id(row) not in validation], [row for row in rows if id(row) in validation]


def _read(file: Path, language: str) -> list[Row]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8.") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, text, third, *_rest = (column.strip() for column in (line + "||").split("|"))
        own_language = third if third in LANGUAGES else language
        if third and third not in LANGUAGES:
            text = third  # LJSpeech's normalised text
        if name and not name.lower().endswith(SUFFIXES):
            name = f"wavs/{name}.wav"
        rows.append(Row(f"{file.name}:{number}", name, text, own_language))
    return rows
