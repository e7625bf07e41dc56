"""The files a sample leaves: where they lie, what they must be, and their line in the manifest."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from cufft_harness.audio import AudioError, read_mono, write_pcm16
from cufft_harness.files import PARTIAL, atomic_path, make_folder

SAMPLE_RATE = 22_050
FULL_SCALE = 32_767


class BrokenSample(ValueError):
    """The file is not the sample it should be; the message says why, in one line."""


@dataclass(frozen=True)
class Examination:
    """What was measured on a finished sample.

    Attributes:
        seconds: its length.
        peak: highest absolute value, 1.0 is full scale.
        rms: root of the mean square.
        silent: no value above -60 dBFS.
        clipped_share: share of values at full scale.
    """

    seconds: float
    peak: float
    rms: float
    silent: bool
    clipped_share: float

    def remarks(self) -> list[str]:
        """What a listener should know, in plain words."""
        said = []
        if self.silent:
            said.append("silent")
        if self.clipped_share > 0.01:
            said.append(f"clipped ({self.clipped_share:.0%} at full scale)")
        return said


def examine(path: Path, min_seconds: float = 0.05) -> Examination:
    """Check that a file is a whole WAV, PCM 16 bit, mono, 22 050 Hz, and measure it.

    Raises:
        BrokenSample: it is not, or is empty.
    """
    try:
        info = soundfile.info(str(path))
        found = (info.format, info.subtype, info.channels, info.samplerate)
        if found != ("WAV", "PCM_16", 1, SAMPLE_RATE):
            raise BrokenSample(f"is {found}, not 16-bit mono WAV at {SAMPLE_RATE} Hz")
        samples, _rate = soundfile.read(str(path), dtype="int16", always_2d=True)
        with wave.open(str(path)) as header:  # soundfile makes the best of a file cut short; this is what was promised
            promised = header.getnframes()
    except (soundfile.SoundFileError, wave.Error, EOFError, OSError) as error:
        raise BrokenSample(f"unreadable: {(str(error) or repr(error)).splitlines()[0]}") from error
    if promised != len(samples):
        raise BrokenSample(f"cut short: {len(samples)} of {promised} frames")
    seconds = len(samples) / SAMPLE_RATE
    if seconds < min_seconds:
        raise BrokenSample(f"only {seconds:.3f} s long")
    values = samples.astype(np.float64) / FULL_SCALE
    peak = float(np.abs(values).max())
    return Examination(
        seconds=seconds,
        peak=peak,
        rms=float(np.sqrt(np.mean(values**2))),
        silent=peak < 10 ** (-60 / 20),
        clipped_share=float((np.abs(samples) >= FULL_SCALE).mean()),
    )


@dataclass(frozen=True)
class SampleFolder:
    """`OUTPUT/samples` and the names in it.

    Attributes:
        still_held: raises where the run's lock is no longer that of the output directory; asked before a file gets its
            name.
    """

    folder: Path
    still_held: Callable[[], None] = lambda: None

    @property
    def manifest(self) -> Path:
        """One JSON line for each sample made, failed or dropped."""
        return self.folder / "manifest.jsonl"

    def output(self, epoch: int, best: bool = False, number: int = 1) -> Path:
        """The WAV the model spoke: epoch_3_output.wav, of further utterances epoch_3_output_2.wav and so on."""
        return self._part(best) / f"epoch_{epoch}_output{_suffix(number)}.wav"

    def reference(self, epoch: int, best: bool = False, number: int = 1) -> Path:
        """The clip whose voice it was asked to speak in; `number` is that of the first utterance in this voice."""
        return self._part(best) / f"epoch_{epoch}_reference{_suffix(number)}.wav"

    def spoken(self, epoch: int, number: int = 1) -> Path:
        """Where the worker writes, before the file is checked and gets its name."""
        return self.folder / f".epoch_{epoch}_spoken{_suffix(number)}{PARTIAL}"

    def prepare(self) -> None:
        """Make the folder and remove what an earlier crash left half written; whoever calls this holds its lock."""
        make_folder(self.folder)
        for part in (self.folder, self.folder / "best"):  # other folders in it may be of a `sample` under way
            for leftover in part.glob(f".*{PARTIAL}"):
                leftover.unlink(missing_ok=True)

    def publish(
        self,
        epoch: int,
        reference: Path,
        in_epochs: bool,
        in_best: bool,
        number: int = 1,
        reference_number: int = 1,
    ) -> list[Path]:
        """Give a checked sample its names: beside the epochs', in `best`, or both, from one synthesis.

        Returns:
            The files, outputs first.
        """
        places = [best for best, wanted in ((False, in_epochs), (True, in_best)) if wanted]
        outputs = [self.output(epoch, best, number) for best in places]
        references = [self.reference(epoch, best, reference_number) for best in places]
        spoken = self.spoken(epoch, number)
        self.still_held()
        for output, beside in zip(outputs, references, strict=True):
            make_folder(output.parent)
            with atomic_path(beside) as path:
                _write_reference(reference, path)
            with atomic_path(output) as path:
                shutil.copyfile(spoken, path)
        spoken.unlink()
        return outputs + references

    def _part(self, best: bool) -> Path:
        return self.folder / "best" if best else self.folder


def _suffix(number: int) -> str:
    return f"_{number}" if number > 1 else ""


def _write_reference(reference: Path, path: Path) -> None:
    """The reference clip in the samples' own format, so that both play alike."""
    try:
        write_pcm16(path, read_mono(reference, SAMPLE_RATE, max_seconds=60), SAMPLE_RATE)
    except AudioError as error:
        raise BrokenSample(f"the reference clip is {error}") from error
