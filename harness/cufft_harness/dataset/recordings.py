"""A folder of long recordings made into a data set: texts with times beside them, or a transcription, and clips."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from cufft_harness.audio import SUFFIXES as AUDIO
from cufft_harness.audio import AudioError, write_pcm16
from cufft_harness.dataset.cutting import LeftOut, Piece, listen, plan
from cufft_harness.dataset.times import SUFFIXES as TIMES
from cufft_harness.dataset.times import Cue, read_times
from cufft_harness.errors import UserError
from cufft_harness.files import PARTIAL

METADATA = "metadata.csv"

Transcribe = Callable[[Path], list[Cue]]
"""A recording to its words with their times."""


@dataclass
class Cut:
    """What became of the recordings.

    Attributes:
        clips: how many were written.
        seconds: their length together.
        left_out: cues in no clip, with the recording's name.
        unreadable: recordings that are no audio, and why.
    """

    clips: int = 0
    seconds: float = 0.0
    left_out: list[tuple[str, LeftOut]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find_recordings(path: Path) -> list[tuple[Path, Path | None]]:
    """The recordings of a folder, in any depth, or the one named, each with the text with times that lies beside it.

    Raises:
        UserError: there is none, or two texts with times lie beside one.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    found = [(file, _times_beside(file)) for file in files if file.suffix.lower() in AUDIO]
    if not found:
        raise UserError(f"no recording in {path}.", f"Looked for {', '.join(AUDIO[:6])} and the like.")
    return found


def _times_beside(recording: Path) -> Path | None:
    # whisper names its output after the stem or the whole name
    stems = (recording.stem, recording.name)
    texts = [
        file
        for file in sorted(recording.parent.iterdir())
        if file.suffix.lower() in TIMES and file.stem in stems and _has_times(file)
    ]
    of_whisper = [file for file in texts if file.suffix.lower() in (".json", ".srt", ".vtt", ".tsv")]
    if len(of_whisper) > 1:  # it writes all of its formats at once; the JSON knows the words
        best = next((file for file in of_whisper if file.suffix.lower() == ".json"), of_whisper[0])
        texts = [best, *(file for file in texts if file not in of_whisper)]
    if len(texts) > 1:
        raise UserError(f"{recording.name} has several texts beside it: {', '.join(file.name for file in texts)}.")
    return texts[0] if texts else None


def _has_times(file: Path) -> bool:
    """A .txt beside a recording may be its plain text."""
    if file.suffix.lower() != ".txt":
        return True
    try:
        return bool(read_times(file))
    except UserError:
        return False


def cut(
    recordings: list[tuple[Path, Path | None]],
    output: Path,
    language: str,
    transcribe: Transcribe | None,
    tier: str | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Cut:
    """Cut recordings into clips, and write them as a data set: metadata.csv as coqui has it, wavs/ and lang.txt.

    The folder appears when all is done; nothing is left of a run that was ended before.

    Args:
        recordings: see `find_recordings`.
        output: must not exist, or be empty.
        language: of what is said.
        transcribe: for recordings without a text.
        tier: of TextGrids that have several.
        progress: called with the name of each recording before it is worked on.

    Raises:
        UserError: a recording has no text and cannot be transcribed, a text is not its recording's, `output` holds
            something, or no clip could be cut.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is not empty.", "Give --split a new folder.")
    silent = [recording for recording, times in recordings if times is None]
    if silent and transcribe is None:
        raise UserError(
            f"{len(silent)} of {len(recordings)} recordings have no text with times; the first: {silent[0].name}.",
            "Put an .srt, .vtt, .TextGrid, whisper's .json or Audacity's labels of the same name beside it; or give "
            "--whisper MODEL, a faster-whisper model on this machine.",
        )
    done = Cut()
    rows: list[tuple[str, Piece]] = []
    with _whole(output) as folder:
        (folder / "wavs").mkdir()
        for number, (recording, times) in enumerate(recordings):
            progress(recording.name)
            try:
                loudness = listen(recording)
            except AudioError as error:
                done.unreadable.append((recording.name, str(error)))
                continue
            if times is not None:
                cues, source = read_times(times, tier), times.name
            else:
                cues, source = (transcribe(recording) if transcribe else []), "the transcription"
            pieces, left = plan(cues, loudness, source)
            done.left_out += [(recording.name, one) for one in left]
            rows += _write(recording, pieces, folder, f"{number:03d}-{_plain(recording.stem)}")
        if not rows:
            reasons = [f"{name}: {one.reason}" for name, one in done.left_out] or [
                f"{n}: {r}" for n, r in done.unreadable
            ]
            raise UserError(f"no clip could be cut.{f' The first reason: {reasons[0]}.' if reasons else ''}")
        _write_metadata(folder, rows, language)
    done.clips, done.seconds = len(rows), sum(piece.seconds for _, piece in rows)
    return done


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A folder that gets its name when it is whole."""
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.with_name(f".{output.name}{PARTIAL}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        if output.is_dir():
            output.rmdir()
        folder.rename(output)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _plain(stem: str) -> str:
    """A name for clips that is a name on every system."""
    return "".join(one if one.isalnum() or one in "-_" else "_" for one in stem)[:40]


def _write(recording: Path, pieces: list[Piece], folder: Path, name: str) -> list[tuple[str, Piece]]:
    rows = []
    with soundfile.SoundFile(str(recording)) as sound:
        for number, piece in enumerate(pieces):
            first, last = int(piece.start * sound.samplerate), int(piece.end * sound.samplerate)
            sound.seek(first)
            samples = sound.read(last - first, dtype="float32", always_2d=True).mean(axis=1)
            clip = f"wavs/{name}_{number:04d}.wav"
            write_pcm16(folder / clip, samples, sound.samplerate)
            rows.append((clip, piece))
    return rows


def _write_metadata(folder: Path, rows: list[tuple[str, Piece]], language: str) -> None:
    speakers = any(piece.speaker for _, piece in rows)
    with (folder / METADATA).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="|", lineterminator="\n")
        writer.writerow(["audio_file", "text", *(["speaker_name"] if speakers else [])])
        for clip, piece in rows:
            writer.writerow([clip, piece.text, *([piece.speaker or "unknown"] if speakers else [])])
    (folder / "lang.txt").write_text(f"{language}\n", encoding="utf-8")
