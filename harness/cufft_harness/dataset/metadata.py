"""A data set, read from the files of a folder: which of them is the metadata, in whose format, and is it plausible."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

from cufft_harness.dataset.clips import ClipFolder
from cufft_harness.dataset.formats import FORMATS, Format, Part, read_file, read_texts
from cufft_harness.dataset.plausible import check_texts
from cufft_harness.dataset.rows import DataSet, Row
from cufft_harness.errors import UserError
from cufft_harness.languages import DEFAULT, language_code, written_language

__all__ = ["FORMATS", "DataSet", "Row", "built_in", "read_data_set", "split"]

VALIDATION = ("val", "eval", "validation", "valid", "dev")
"""What tools call the part that validates; `eval` is coqui's."""
ENDINGS = (".csv", ".tsv", ".txt", ".jsonl")

T = TypeVar("T")


def built_in() -> Path:
    """The folder of the sentences that come with the package."""
    return Path(str(resources.files("cufft_harness") / "dataset" / "speech"))


def read_data_set(
    path: Path | None, language: str | None = None, *, format: str | None = None, columns: str | None = None
) -> DataSet:
    """Read the metadata of a data set; no clip is opened.

    Args:
        path: the folder, or one metadata file in it; None is the built-in data.
        language: of rows that name none. None: as the data set's lang.txt says, or `languages.DEFAULT`.
        format: one of `FORMATS`, where the user says it.
        columns: what the columns hold (`audio,text,-,speaker`), where the user says it.

    Returns:
        Its rows; `validation` is None where the data set does not say which rows validate.

    Raises:
        UserError: there is no data set, it cannot be read, it is not clear what it holds, or what it holds cannot
            be the texts of its clips.
    """
    path = built_in() if path is None else path.expanduser()
    wanted = Format(format) if format else None
    first: Path | None
    second: Path | None
    if path.is_file():
        root, first, second = path.parent, path, None
    elif path.is_dir():
        root, (first, second) = path, _metadata_of(path, wanted)
    else:
        raise UserError(f"no data set at {path}.", "Give --data a folder with metadata.csv and wavs/.")
    clips = ClipFolder(root)
    language, source = _language_of(root, language)

    def read(file: Path) -> Part:
        return read_file(file, clips, language, wanted, columns)

    train = read_texts(clips, language) if first is None else read(first)
    validation = read(second) if second is not None else None
    if first is None and not train.rows and not columns:
        raise _nothing_in(root, train)
    rows = [*train.rows, *(validation.rows if validation else [])]
    named = train.files if validation is None else f"{train.files} and {validation.files}"
    check_texts(rows, named)
    found = f"{train.format.value} ({named}: {train.words}), {len(rows)} rows, language {_languages(rows)}{source}"
    rejected = [*train.rejected, *(validation.rejected if validation else [])]
    # coqui's tools write an empty metadata_eval.csv where there are few rows
    return DataSet(root, train.rows, validation.rows if validation and validation.rows else None, rejected, found)


def _metadata_of(root: Path, wanted: Format | None) -> tuple[Path | None, Path | None]:
    """The metadata file and the one that validates; None and None for texts beside clips."""
    if wanted is Format.TEXTS:
        return None, None
    by_name = {file.name.lower(): file for file in sorted(root.iterdir()) if file.is_file()}
    pairs = [
        (by_name[f"metadata_train{ending}"], by_name[f"metadata_{part}{ending}"])
        for ending in ENDINGS
        for part in VALIDATION
        if f"metadata_train{ending}" in by_name and f"metadata_{part}{ending}" in by_name
    ]
    folders = [
        (root / "train" / f"metadata{ending}", root / part / f"metadata{ending}")
        for ending in ENDINGS
        for part in (*VALIDATION, "test")
        if (root / "train" / f"metadata{ending}").is_file() and (root / part / f"metadata{ending}").is_file()
    ]
    singles = [
        by_name[name]
        for stem in ("metadata", "metadata_train")
        for ending in ENDINGS
        if (name := stem + ending) in by_name
    ]
    alone = [file for ending in ENDINGS if (file := root / "train" / f"metadata{ending}").is_file()]
    for choices in (pairs, [(one, None) for one in singles], folders, [(one, None) for one in alone]):
        if len(choices) > 1:
            names = [one.relative_to(root).as_posix() for choice in choices for one in choice if one is not None]
            raise UserError(
                f"{root} has several metadata files: {', '.join(dict.fromkeys(names))}.",
                f"Say which, for example --data {root / names[0]}.",
            )
        if choices:
            return choices[0]
    return None, None


def _nothing_in(root: Path, texts: Part) -> UserError:
    """The error for a folder without metadata and without texts beside clips; names what could have been meant."""
    tables = sorted(
        file.relative_to(root).as_posix()
        for pattern in ("*", "*/*")
        for file in root.glob(pattern)
        if file.suffix.lower() in (".csv", ".tsv", ".jsonl") and file.is_file()
    )
    if tables:
        return UserError(
            f"{root} has neither metadata.csv nor metadata_train.csv, but {', '.join(tables[:3])}.",
            f"If that is it: --data {root / tables[0]}.",
        )
    if texts.rejected:
        return UserError(
            f"{root} has {len(texts.rejected)} clips, but neither metadata.csv nor texts beside them "
            f"({texts.rejected[0].row.source}: {texts.rejected[0].detail}).",
            "Long recordings with SRT, VTT, TextGrid or whisper's JSON: `cufft-harness data --split`.",
        )
    return UserError(
        f"{root} has neither metadata.csv nor clips with texts beside them.",
        "A line of metadata.csv is `wavs/name.wav|what is said`.",
    )


def _language_of(root: Path, wanted: str | None) -> tuple[str, str]:
    """The language of rows that name none, and where it comes from."""
    written = written_language(root)
    if written is None:
        return language_code(wanted or DEFAULT), ""
    if wanted is not None and language_code(wanted) != written:
        raise UserError(f"{root / 'lang.txt'} says `{written}`, --language says `{wanted}`.", "Mend one of them.")
    return written, " (lang.txt)"


def _languages(rows: Sequence[Row]) -> str:
    counts = Counter(row.language for row in rows)
    return ", ".join(code for code, _ in counts.most_common()) or "unknown"


def split(items: Sequence[T], row_of: Callable[[T], tuple[str, str]], fraction: float) -> tuple[list[T], list[T]]:
    """Split into training and validation by a hash of each; of two or more, both sides get at least one.

    Args:
        items: what to split.
        row_of: an item's clip and text, which alone decide, so that adding items moves no other one.
        fraction: share that validates.
    """

    def place(item: T) -> str:
        return hashlib.sha256("|".join(row_of(item)).encode(errors="replace")).hexdigest()

    places = [place(item) for item in items]
    validates = [int(one[:8], 16) < fraction * 2**32 for one in places]
    by_hash = sorted(range(len(items)), key=places.__getitem__)
    if len(items) > 1 and not any(validates):
        validates[by_hash[0]] = True
    if len(items) > 1 and all(validates):
        validates[by_hash[-1]] = False
    return (
        [item for item, chosen in zip(items, validates, strict=True) if not chosen],
        [item for item, chosen in zip(items, validates, strict=True) if chosen],
    )
