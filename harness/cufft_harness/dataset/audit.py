"""The check of the whole data set before training: every bad row is named with its reason and left out."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from cufft_harness.audio import AudioError, read_header, read_mono
from cufft_harness.dataset import text as texts
from cufft_harness.dataset.clips import ClipFolder, NoClip
from cufft_harness.dataset.metadata import split
from cufft_harness.dataset.plausible import check_pace
from cufft_harness.dataset.rows import DataSet, Reason, Rejected, Row
from cufft_harness.errors import MachineError, UserError
from cufft_harness.files import sha256_of
from cufft_harness.languages import EXTRAS

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
    """The data set after the check.

    Attributes:
        unknown: characters that the tokenizer does not know, and in how many texts each is.
    """

    train: list[Clip]
    validation: list[Clip]
    rejected: list[Rejected]
    unknown: Counter[str] = field(default_factory=Counter)


class Found(Protocol):
    """A row whose clip is there."""

    @property
    def row(self) -> Row:
        """The row."""

    @property
    def path(self) -> Path:
        """Its clip."""


Kept = TypeVar("Kept", bound=Found)
Encode = Callable[[str, str], list[int]]
"""Text and language to token numbers, as `VoiceBpeTokenizer.encode`."""


def audit(
    data: DataSet,
    encode: Encode,
    limits: Limits,
    progress: Callable[[int], None] | None = None,
    validation_fraction: float = 0.1,
) -> Audited:
    """Check every row of a data set, and set clips apart for validation where the data set names none.

    Args:
        data: the rows.
        encode: the model's tokenizer.
        limits: what the model can take.
        progress: called with 1 for each row checked.
        validation_fraction: share of the good clips that validates, where the data set does not say which do.

    Returns:
        The clips to train and validate on, and the rows left out. A clip that occurs twice with one text is kept once,
        in validation if it is there, so nothing of the validation set is trained on; with two texts, nobody knows which
        is right, and none is kept.

    Raises:
        UserError: nothing is left to train or to validate on, or most texts do not fit their clips.
        MachineError: a language needs a package that is not installed.
    """
    check = RowCheck(ClipFolder(data.root), encode, limits)

    def checked(row: Row) -> Clip | Rejected:
        result = check(row)
        if progress is not None:
            progress(1)
        return result

    with ThreadPoolExecutor(4) as pool:  # soundfile and soxr work outside Python's lock
        results = list(pool.map(checked, [*(data.validation or []), *data.train]))
    check_pace([(row, seconds) for row, seconds in check.paces if row.text])
    kept, bad = without_duplicates(results, lambda clip: clip.sha256)
    train, validation = parts(kept, data, validation_fraction)
    rejected = [*data.rejected, *bad]
    validating = {id(row) for row in data.validation or []}
    for part, left in (("train", train), ("validate", validation)):
        if not left:
            own = [one for one in rejected if (id(one.row) in validating) is (part == "validate")] or rejected
            raise UserError(_nothing_left(part, data, own, len(kept)))
    return Audited(train, validation, rejected, check.unknown)


def parts(kept: Sequence[Kept], data: DataSet, fraction: float) -> tuple[list[Kept], list[Kept]]:
    """The good clips to train and to validate on: as the data set says, or a share of them drawn by their own hash."""
    if data.validation is None:
        return split(kept, lambda one: (one.path.relative_to(data.root).as_posix(), one.row.text), fraction)
    validating = {id(row) for row in data.validation}
    return (
        [one for one in kept if id(one.row) not in validating],
        [one for one in kept if id(one.row) in validating],
    )


def _nothing_left(part: str, data: DataSet, rejected: Sequence[Rejected], kept: int) -> str:
    if data.validation is None and kept == 1:
        return f"only one clip is good in {data.root}: two are needed, one of them to validate on."
    first = f" The first reason: {rejected[0]}." if rejected else ""
    return f"no clip is left to {part} on in {data.root}: {len(rejected)} rows are bad.{first}"


class RowCheck:
    """The check of one row after the other; may be called from several threads.

    Attributes:
        paces: rows that name readable clips, and the seconds of each.
        unknown: characters that the tokenizer does not know.
    """

    def __init__(self, clips: ClipFolder, encode: Encode, limits: Limits) -> None:
        self._clips, self._encode, self._limits = clips, encode, limits
        # MeCab, which reads Japanese, gives one thread another one's words
        self._one_at_a_time = threading.Lock()
        self.paces: list[tuple[Row, float]] = []
        self.unknown: Counter[str] = Counter()

    def __call__(self, row: Row) -> Clip | Rejected:
        """The row as a clip to train on, or why it is none."""
        try:
            fault = texts.fault(row.text)
            if fault:
                raise BadRow(Reason.TEXT, fault)
            path = self._clips.find(row.clip)
            seconds = check_audio(path, self._limits.max_seconds)
            self.paces.append((row, seconds))
            misfit = texts.does_not_fit(row.text, seconds)
            if misfit:
                raise BadRow(Reason.PACE, misfit)
            return Clip(row, path, sha256_of(path), tuple(self._tokens(row)), seconds)
        except (BadRow, NoClip) as error:
            return Rejected(row, error.reason, error.detail)
        except AudioError as error:
            return Rejected(row, Reason.UNREADABLE, str(error))
        except OSError as error:
            return Rejected(row, Reason.UNREADABLE, f"unreadable: {error.strerror or error}")

    def _tokens(self, row: Row) -> list[int]:
        tokens = self._encoded(row.text, row.language)
        if self._limits.unknown_token in tokens:  # a vocabulary may know no quotes but the typewriter's
            tokens = self._encoded(texts.plain_punctuation(row.text), row.language)
        if self._limits.unknown_token in tokens:
            strange = [one for one in dict.fromkeys(row.text) if self._is_unknown(one, row.language)]
            self.unknown.update(strange)
            shown = ", ".join(f"{one} (U+{ord(one):04X})" for one in strange[:5])
            raise BadRow(
                Reason.VOCABULARY, f"text has characters outside the tokenizer's vocabulary: {shown or 'unnamed'}"
            )
        if len(tokens) >= self._limits.max_tokens:
            most = self._limits.max_tokens - 1
            raise BadRow(Reason.TEXT_LENGTH, f"text too long: {len(tokens)} tokens, at most {most}")
        return tokens

    def _encoded(self, text: str, language: str) -> list[int]:
        try:
            with self._one_at_a_time:
                return self._encode(text, language)
        except ImportError as error:  # needed for this language alone, so not installed with XTTS
            package, extra = EXTRAS.get(language, (error.name or str(error), "languages"))
            raise MachineError(
                f"texts in `{language}` need {package}, which is not installed.",
                f"pip install 'coqui-tts[{extra}]'",
            ) from error
        except Exception as error:  # the cleaners of 17 languages raise what they like
            raise BadRow(Reason.TEXT, f"text cannot be tokenized: {type(error).__name__}: {error}") from error

    def _is_unknown(self, one: str, language: str) -> bool:
        if not one.strip():
            return False
        try:
            return self._limits.unknown_token in self._encoded(texts.plain_punctuation(one), language)
        except BadRow:
            return False


def check_audio(path: Path, max_seconds: float) -> float:
    """Read a clip and measure it.

    Returns:
        Its length in seconds, as many as are really there.

    Raises:
        BadRow: it is too short or long, silent, clipped, or not finite.
        AudioError: it cannot be read.
    """
    header = read_header(path)
    check_length(header.seconds, max_seconds)
    samples = read_mono(path, header.sample_rate, max_seconds)
    seconds = len(samples) / header.sample_rate
    if seconds < MIN_SECONDS:
        raise BadRow(
            Reason.UNREADABLE, f"cut off: the header promises {header.seconds:.1f} s, {seconds:.2f} s are there"
        )
    if not np.isfinite(samples).all():
        raise BadRow(Reason.UNREADABLE, "holds NaN or infinite samples")
    peak = float(np.abs(samples).max())
    if peak < SILENT_PEAK:
        raise BadRow(Reason.SILENT, f"silent: peak {20 * np.log10(max(peak, 1e-9)):.0f} dBFS")
    clipped = float((np.abs(samples) >= 0.999).mean())
    if clipped > CLIPPED_SHARE:
        raise BadRow(Reason.CLIPPED, f"clipped: {clipped:.1%} of the samples are at full scale")
    return seconds


def check_length(seconds: float, max_seconds: float) -> None:
    """Refuse a clip by the length its header tells.

    Raises:
        BadRow: it is empty, too short or too long.
    """
    if seconds == 0:
        raise BadRow(Reason.TOO_SHORT, "clip is empty")
    if seconds < MIN_SECONDS:
        raise BadRow(Reason.TOO_SHORT, f"too short: {seconds:.2f} s, at least {MIN_SECONDS} s")
    if seconds > max_seconds:
        raise BadRow(Reason.TOO_LONG, f"too long: {seconds:.1f} s, at most {max_seconds:.1f} s")


def without_duplicates(
    results: Sequence[Kept | Rejected], content: Callable[[Kept], str]
) -> tuple[list[Kept], list[Rejected]]:
    """Each clip once, and none that is there with two texts.

    Args:
        results: rows that passed the check so far, and rows that did not.
        content: equal for rows of the same clip.
    """
    firsts: dict[str, dict[str, Kept]] = defaultdict(dict)  # content -> text -> the first row that has both
    for result in results:
        if not isinstance(result, Rejected):
            firsts[content(result)].setdefault(result.row.text, result)
    kept: list[Kept] = []
    rejected: list[Rejected] = []
    for result in results:
        if isinstance(result, Rejected):
            rejected.append(result)
            continue
        row, same = result.row, firsts[content(result)]
        if len(same) > 1:
            other = next(one.row for text, one in same.items() if text != row.text)
            detail = f"the same clip has another text in {other.source}: {other.text[:40]!r}"
            rejected.append(Rejected(row, Reason.CONTRADICTION, detail))
        elif same[row.text] is not result:
            rejected.append(Rejected(row, Reason.DUPLICATE, f"duplicate of {same[row.text].row.source}"))
        else:
            kept.append(result)
    return kept, rejected


class BadRow(Exception):
    """Why one row is left out."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)
