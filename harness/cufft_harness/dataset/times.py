"""Texts with times: subtitles (SRT, VTT), Praat's TextGrid, JSON and TSV of the whisper programs, Audacity's labels."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cufft_harness.dataset.tables import read_lines
from cufft_harness.dataset.text import normalize
from cufft_harness.errors import UserError

SUFFIXES = (".srt", ".vtt", ".textgrid", ".json", ".tsv", ".txt")
"""Looked for beside a recording in this order."""


@dataclass(frozen=True)
class Cue:
    """A stretch of a recording and what is said in it: a subtitle, a segment, an interval or a word.

    Attributes:
        start: in seconds.
        end: in seconds.
        text: normalized.
        speaker: empty where the file does not tell.
        glued: written without a space before it, as the second half of `well-known` may be.
    """

    start: float
    end: float
    text: str
    speaker: str = ""
    glued: bool = False


_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_ARROW = re.compile(rf"^\s*{_CLOCK}\s+-->\s+{_CLOCK}")
_LABEL = re.compile(r"^(\d+(?:[.,]\d+)?)\t(\d+(?:[.,]\d+)?)(?:\t(.*))?$")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]+)>")
_INLINE_TIME = re.compile(r"<\d[\d:.]+>")


def looks_timed(lines: Sequence[str]) -> bool:
    """Whether these lines are one of this module's formats, and so not the text of one clip."""
    filled = [line for line in lines if line.strip()][:20]
    if not filled:
        return False
    timed = sum(bool(_ARROW.match(line) or _LABEL.match(line)) for line in filled)
    return (timed > 0 and 3 * timed >= len(filled)) or filled[0].startswith(("WEBVTT", 'File type = "ooTextFile"'))


def read_times(file: Path, tier: str | None = None) -> list[Cue]:
    """The cues of a file, in the order of their starts; those without text are left out.

    Args:
        file: SRT, VTT, TextGrid, JSON, TSV or Audacity labels, by its suffix.
        tier: of a TextGrid, where it has several.

    Raises:
        UserError: it cannot be read as what its suffix says.
    """
    kind = file.suffix.lower()
    if kind == ".textgrid":
        cues = list(_textgrid(file, tier))
    elif kind == ".json":
        cues = list(_json(file))
    elif kind in (".srt", ".vtt"):
        cues = list(_subtitles(file, read_lines(file)))
    else:
        cues = list(_labels(file, read_lines(file)))
    for cue in cues:
        if not 0 <= cue.start <= cue.end < 1e6:
            raise UserError(f"{file.name}: `{cue.text[:40]}` has impossible times, {cue.start} to {cue.end} s.")
    cues = [replace(cue, text=normalize(cue.text)) for cue in cues]
    return sorted((cue for cue in cues if cue.text), key=lambda cue: cue.start)


def spoken(cues: Sequence[Cue]) -> str:
    """The text of cues that follow one another."""
    return join([cue.text for cue in cues], [cue.glued for cue in cues])


def join(texts: Sequence[str], glued: Sequence[bool] = ()) -> str:
    """Texts one after the other, with a space between them except where the script has none, or where one is glued."""
    joined = ""
    for number, text in enumerate(texts):
        together = joined and text and (_spaceless(joined[-1]) or _spaceless(text[0]))
        together = together or (number < len(glued) and glued[number])
        joined += text if together or not joined else f" {text}"
    return joined


def _spaceless(one: str) -> bool:
    return "\u2e80" <= one <= "\u9fff" or "\uff00" <= one <= "\uffef"


def _subtitles(file: Path, lines: list[str]) -> Iterator[Cue]:
    """Subtitles; those that roll (YouTube's own show each line twice, once with the words' times) are told once."""
    web = file.suffix.lower() == ".vtt"
    rolling = any(_INLINE_TIME.search(line) for line in lines)
    starts = [number for number, line in enumerate(lines) if _ARROW.match(line)]
    if not starts and any(line.strip() for line in lines[1 if web else 0 :]):
        raise UserError(f"{file.name} has no line such as `00:00:01,000 --> 00:00:04,000`.")
    shown: list[str] = []
    if not starts:
        return
    for number, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = _body(lines[number + 1 : following], web, following < len(lines))
        if rolling:
            new = body[1:] if shown and body and _plain(body[0]) == shown[-1] else body
            shown, body = [plain for line in body if (plain := _plain(line))] or shown, new
        found = _ARROW.match(lines[number])
        if found is None:
            continue
        speaker = next((voice.group(1) for line in body if (voice := _VOICE.search(line))), "")
        text = join([plain for line in body if (plain := _plain(line))])
        yield Cue(_seconds(*found.groups()[:4]), _seconds(*found.groups()[4:]), text, speaker.strip())


def _body(lines: list[str], web: bool, another_follows: bool) -> list[str]:
    """The text lines of a cue; the line right before the next times, after an empty one, is the next cue's number."""
    if web:
        end = next((number for number, line in enumerate(lines) if not line.strip()), len(lines))
        return lines[:end]
    if another_follows and lines and (len(lines) == 1 or not lines[-2].strip()) and lines[-1].strip().isdigit():
        lines = lines[:-1]
    return [line for line in lines if line.strip()]


