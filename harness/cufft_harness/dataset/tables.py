"""Delimited text as people's tools write it: records with their line numbers, and the lines that are none.

Two habits of writing are told apart. Tools that write `|` or tabs put one record on a line; with a header line they
come from a CSV writer that quotes (pandas, coqui), without one from LJSpeech's kin, where a quote is a quote. Commas
and semicolons stand in sentences too, so those files need a header and whole CSV quoting.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from cufft_harness.audio import SUFFIXES
from cufft_harness.errors import UserError

DELIMITERS = "|\t;,"
"""In the order in which they are believed: sentences hold no `|` and no tabs, some semicolons, many commas."""


@dataclass(frozen=True)
class Record:
    """One line, or one CSV record over several lines.

    Attributes:
        line: its number in the file, from 1.
        cells: its columns, spaces around them removed.
        fault: why it cannot be read; then `cells` holds what is there.
    """

    line: int
    cells: tuple[str, ...]
    fault: str = ""


def read_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 file, ended as Unix, Windows or old Macs end them.

    A text may hold other characters that Python counts as line ends (U+2028, U+0085); they end no line here.

    Raises:
        UserError: not UTF-8, or not text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UserError(
            f"{file} holds NUL characters (line {line}): it is damaged or not UTF-8 text.", "Save it as UTF-8."
        )
    return text.split("\n")  # read_text has made \r\n and \r to \n


def delimiter_of(lines: list[str], columns: int = 2) -> str | None:
    """What separates the columns: the first of `|`, tab, `;` and `,` that more than half of the lines hold.

    Args:
        lines: of the file.
        columns: a line has at least this many.
    """
    filled = [line for line in lines if line.strip()]
    for one in DELIMITERS:
        if 2 * sum(line.count(one) >= columns - 1 for line in filled) > len(filled):
            return one
    return None


def split_records(lines: list[str], delimiter: str, has_header: bool) -> list[Record]:
    """All records of a file that are not empty.

    Args:
        lines: of the file, as `read_lines` gives them.
        delimiter: one of `DELIMITERS`.
        has_header: the first line names the columns; says how quotes are meant (see the module).

    Raises:
        UserError: the quoting is broken, so where a record ends is not known.
    """
    if delimiter in ",;":
        return _quoted_records(lines, delimiter)
    records = [
        Record(number, tuple(cell.strip() for cell in line.split(delimiter)))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not has_header:
        return records
    count = len(_without_empty_end(records[0].cells))
    return [_unquoted(record, lines[record.line - 1], delimiter, count) for record in records]


def _without_empty_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _unquoted(record: Record, line: str, delimiter: str, count: int) -> Record:
    """The record as a CSV reader sees it, where its line was written by a CSV writer.

    A line that has the right number of columns only if its quotes mean nothing was written without quoting; one that
    has it only if they do was written with it. Where the readings disagree and neither is the file's, it is a fault.
    """
    if '"' not in line:
        return record
    try:
        (parsed,) = csv.reader([line], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        parsed = None
    plain = len(_without_empty_end(record.cells)) == count
    if parsed is not None and len(_without_empty_end(tuple(parsed))) == count:
        return Record(record.line, tuple(cell.strip() for cell in parsed))
    if plain and parsed is None:
        return record
    return Record(record.line, record.cells, "the quotes in this line do not fit its columns")


def _quoted_records(lines: list[str], delimiter: str) -> list[Record]:
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, strict=True, skipinitialspace=True)
    records = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                fault = "quoted text that runs on into another row" if any(map(_holds_a_row, cells)) else ""
                records.append(Record(line, tuple(cell.strip() for cell in cells), fault))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"the record that begins in line {line} cannot be read: {error}.", "Look at its quotes."
        ) from error
    return records


_ROW_INSIDE = re.compile(rf"\n[^\n]*({'|'.join(map(re.escape, SUFFIXES))})\b", re.IGNORECASE)


def _holds_a_row(cell: str) -> bool:
    """A quote that was never closed swallows the lines after it; a clip's name in them gives it away."""
    return _ROW_INSIDE.search(cell) is not None
