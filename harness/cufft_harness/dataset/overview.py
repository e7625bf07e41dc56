"""What would be trained on, seen from the headers of the clips alone: no sample is decoded and no model is loaded."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cufft_harness.audio import AudioError, read_header
from cufft_harness.dataset import text as texts
from cufft_harness.dataset.audit import BadRow, check_length, parts, without_duplicates
from cufft_harness.dataset.clips import ClipFolder, NoClip
from cufft_harness.dataset.plausible import check_pace
from cufft_harness.dataset.rows import DataSet, Reason, Rejected, Row
from cufft_harness.errors import printable
from cufft_harness.languages import EXTRAS, LANGUAGES

EXAMPLES = 10
TOGETHER = 200
"""Rows that a thread takes at a time; handing over single ones costs as much as reading a header."""


@dataclass(frozen=True)
class Heard:
    """A row whose clip is there and may be used, as far as its header tells.

    Attributes:
        seconds: length of the clip.
    """

    row: Row
    path: Path
    seconds: float


@dataclass(frozen=True)
class Overview:
    """A data set before training.

    Attributes:
        data: the rows, as they were read.
        train: what would be trained on.
        validation: what would be validated on.
        rejected: rows left out, each with its reason.
    """

    data: DataSet
    train: list[Heard]
    validation: list[Heard]
    rejected: list[Rejected]

    @property
    def clips(self) -> list[Heard]:
        """All that would be used."""
        return [*self.train, *self.validation]

    @property
    def seconds(self) -> float:
        """Length of all clips that would be used."""
        return sum(one.seconds for one in self.clips)

    def histogram(self) -> list[tuple[int, int]]:
        """Whole seconds and how many clips last from there to the next, from the shortest to the longest."""
        counts = Counter(int(one.seconds) for one in self.clips)
        return [(second, counts[second]) for second in range(min(counts), max(counts) + 1)] if counts else []

    def languages(self) -> Counter[str]:
        """How many clips of each language would be used."""
        return Counter(one.row.language for one in self.clips)

    def speakers(self) -> Counter[str]:
        """How many clips of each speaker would be used; empty where the data set names none."""
        return Counter(one.row.speaker for one in self.clips if one.row.speaker)

    def reasons(self) -> list[tuple[str, int, Rejected]]:
        """Why rows are left out, how many for each reason, and the first of them; the commonest reason first."""
        firsts: dict[Reason, Rejected] = {}
        for one in self.rejected:
            firsts.setdefault(one.reason, one)
        counts = Counter(one.reason for one in self.rejected)
        return [(reason.value, count, firsts[reason]) for reason, count in counts.most_common()]

    def examples(self) -> list[Heard]:
        """Ten clips, spread evenly over the data set."""
        clips = sorted(self.clips, key=lambda one: one.row.source)
        return (
            [clips[number * len(clips) // EXAMPLES] for number in range(EXAMPLES)] if len(clips) > EXAMPLES else clips
        )

    def notes(self) -> list[str]:
        """What training would stumble over."""
        notes = []
        for language in self.languages():
            package, extra = EXTRAS.get(language, ("", ""))
            if language not in LANGUAGES:
                notes.append(f"`{language}` is no language of XTTS-v2 ({', '.join(sorted(LANGUAGES))})")
            elif package and importlib.util.find_spec(package) is None:
                notes.append(f"text in `{language}` needs {package}: pip install 'coqui-tts[{extra}]'")
        if self.clips and not (self.train and self.validation):
            notes.append("at least two good clips are needed, one of them to validate on")
        return notes

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, seconds with two decimals."""
        return {
            "path": str(self.data.root),
            "description": self.data.description,
            "rows": len(self.data.rows) + len(self.data.rejected),
            "train": len(self.train),
            "validation": len(self.validation),
            "hours": round(self.seconds / 3600, 4),
            "durations": [{"seconds": second, "clips": count} for second, count in self.histogram()],
            "languages": dict(self.languages()),
            "speakers": dict(self.speakers()),
            "left_out": [
                {"reason": reason, "rows": count, "first": str(first)} for reason, count, first in self.reasons()
            ],
            "examples": [
                {
                    "clip": one.row.clip,
                    "seconds": round(one.seconds, 2),
                    "language": one.row.language,
                    "text": one.row.text,
                }
                for one in self.examples()
            ],
            "notes": self.notes(),
        }


