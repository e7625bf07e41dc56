"""What each column of a metadata file holds: by its name in a header, by what was said, or by what is in it.

Never by a guess. Where it is not clear, the answer is a question: an error that shows the first lines and names
`--columns`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

from cufft_harness.dataset.tables import Record
from cufft_harness.errors import UserError
from cufft_harness.languages import LANGUAGES, language_code


class Role(Enum):
    """What a column holds; the values are the words of `--columns`."""

    AUDIO = "audio"
    TEXT = "text"
    NORMALIZED = "normalized"
    LANGUAGE = "language"
    SPEAKER = "speaker"
    IGNORED = "-"


Columns = tuple[Role, ...]

_NAMES = {
    Role.AUDIO: "audio audio_file audio_filename audio_path audio_filepath audio_file_path file_name filename file "
    "file_path filepath path wav wavs wav_file wav_filename wav_path clip",
    Role.TEXT: "text transcription transcript sentence transcription_text",
    Role.NORMALIZED: "normalized_text text_normalized normalized_transcription normalized normalised_text",
    Role.LANGUAGE: "language lang locale language_code lang_code language_id",
    Role.SPEAKER: "speaker speaker_name speaker_id client_id spk spk_id voice",
    Role.IGNORED: "emotion emotion_name duration seconds length gender age accent accents up_votes down_votes "
    "variant segment sentence_id sentence_domain sample_rate sampling_rate split index",
}
ROLES = {name: role for role, names in _NAMES.items() for name in names.split()} | {"": Role.IGNORED}
"""Column names of coqui-tts, the XTTS fine-tuning pages, F5-TTS, Hugging Face, Common Voice and NeMo. A nameless one is
the index that pandas writes."""


def roles_of_header(cells: Sequence[str]) -> list[Role | None]:
    """The role of each named column; None where the name is not known."""
    return [ROLES.get(cell.strip().lower().replace(" ", "_").removeprefix("unnamed:_0")) for cell in cells]


def is_header(cells: Sequence[str]) -> bool:
    """Whether a line names columns: one for the clip and one for its text, by names that are known."""
    roles = roles_of_header(cells)
    return Role.AUDIO in roles and (Role.TEXT in roles or Role.NORMALIZED in roles)


class Question(UserError):
    """It is not clear what a file holds: shows the first lines and asks."""

    def __init__(self, file: Path, lines: Sequence[str], problem: str) -> None:
        shown = "; ".join(f"{number}: {line[:80]}" for number, line in enumerate(lines[:3], start=1))
        super().__init__(
            f"{file.name}: {problem}. It begins: {shown}",
            "Say what its columns hold, for example --columns audio,text,speaker (- for one to leave out), "
            "or whose format it is with --format.",
        )


def columns_from_header(file: Path, lines: Sequence[str], cells: Sequence[str], only: frozenset[str] | None) -> Columns:
    """The columns of a file with a header.

    Args:
        file: for messages.
        lines: its first lines, for messages.
        cells: of the header.
        only: names that the format's own tools read, where the user says the format; the others are left out. None:
            every name must be known.

    Raises:
        Question: a name is not known, or two columns could be the clip or the text.
    """
    roles = roles_of_header(cells)
    if only is not None:
        roles = [role if cell.lower() in only else Role.IGNORED for cell, role in zip(cells, roles, strict=True)]
    unknown = [cell for cell, role in zip(cells, roles, strict=True) if role is None]
    if unknown:
        raise Question(file, lines, f"the column `{unknown[0]}` is not known")
    for role, others in ((Role.AUDIO, ()), (Role.TEXT, (Role.NORMALIZED,)), (Role.SPEAKER, ()), (Role.LANGUAGE, ())):
        named = [cell for cell, one in zip(cells, roles, strict=True) if one is role or one in others]
        if len(named) > 1:
            raise Question(file, lines, f"both `{named[0]}` and `{named[1]}` could hold the {role.value}")
    return tuple(role or Role.IGNORED for role in roles)


def columns_from_option(option: str) -> Columns:
    """The columns as `--columns audio,text,-,speaker` says them.

    Raises:
        UserError: a word that is none, or no column for the clip or the text.
    """
    words = [word.strip().lower() for word in re.split(r"[,|]", option)]
    known = {role.value: role for role in Role}
    strange = [word for word in words if word not in known]
    if strange:
        raise UserError(f"--columns: `{strange[0]}` is none of {', '.join(known)}.")
    columns = tuple(known[word] for word in words)
    if columns.count(Role.AUDIO) != 1 or columns.count(Role.TEXT) + columns.count(Role.NORMALIZED) < 1:
        raise UserError("--columns must name one column `audio` and one `text`.")
    if any(columns.count(role) > 1 for role in Role if role is not Role.IGNORED):
        raise UserError("--columns names something twice.")
    return columns


def columns_from_content(
    file: Path, lines: Sequence[str], records: Sequence[Record], exists: Callable[[str], bool], third: Role | None
) -> Columns:
    """The columns of a file without a header: LJSpeech's two or three, or ours with a language.

    Args:
        file: for messages.
        lines: its first lines, for messages.
        records: of the whole file.
        exists: whether a cell names a clip of the data set.
        third: what a third column holds, where the format is given.

    Raises:
        Question: the first column names no clips, or it is not clear what a further one holds.
    """
    widths = [len(record.cells) for record in records]
    count = max(set(widths), key=widths.count)
    while count > 2 and not any(record.cells[count - 1] for record in records if len(record.cells) >= count):
        count -= 1  # a `|` at the end of each line
    rows = [record.cells for record in records if len(record.cells) >= count]
    if count < 2:
        raise Question(file, lines, "it has one column")
    _check_first_column(file, lines, rows, exists)
    if _is_strange_header(rows, exists):
        raise Question(file, lines, "its first line looks like a header whose names are not known")
    if count == 2:
        return (Role.AUDIO, Role.TEXT)
    if count == 3:
        written = [row[2] for row in rows if row[2]]
        if all(language_code(one) in LANGUAGES for one in written):
            return (Role.AUDIO, Role.TEXT, Role.LANGUAGE)
        if third is Role.NORMALIZED or _says_the_same(rows):
            return (Role.AUDIO, Role.TEXT, Role.NORMALIZED)
    raise Question(file, lines, f"it is not clear what column {min(count, 3)} of {count} holds")


def _check_first_column(
    file: Path, lines: Sequence[str], rows: Sequence[Sequence[str]], exists: Callable[[str], bool]
) -> None:
    if any(exists(row[0]) for row in rows):
        return
    for number in range(1, len(rows[0])):
        if any(exists(row[number]) for row in rows[:1000] if len(row) > number):
            raise Question(file, lines, f"column {number + 1} names the clips, column 1 does not")
    raise Question(file, lines, f"none of the clips that it names is in {file.parent}")


def _is_strange_header(rows: Sequence[Sequence[str]], exists: Callable[[str], bool]) -> bool:
    """A first line of words like `wav|phrase`, where the other lines name clips that are there."""
    first, *others = rows
    if not others or exists(first[0]) or not all(re.fullmatch(r"[A-Za-z][A-Za-z _-]{0,30}", cell) for cell in first):
        return False
    return 2 * sum(exists(row[0]) for row in others) > len(others)


def _says_the_same(rows: Sequence[Sequence[str]]) -> bool:
    """Whether column 3 is column 2 with numbers written out: most words of nearly all lines are the same."""
    sample = rows[:: max(1, len(rows) // 500)]
    return sum(_overlap(row[1], row[2]) >= 0.5 for row in sample) >= 0.8 * len(sample)


def _overlap(one: str, other: str) -> float:
    """Share of the words (or, where no spaces divide them, letters) that two texts have in common."""
    if not other:
        return 1.0  # LJSpeech leaves it empty where nothing changes
    first, second = (re.findall(r"\w+", text.casefold()) for text in (one, other))
    if len(first) <= 1 and len(second) <= 1:
        first, second = list("".join(first)), list("".join(second))
    common = sum(min(first.count(word), second.count(word)) for word in set(first))
    return common / max(len(first), len(second), 1)