def _plain(line: str) -> str:
    return normalize(html.unescape(_TAG.sub("", line)))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _labels(file: Path, lines: list[str]) -> Iterator[Cue]:
    """Audacity's label track in seconds, whisper's TSV in milliseconds."""
    unit = 1000 if lines and lines[0].split("\t")[:2] == ["start", "end"] else 1
    for number, line in enumerate(lines[1 if unit == 1000 else 0 :], start=1 + (unit == 1000)):
        if not line.strip() or line.startswith("\\"):  # Audacity's frequencies
            continue
        found = _LABEL.match(line)
        if found is None:
            raise UserError(f"{file.name}, line {number}: not `start<tab>end<tab>text`.")
        start, end, text = found.groups(default="")
        yield Cue(float(start.replace(",", ".")) / unit, float(end.replace(",", ".")) / unit, text)


def _json(file: Path) -> Iterator[Cue]:
    """JSON of whisper and WhisperX (`segments`), whisper.cpp (`transcription`) and transformers (`chunks`)."""
    try:
        found = json.loads("\n".join(read_lines(file)))
        items = (
            found
            if isinstance(found, list)
            else next(found[key] for key in ("segments", "transcription", "chunks") if key in found)
        )
        for item in items:
            yield from _segment(item)
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration, RecursionError) as error:
        raise UserError(
            f"{file.name} is not the JSON of a whisper program: no segments with times and text."
        ) from error


def _segment(item: dict[str, Any]) -> Iterator[Cue]:
    """A segment as its words, where each word has times (so it can be cut inside), or as a whole."""
    speaker = str(item.get("speaker") or "")
    whole = str(item["text"])
    timed = [word for word in item.get("words") or [] if "start" in word and "end" in word]
    written = [str(word["word"]) for word in timed]
    spaced = " ".join(written).split() == whole.split()  # WhisperX strips its words, the others keep the spaces
    if timed and (spaced or "".join(written).split() == whole.split()):
        for number, word in enumerate(timed):
            glued = number > 0 and not spaced and not written[number].startswith(" ")
            yield Cue(float(word["start"]), float(word["end"]), written[number], speaker, glued)
        return
    if "offsets" in item:
        start, end = item["offsets"]["from"] / 1000, item["offsets"]["to"] / 1000
    else:
        start, end = item["timestamp"] if "timestamp" in item else (item["start"], item["end"])
    yield Cue(float(start), float(end), whole, speaker)


_TOKEN = re.compile(r'"((?:[^"]|"")*)"|<exists>|<absent>|(?<![\w.])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w.])')
_SILENCE = frozenset(["", "sil", "sp", "<eps>", "<sil>", "<p:>"])


def _textgrid(file: Path, wanted: str | None) -> Iterator[Cue]:
    """The intervals of one tier; long and short form differ in words that nobody needs."""
    tiers = _tiers(file)
    names = list(tiers)
    words = [name for name in names if name.split(" - ")[-1].lower() == "words"]
    if wanted is not None:
        if wanted not in tiers:
            raise UserError(f"{file.name} has no tier `{wanted}`, only {', '.join(names)}.")
        chosen = wanted
    elif len(names) == 1:
        chosen = names[0]
    elif len(words) == 1 and all(name.split(" - ")[-1].lower() in ("words", "phones") for name in names):
        chosen = words[0]  # what the Montreal Forced Aligner writes
    else:
        raise UserError(
            f"{file.name} has the tiers {', '.join(names) or 'none'}.", "Say which holds the text: --tier NAME."
        )
    for start, end, text in tiers[chosen]:
        if text.strip().lower() not in _SILENCE:
            yield Cue(start, end, text)


def _tiers(file: Path) -> dict[str, list[tuple[float, float, str]]]:
    raw = file.read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Praat's two
    try:
        text = re.sub(r"\[\d*\]", "", raw.decode(encoding))
    except UnicodeError as error:
        raise UserError(f"{file.name} is neither UTF-8 nor UTF-16 text.", "Save it as UTF-8.") from error
    tokens = iter([(found.group(1), found.group(2)) for found in _TOKEN.finditer(text)])

    def string() -> str:
        return next(one for one, _ in tokens if one is not None).replace('""', '"')

    def number() -> float:
        return next(float(one) for _, one in tokens if one is not None)

    tiers: dict[str, list[tuple[float, float, str]]] = {}
    try:
        if string() != "ooTextFile" or string() != "TextGrid":
            raise UserError(f"{file.name} is not a TextGrid.")
        number(), number()
        for _ in range(int(number())):
            kind, name = string(), string()
            number(), number()
            count = int(number())
            if kind == "IntervalTier":
                tiers[name] = [(number(), number(), string()) for _ in range(count)]
            else:
                for _ in range(count):
                    number(), string()
    except StopIteration as error:
        raise UserError(f"{file.name} is cut off.") from error
    return tiers