def look(
    data: DataSet, max_seconds: float, validation_fraction: float, progress: Callable[[int], None] | None = None
) -> Overview:
    """Look at every row and at the header of its clip.

    Args:
        data: the rows.
        max_seconds: the longest clip that is used.
        validation_fraction: share that validates, where the data set does not say which do.
        progress: called with 1 for each row.

    Raises:
        UserError: most texts do not fit their clips.
    """
    clips = ClipFolder(data.root)
    paces: list[tuple[Row, float]] = []

    def check(row: Row) -> Heard | Rejected:
        try:
            return _heard(row, clips, max_seconds, paces)
        except (BadRow, NoClip) as error:
            return Rejected(row, error.reason, error.detail)
        except AudioError as error:
            return Rejected(row, Reason.UNREADABLE, str(error))
        except OSError as error:
            return Rejected(row, Reason.UNREADABLE, f"unreadable: {error.strerror or error}")

    def check_all(rows: Sequence[Row]) -> list[Heard | Rejected]:
        results = list(map(check, rows))
        if progress is not None:
            progress(len(rows))
        return results

    rows = [*(data.validation or []), *data.train]
    some = [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
    with ThreadPoolExecutor(8) as pool:  # a disk answers several questions at once
        results = [result for part in pool.map(check_all, some) for result in part]
    check_pace(paces)
    kept, bad = without_duplicates(results, lambda one: str(one.path))
    return Overview(data, *parts(kept, data, validation_fraction), [*data.rejected, *bad])


def _heard(row: Row, clips: ClipFolder, max_seconds: float, paces: list[tuple[Row, float]]) -> Heard:
    fault = texts.fault(row.text)
    if fault:
        raise BadRow(Reason.TEXT, fault)
    path = clips.find(row.clip)
    seconds = read_header(path).seconds
    check_length(seconds, max_seconds)
    paces.append((row, seconds))
    misfit = texts.does_not_fit(row.text, seconds)
    if misfit:
        raise BadRow(Reason.PACE, misfit)
    return Heard(row, path, seconds)


def show(overview: Overview) -> str:
    """The overview for people, a few dozen lines."""
    lengths = [one.seconds for one in overview.clips]
    lines = [
        f"data set   {overview.data.root}",
        f"read as    {overview.data.description}",
        f"rows       {len(overview.data.rows) + len(overview.data.rejected)}: {len(overview.train)} to train on, "
        f"{len(overview.validation)} to validate on, {len(overview.rejected)} left out",
    ]
    if lengths:
        average = overview.seconds / len(lengths)
        lines += [
            f"length     {_duration(overview.seconds)} in clips of {min(lengths):.1f} to {max(lengths):.1f} s, "
            f"{average:.1f} s on average",
            f"languages  {_counts(overview.languages())}",
            f"speakers   {_counts(overview.speakers()) or 'none named'}",
            "",
            "how many clips have which length",
            *_bars(overview.histogram()),
        ]
    if overview.rejected:
        lines += ["", "left out"]
        lines += [f"  {count:>6}  {reason}; the first: {first}" for reason, count, first in overview.reasons()]
    if overview.clips:
        lines += ["", "texts beside their clips"]
        lines += [
            f"  {printable(one.row.clip)}  {one.seconds:.1f} s  {one.row.language}  {one.row.text}"
            for one in overview.examples()
        ]
    lines += [f"note: {note}" for note in overview.notes()]
    return "\n".join(map(printable, lines))


def _bars(histogram: Sequence[tuple[int, int]]) -> list[str]:
    most = max(count for _, count in histogram)
    return [
        f"  {second:>3}-{second + 1} s  {count:>6}  {'#' * round(40 * count / most)}" for second, count in histogram
    ]


def _counts(counts: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({count})" for name, count in counts.most_common(12))
    return f"{shown} and {len(counts) - 12} more" if len(counts) > 12 else shown


def _duration(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"
