"""Reading and writing audio with soundfile and soxr: no FFmpeg, no torchaudio backends.

Everything inside the package is mono float32 in [-1, 1]; files written are WAV, PCM 16 bit, mono.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Samples = npt.NDArray[np.float32]
SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64"),
    *(".m4a", ".mp4", ".aac", ".wma", ".webm", ".amr", ".ape", ".wv"),
)
"""What audio files are called. Whether the installed libsndfile reads one is asked of it."""
_FOREIGN = (
    (4, b"ftyp", "MP4 audio (M4A, AAC)"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"\x1a\x45\xdf\xa3", "WebM"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"#!AMR", "AMR"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"ID3", "MP3"),
    (0, b"\xff\xfb", "MP3"),
    (28, b"OpusHead", "Opus"),
)
"""Where in a file which bytes stand, and what it then is; for the name of what libsndfile refuses."""


class AudioError(ValueError):
    """The file cannot be read as audio; the message says why, in one line."""


@dataclass(frozen=True)
class Header:
    """What a file says about itself, before any sample is read.

    Attributes:
        sample_rate: in Hz.
        frames: samples per channel.
    """

    sample_rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def read_header(path: Path) -> Header:
    """Read and check the header only, in constant memory.

    Raises:
        AudioError: not audio, or a header that cannot be true (zero rate, no or too many channels).
    """
    try:
        with soundfile.SoundFile(str(path)) as info:  # soundfile.info() takes half as long again
            header = Header(info.samplerate, info.channels, info.frames)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"unreadable: {_what_it_is(path) or _reason(error)}") from error
    if not 1_000 <= header.sample_rate <= 768_000:
        raise AudioError(f"impossible sample rate {header.sample_rate} Hz")
    if not 1 <= header.channels <= 64:
        raise AudioError(f"impossible number of channels: {header.channels}")
    return header


def read_mono(path: Path, sample_rate: int, max_seconds: float | None = None) -> Samples:
    """Read a file that libsndfile knows (WAV, FLAC, Ogg, Opus, MP3 ...) as mono at `sample_rate`.

    Args:
        path: the file.
        sample_rate: wanted rate in Hz; soxr resamples where the file's differs.
        max_seconds: read no more than this, whatever the header promises.

    Returns:
        float32 samples, shape (n,), channels averaged. May hold NaN if the file does.

    Raises:
        AudioError: the file cannot be read.
    """
    header = read_header(path)
    frames = -1 if max_seconds is None else int(max_seconds * header.sample_rate) + 1
    try:
        samples, rate = soundfile.read(str(path), frames=frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, MemoryError) as error:
        raise AudioError(f"unreadable: {_reason(error)}") from error
    mono: Samples = samples.mean(axis=1, dtype=np.float32)
    if rate != sample_rate and len(mono):
        mono = resample(mono, rate, sample_rate)
    return mono


def write_pcm16(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write mono float samples as WAV, PCM 16 bit; values outside [-1, 1] are clipped, not wrapped.

    Raises:
        OSError: the disk did not take it.
    """
    try:
        soundfile.write(str(path), np.clip(samples, -1.0, 1.0), sample_rate, subtype="PCM_16", format="WAV")
    except soundfile.SoundFileError as error:
        raise OSError(f"cannot write {path}: {_reason(error)}") from error


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Resample mono samples with soxr's high quality recipe."""
    if from_rate == to_rate:
        return samples
    resampled: Samples = soxr.resample(samples, from_rate, to_rate).astype(np.float32)
    return resampled


def _what_it_is(path: Path) -> str | None:
    """What a file is that libsndfile does not read, and what helps; None where its own words say more."""
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError:
        return None
    if not head:
        return "the file is empty"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the audio itself; `git lfs pull` fetches it"
    kind = next((name for place, bytes_, name in _FOREIGN if head[place:].startswith(bytes_)), None)
    if kind is None:
        return None
    version = soundfile.__libsndfile_version__
    return f"{kind}, which libsndfile {version} does not read; convert it, e.g. `ffmpeg -i FILE FILE.wav`"


def _reason(error: BaseException) -> str:
    """The error in one line, without the path that the caller names anyway."""
    return str(error).split(": ", 1)[-1].splitlines()[0].strip().rstrip(".") or type(error).__name__
