"""The check of the whole data set before training: every bad row is named with its reason and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cufft_harness.audio import AudioError, read_header, read_mono
from cufft_harness.dataset.metadata import DataSet, Row
from cufft_harness.errors import UserError, printable
from cufft_harness.files import sha256_of

MIN_SECONDS = 0.5
SILENT_PEAK = 10 ** (-60 / 20)
"""A clip that never exceeds -60 dBFS holds no speech."""
CLIPPED_SHARE = 0.01
"""Full-scale samples above this share are heard as distortion; single ones are not."""


@dataclass(frozen=True)
class Clip:
    """A row that may be trained on.

    Attributes:
        path: the file, inside the data set.
        sha256: of the file's bytes; the key of its cached features.
        tokens: the text as token numbers.
        seconds: length of the clip.
    """

    row: Row
    path: Path
    sha256: str
    tokens: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Rejected:
    """A row that is left out, and why."""

    row: Row
    reason: str

    def __str__(self) -> str:
        return f"{self.row.source} {printable(self.row.clip)}: {self.reason}"


@dataclass(frozen=True)
class Limits:
    """What the model can take.

    Attributes:
        max_seconds: the longest clip.
        max_tokens: a text must have fewer tokens than this.
        unknown_token: number of the tokenizer's [UNK].
    """

    max_seconds: float
    max_tokens: int
    unknown_token: int


@dataclass(frozen=True)
class Audited:
    """The data set after the check."""

    train: list[Clip]
    validation: list[Clip]
    rejected: list[Rejected]


Encode = Callable[[str, str], list[int]]
"""Text and language to token numbers, as `VoiceBpeTokenizer.encode`."""


def audit(data: DataSet, encode: Encode, limits: Limits, progress: Callable[[int], None] | None = None) -> Audited:
    """Check every row of a data set.

    Args:
        data: the rows.
        encode: the model's tokenizer.
        limits: what the model can take.
        progress: called with 1 for each row checked.

    Returns:
        The clips to train and validate on, and the rows left out. A clip that occurs twice is kept the first time only,
        so nothing of the validation set is trained on.

    Raises:
        UserError: nothing is left to train or to validate on.
    """

    def check(row: Row) -> Clip | Rejected:
        result = _check(row, data.root, encode, limits)
        if progress is not None:
            progress(1)
        return result

    with ThreadPoolExecutor(4) as pool:  # soundfile and soxr work outside Python's lock
        train = list(pool.map(check, data.train))
        validation = list(pool.map(check, data.validation))
    seen: dict[str, str] = {}
    kept_validation, bad_validation = _without_duplicates(validation, seen)
    kept_train, bad_train = _without_duplicates(train, seen)
    rejected = [*bad_train, *bad_validation]
    for part, kept in (("train", kept_train), ("validate", kept_validation)):
        if not kept:
            first = f" The first reason: {rejected[0]}." if rejected else ""
            raise UserError(f"no clip is left to {part} on in {data.root}: {len(rejected)} rows are bad.{first}")
    return Audited(kept_train, kept_validation, rejected)


def _check(row: Row, root: Path, encode: Encode, limits: Limits) -> Clip | Rejected:
    try:
        tokens = _check_text(row, encode, limits)
        path = _inside(root, row.clip)
        seconds = _check_audio(path, limits.max_seconds)
        return Clip(row, path, sha256_of(path), tuple(tokens), seconds)
    except (_BadRow, AudioError) as error:
        return Rejected(row, str(error))
    except OSError as error:
        return Rejected(row, f"unreadable: {error.strerror or error}")


def _check_text(row: Row, encode: Encode, limits: Limits) -> list[int]:
    if not row.text.strip():
        raise _BadRow("text is empty")
    if any(not character.isprintable() for character in row.text):
        raise _BadRow("text holds control characters")
    try:
        tokens = encode(row.text, row.language)
    except Exception as error:  # the cleaners of 17 languages raise what they like
        raise _BadRow(f"text cannot be tokenized: {type(error).__name__}: {error}") from error
    if limits.unknown_token in tokens:
        raise _BadRow("text has characters outside the tokenizer's vocabulary")
    if len(tokens) >= limits.max_tokens:
        raise _BadRow(f"text too long: {len(tokens)} tokens, at most {limits.max_tokens - 1}")
    return tokens


def _inside(root: Path, name: str) -> Path:
    """The clip's path, if it stays inside the data set, symbolic links followed."""
    if not name or "\0" in name:
        raise _BadRow("no clip is named")
    try:
        path = (root / name).resolve()
    except RuntimeError as error:  # before Python 3.13 a loop of symbolic links
        raise _BadRow("path is a loop of symbolic links") from error
    if not path.is_relative_to(root.resolve()):
        raise _BadRow("path leaves the data set")
    if not path.is_file():
        raise _BadRow("file is missing")
    return path


def _check_audio(path: Path, max_seconds: float) -> float:
    header = read_header(path)
    if header.frames == 0:
        raise _BadRow("clip is empty")
    if header.seconds < MIN_SECONDS:
        raise _BadRow(f"too short: {header.seconds:.2f} s, at least {MIN_SECONDS} s")
    if header.seconds > max_seconds:
        raise _BadRow(f"too long: {header.seconds:.1f} s, at most {max_seconds:.1f} s")
    samples = read_mono(path, header.sample_rate, max_seconds)
    seconds = len(samples) / header.sample_rate
    if seconds < MIN_SECONDS:
        raise _BadRow(f"cut off: the header promises {header.seconds:.1f} s, {seconds:.2f} s are there")
    if not np.isfinite(samples).all():
        raise _BadRow("holds NaN or infinite samples")
    peak = float(np.abs(samples).max())
    if peak < SILENT_PEAK:
        raise _BadRow(f"silent: peak {20 * np.log10(max(peak, 1e-9)):.0f} dBFS")
    clipped = float((np.abs(samples) >= 0.999).mean())
    if clipped > CLIPPED_SHARE:
        raise _BadRow(f"clipped: {clipped:.1%} of the samples are at full scale")
    return seconds


def _without_duplicates(results: Iterable[Clip | Rejected], seen: dict[str, str]) -> tuple[list[Clip], list[Rejected]]:
    kept: list[Clip] = []
    rejected: list[Rejected] = []
    for result in results:
        if isinstance(result, Rejected):
            rejected.append(result)
        elif result.sha256 in seen:
            rejected.append(Rejected(result.row, f"duplicate of {seen[result.sha256]}"))
        else:
            seen[result.sha256] = result.row.source
            kept.append(result)
    return kept, rejected


class _BadRow(Exception):
    """Why one row is left out."""
