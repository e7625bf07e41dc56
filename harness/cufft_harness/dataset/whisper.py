"""Transcription by faster-whisper, where it is installed and the user names a model. Nothing is ever fetched."""

from __future__ import annotations

from pathlib import Path

from cufft_harness.dataset.recordings import Transcribe
from cufft_harness.dataset.text import normalize
from cufft_harness.dataset.times import Cue
from cufft_harness.errors import MachineError, UserError


def transcriber(model: str, language: str) -> Transcribe:
    """A function from recordings to words.

    Args:
        model: the directory of a faster-whisper (CTranslate2) model, or the name of one that was downloaded before.
        language: XTTS's code of the language that is spoken.

    Raises:
        MachineError: faster-whisper is not installed.
        UserError: there is no such model on this machine.
    """
    try:
        from faster_whisper import WhisperModel
    except ModuleNotFoundError as error:
        raise MachineError(
            f"transcribing needs {error.name}, which is not installed.", "pip install 'cufft-harness[whisper]'"
        ) from error
    try:
        loaded = WhisperModel(
            str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else model, local_files_only=True
        )
    except (
        Exception
    ) as error:  # its loaders raise what they like: no such name, not in the cache, no model in the folder
        raise UserError(
            f"no faster-whisper model `{model}` on this machine: {str(error).splitlines()[0]}",
            "Download one yourself (it is not done unasked) and give its folder: --whisper DIR.",
        ) from error

    def transcribe(recording: Path) -> list[Cue]:
        segments, _ = loaded.transcribe(
            str(recording), language=language.split("-")[0], word_timestamps=True, condition_on_previous_text=False
        )
        cues = []
        for segment in segments:
            for number, word in enumerate(segment.words or []):
                glued = number > 0 and not word.word.startswith(" ")
                cues.append(Cue(float(word.start), float(word.end), normalize(word.word), "", glued))
        return [cue for cue in cues if cue.text]

    return transcribe
