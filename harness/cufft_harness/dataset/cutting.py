"""Long recordings into clips: where to cut, so that each clip has whole cues and silence at both ends.

A clip is a run of cues that follow one another. Every cue is in one clip or among those left out, so no word is lost
or told twice. Which runs are best is found for the whole recording at once, by dynamic programming over its cues.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from cufft_harness.audio import read_header
from cufft_harness.dataset.text import does_not_fit
from cufft_harness.dataset.times import Cue, spoken
from cufft_harness.errors import UserError

SHORTEST, LONGEST = 2.0, 11.0
"""Seconds of a clip. Coqui's recipe takes clips up to 11.6 s, and conditions on 3 s and more."""
_WANTED = 6.0
FRAME_SECONDS = 0.01
_SILENCE_SECONDS = 0.15
"""The closure before a `p` or `t` is silent for up to 0.12 s; a cut there would go through a word."""
_MARGIN_SECONDS = 0.25
"""Subtitles begin and end about this exactly."""
_PADDING_SECONDS = 0.2
_LONGEST_PAUSE = 1.5
_LEAST_SOUND = 0.2
"""Share of a clip that is not silent."""
_SENTENCE_END = re.compile(r"[.!?…。！？।؟][\"'”’»)\]]*$")
_NOTE = re.compile(r"[\[\]♪♫#*]|^\(.*\)$")
"""What subtitles say of sounds: `[music]`, `♪`, `(laughs)`."""

_DIALOGUE = re.compile(r"^[-–]\s?\S.*[.!?…]\s[-–]\s?\S")


@dataclass(frozen=True)
class Piece:
    """A clip to be cut.

    Attributes:
        start: in the recording, in seconds.
        end: likewise.
        text: what is said in it.
        cues: how many cues it has.
    """

    start: float
    end: float
    text: str
    speaker: str
    cues: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True)
class LeftOut:
    """A cue that is in no clip, and why."""

    cue: Cue
    reason: str


@dataclass(frozen=True)
class Loudness:
    """Which parts of a recording are silent.

    Attributes:
        silent: for each 10 ms, bool, shape (n,).
    """

    silent: npt.NDArray[np.bool_]

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return len(self.silent) * FRAME_SECONDS

    def runs(self, start: float, end: float) -> list[tuple[float, float]]:
        """Silences that are long enough to cut in, from `start` to `end`, in seconds."""
        first, last = max(0, round(start / FRAME_SECONDS)), min(len(self.silent), round(end / FRAME_SECONDS))
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.silent[first:last], [False]]).astype(np.int8)))
        found = ((first + edges[::2]) * FRAME_SECONDS, (first + edges[1::2]) * FRAME_SECONDS)
        return [(float(a), float(b)) for a, b in zip(*found, strict=True) if b - a >= _SILENCE_SECONDS - 1e-6]

    def sound(self, start: float, end: float) -> float:
        """Share of a stretch that is not silent."""
        part = self.silent[round(start / FRAME_SECONDS) : round(end / FRAME_SECONDS)]
        return 1.0 - float(part.mean()) if len(part) else 0.0


