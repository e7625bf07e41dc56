"""Readers by what the files are: which file of a folder is the metadata, whose format it is, and its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cufft_harness.audio import SUFFIXES
from cufft_harness.dataset import text as texts
from cufft_harness.dataset.clips import ClipFolder, NoClip
from cufft_harness.dataset.columns import (
    Columns,
    Question,
    Role,
    columns_from_content,
    columns_from_header,
    columns_from_option,
    is_header,
    roles_of_header,
)
from cufft_harness.dataset.rows import Reason, Rejected, Row
from cufft_harness.dataset.tables import Record, delimiter_of, read_lines, split_records
from cufft_harness.dataset.times import looks_timed
from cufft_harness.errors import UserError
from cufft_harness.languages import LANGUAGES, language_code


class Format(Enum):
    """How a data set says which clip says what."""

    LJSPEECH = "ljspeech"
    COQUI = "coqui"
    F5 = "f5"
    AUDIOFOLDER = "audiofolder"
    CSV = "csv"
    TEXTS = "texts"


FORMATS = tuple(one.value for one in Format)


@dataclass
class Part:
    """The rows of one file or folder.

    Attributes:
        files: as they are named in messages.
        words: the format and its columns in words.
    """

    files: str
    format: Format
    words: str
    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def add(self, row: Row, fault: str = "") -> None:
        """Keep a row, or name why it cannot be one."""
        if fault:
            self.rejected.append(Rejected(row, Reason.MALFORMED, fault))
        else:
            self.rows.append(row)


def read_file(file: Path, clips: ClipFolder, language: str, wanted: Format | None, columns: str | None) -> Part:
    """The rows of a metadata file.

    Args:
        file: CSV, TSV, or JSON lines.
        clips: the data set's folder.
        language: of rows that name none.
        wanted: the format, where the user says it.
        columns: what the columns hold, where the user says it.

    Raises:
        Question: it is not clear what the file holds.
        UserError: it cannot be read, or is of another format than the one wanted.
    """
    lines = read_lines(file)
    if not any(line.strip() for line in lines):
        return Part(file.name, wanted or Format.LJSPEECH, "an empty file")
    if file.suffix.lower() in (".jsonl", ".json", ".ndjson"):
        return _read_json_lines(file, lines, clips, language)
    filled = [line for line in lines if line.strip()]
    given = None if columns is None else columns_from_option(columns)
    header = next((one for one in "|\t;," if is_header(_cells(filled[0], one))), None)
    delimiter = header or delimiter_of(lines, len(given) if given else 2)
    if delimiter is None:
        raise Question(file, filled, "no `|`, tab, `;` or `,` separates its columns")
    records = split_records(lines, delimiter, header is not None)
    if header:
        _must_have_header_format(file, wanted)
        names, records = records[0].cells, records[1:]
        roles = given or columns_from_header(file, filled, names, _READ_BY_NAME.get(wanted))
        kind = wanted or _format_of(names)
    else:
        if wanted in (Format.COQUI, Format.AUDIOFOLDER, Format.CSV) and not given:
            raise Question(file, filled, f"--format {wanted.value}, but its first line names no columns")
        roles, records = _headless(file, filled, records, delimiter, given, clips, wanted)
        kind = wanted or Format.LJSPEECH
    shown = f" with {_WORDS[delimiter]}" if delimiter != "|" else ""
    part = Part(file.name, kind, f"columns {', '.join(role.value for role in roles)}{shown}")
    folder = _folder_of(file, clips)
    for record in records:
        _add(part, record, roles, file, folder, language)
    return part


_READ_BY_NAME: dict[Format | None, frozenset[str]] = {
    Format.COQUI: frozenset(["audio_file", "text", "speaker_name", "language"]),
    Format.F5: frozenset(["audio_file", "text"]),
    Format.AUDIOFOLDER: frozenset(
        ["file_name", "text", "transcription", "transcript", "sentence", "language", "speaker"]
    ),
}
"""The columns that the tools of these formats read; said with --format, the others do not matter."""

_WORDS = {"\t": "tabs", ";": "semicolons", ",": "commas"}


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _must_have_header_format(file: Path, wanted: Format | None) -> None:
    if wanted is Format.LJSPEECH:
        raise UserError(f"--format ljspeech, but {file.name} begins with a header.", "Leave out --format.")


def _format_of(names: Sequence[str]) -> Format:
    lower = [name.lower() for name in names]
    if lower == ["audio_file", "text"]:
        return Format.F5
    if "audio_file" in lower and "text" in lower:
        return Format.COQUI
    return Format.AUDIOFOLDER if "file_name" in lower else Format.CSV


def _headless(
    file: Path,
    lines: Sequence[str],
    records: list[Record],
    delimiter: str,
    given: Columns | None,
    clips: ClipFolder,
    wanted: Format | None,
) -> tuple[Columns, list[Record]]:
    folder = _folder_of(file, clips)

    def exists(name: str) -> bool:
        try:
            return clips.find(_beside(folder, name)) is not None
        except NoClip:
            return False

    if given is not None:
        audio = given.index(Role.AUDIO)
        named = [record.cells[audio] for record in records if len(record.cells) > audio]
        if not any(map(exists, named)):
            raise Question(file, lines, f"none of the clips that column {audio + 1} names is in {file.parent}")
        return given, records if exists(named[0]) or not _names_columns(records[0]) else records[1:]
    if delimiter in ",;":
        raise Question(file, lines, f"without a header, {_WORDS[delimiter]} could belong to the sentences")
    third = Role.NORMALIZED if wanted is Format.LJSPEECH else None
    return columns_from_content(file, lines, records, exists, third), records


def _names_columns(record: Record) -> bool:
    return any(role is not None for role in roles_of_header([cell for cell in record.cells if cell]))


def _beside(folder: str, name: str) -> str:
    """A clip's name as seen from the root; names in a subfolder's metadata are relative to that folder."""
    plain = not folder or not name.strip() or Path(name).is_absolute()
    return name if plain else f"{folder}/{name.strip()}"


def _folder_of(file: Path, clips: ClipFolder) -> str:
    """Where a metadata file lies, as seen from the root; empty for the root itself."""
    folder = file.parent.relative_to(clips.root)
    return "" if folder == Path() else folder.as_posix()


def _add(part: Part, record: Record, roles: Columns, file: Path, folder: str, language: str) -> None:
    cells = list(record.cells)
    fault = record.fault
    while len(cells) > len(roles) and not cells[-1]:
        cells.pop()
    by_role = dict(zip(roles, cells, strict=False))
    if len(cells) == len(roles) + 1 and Role.LANGUAGE not in roles and language_code(cells[-1]) in LANGUAGES:
        by_role[Role.LANGUAGE] = cells[-1]
    elif len(cells) > len(roles) and not fault:
        fault = f"{len(cells)} columns where the file has {len(roles)}: is there a separator in the text?"
    required = max(place for place, role in enumerate(roles) if role in (Role.AUDIO, Role.TEXT))
    if len(cells) <= required and not fault:
        fault = f"{len(cells)} columns where the file has {len(roles)}"
    spoken = by_role.get(Role.NORMALIZED) or by_role.get(Role.TEXT) or ""
    row = Row(
        f"{_beside(folder, file.name)}:{record.line}",
        _beside(folder, by_role.get(Role.AUDIO, "")),
        texts.normalize(spoken),
        language_code(by_role.get(Role.LANGUAGE) or language),
        by_role.get(Role.SPEAKER, ""),
    )
    part.add(row, fault)


def _read_json_lines(file: Path, lines: Sequence[str], clips: ClipFolder, language: str) -> Part:
    """Hugging Face's metadata.jsonl, NeMo's manifest: an object a line."""
    part = Part(file.name, Format.AUDIOFOLDER, "JSON lines")
    folder = _folder_of(file, clips)
    roles: dict[str, Role] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UserError(f"{file.name}, line {number}: not a JSON object.", "One object a line is expected.")
        for name in found:
            if name not in roles:
                names = [*roles, name]
                known = columns_from_header(file, [line], names, None)
                roles = dict(zip(names, known, strict=True))
        if not part.rows and not is_header(list(found)):
            raise Question(file, [line], "no key names the clip and its text")
        cells = ["" if found.get(name) is None else found[name] for name in roles]
        nested = [
            name
            for name, cell in zip(roles, cells, strict=True)
            if roles[name] is not Role.IGNORED and isinstance(cell, dict | list)
        ]
        fault = f"`{nested[0]}` is not plain text" if nested else ""
        record = Record(number, tuple(str(cell).strip() for cell in cells), fault)
        _add(part, record, tuple(roles.values()), file, folder, language)
    return part


def read_texts(clips: ClipFolder, language: str) -> Part:
    """A folder of clips with a text file beside each: `a.wav` and `a.txt`, in any depth."""
    part = Part("*.txt", Format.TEXTS, "a text file beside each clip")
    for folder, _, names in sorted(_walk(clips.root)):
        by_stem = {Path(name).stem: name for name in sorted(names) if name.lower().endswith(".txt")}
        for name in sorted(names):
            if not name.lower().endswith(SUFFIXES):
                continue
            clip = (Path(folder) / name).relative_to(clips.root).as_posix()
            text_name = by_stem.get(Path(name).stem)
            if text_name is None:
                part.add(Row(clip, clip, "", language), f"no {Path(name).stem}.txt beside it")
                continue
            file = Path(folder) / text_name
            source = file.relative_to(clips.root).as_posix()
            try:
                lines = read_lines(file)
            except UserError as error:
                part.add(Row(source, clip, "", language), error.message.replace(str(file), "the text"))
                continue
            fault = (
                "the text file holds times, not a text; `cufft-harness data --split` cuts by them"
                if looks_timed(lines)
                else ""
            )
            part.add(Row(source, clip, texts.normalize(" ".join(lines)), language), fault)
    return part


def _walk(root: Path) -> Iterable[tuple[str, list[str], list[str]]]:
    return os.walk(root)