def listen(recording: Path) -> Loudness:
    """Measure a recording in constant memory.

    Silence lies nearer to the quietest tenth of the recording than to its speech: a third of the way up, in decibels.

    Raises:
        AudioError: it cannot be read.
    """
    header = read_header(recording)
    size = max(1, round(header.sample_rate * FRAME_SECONDS))
    levels = []
    for block in soundfile.blocks(str(recording), blocksize=size * 6000, dtype="float32", always_2d=True):
        mono = block.mean(axis=1)
        whole = mono[: len(mono) // size * size].reshape(-1, size)
        levels.append(10 * np.log10(np.square(whole).mean(axis=1) + 1e-12))
    level = np.concatenate(levels) if levels else np.zeros(0)
    if not len(level):
        return Loudness(np.zeros(0, dtype=bool))
    speech = float(np.percentile(level, 95))
    floor = max(float(np.percentile(level, 10)), speech - 50)
    return Loudness(level < floor + 0.3 * (speech - floor))


def plan(cues: Sequence[Cue], loudness: Loudness, name: str) -> tuple[list[Piece], list[LeftOut]]:
    """Choose the clips of a recording.

    Args:
        cues: in the order of their starts.
        loudness: of the recording.
        name: of the file with the times, for messages.

    Returns:
        The clips in order, and the cues that are in none.

    Raises:
        UserError: the times are of a longer recording.
    """
    if cues and cues[-1].end > loudness.seconds + 1:
        raise UserError(
            f"{name} has times up to {cues[-1].end:.0f} s, its recording has {loudness.seconds:.0f} s.",
            "Is it the text of another recording?",
        )
    blocked = [_blocked(cues, number) for number in range(len(cues))]
    edges = [_edge(cues, number, loudness) for number in range(len(cues) + 1)]
    best = [0.0] * (len(cues) + 1)
    chosen: list[tuple[int, Piece | None]] = [(0, None)] * (len(cues) + 1)
    for end in range(1, len(cues) + 1):
        best[end], chosen[end] = best[end - 1], (end - 1, None)
        for start in range(end - 1, -1, -1):
            if blocked[start] or not _together(cues, start, end):
                break
            if cues[end - 1].end - cues[start].start > LONGEST + 1:
                break
            piece = _piece(cues[start:end], edges[start], edges[end], loudness)
            if piece is not None and best[start] + _worth(piece) > best[end]:
                best[end], chosen[end] = best[start] + _worth(piece), (start, piece)
    pieces, left = [], []
    place = len(cues)
    while place:
        before, piece = chosen[place]
        if piece is None:
            left.append(LeftOut(cues[before], blocked[before] or _why(cues[before], edges[before], edges[place])))
        else:
            pieces.append(piece)
        place = before
    return pieces[::-1], left[::-1]


Edge = tuple[float, float] | None
"""Where the clip before it ends and the clip after it begins; None where no cut can be made."""


def _edge(cues: Sequence[Cue], number: int, loudness: Loudness) -> Edge:
    """The cut before cue `number`: in the first and the last silence between the two cues.

    What sounds between two silences is in no clip: it is something that nobody wrote down.
    """
    before = cues[number - 1] if number else None
    after = cues[number] if number < len(cues) else None
    earliest = max(before.end - _MARGIN_SECONDS, (before.start + before.end) / 2) if before else 0.0
    latest = min(after.start + _MARGIN_SECONDS, (after.start + after.end) / 2) if after else loudness.seconds
    if before is None and after is not None:
        earliest = max(0.0, after.start - 2)
    if after is None and before is not None:
        latest = min(loudness.seconds, before.end + 2)
    runs = loudness.runs(earliest, latest)
    if not runs:
        if before is None and after is not None and after.start < 2 * _MARGIN_SECONDS:
            return 0.0, 0.0  # the recording begins with it
        if after is None and before is not None and loudness.seconds - before.end < 2 * _MARGIN_SECONDS:
            return loudness.seconds, loudness.seconds
        return None
    (first, first_end), (last, last_end) = runs[0], runs[-1]
    return min(first + _PADDING_SECONDS, (first + first_end) / 2), max(
        last_end - _PADDING_SECONDS, (last + last_end) / 2
    )


def _blocked(cues: Sequence[Cue], number: int) -> str:
    """Why a cue must be in no clip; empty if it may be."""
    cue = cues[number]
    if _NOTE.search(cue.text):
        return "it has a note on sounds in brackets"
    if _DIALOGUE.search(cue.text):
        return "two people speak in it"
    neighbours = [*cues[max(0, number - 1) : number], *cues[number + 1 : number + 2]]
    if any(min(cue.end, other.end) - max(cue.start, other.start) > 2 * _MARGIN_SECONDS for other in neighbours):
        return "another one is spoken at the same time"
    return ""


def _together(cues: Sequence[Cue], start: int, end: int) -> bool:
    """Whether the cue `start` may be in one clip with the one after it, of those up to `end`."""
    if start + 1 == end:
        return True
    one, other = cues[start], cues[start + 1]
    return one.speaker == other.speaker and other.start - one.end <= _LONGEST_PAUSE


def _piece(cues: Sequence[Cue], before: Edge, after: Edge, loudness: Loudness) -> Piece | None:
    if before is None or after is None:
        return None
    start, end = before[1], after[0]
    if not SHORTEST <= end - start <= LONGEST or loudness.sound(start, end) < _LEAST_SOUND:
        return None
    text = spoken(cues)
    if cues[0].glued or does_not_fit(text, end - start):
        return None
    return Piece(start, end, text, cues[0].speaker, len(cues))


def _worth(piece: Piece) -> float:
    """Seconds that are put to use; less for ends in the middle of a sentence, and a little for unusual lengths."""
    middle = not _SENTENCE_END.search(piece.text)
    return piece.seconds - middle - 0.05 * abs(piece.seconds - _WANTED)


def _why(cue: Cue, before: Edge, after: Edge) -> str:
    if before is None or after is None:
        return "there is no silence before or after it"
    seconds = after[0] - before[1]
    if seconds < SHORTEST:
        return f"alone it is shorter than {SHORTEST:.0f} s, and it fits with no neighbour"
    if seconds > LONGEST:
        return f"it is longer than {LONGEST:.0f} s, and its words have no times of their own"
    return does_not_fit(cue.text, seconds) or "there is no sound, or no room for it beside its neighbours"
