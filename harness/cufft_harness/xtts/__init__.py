"""The only place that imports coqui's TTS: build, load, condition, synthesize, loss, export.

Importing this package changes two things of TTS, both needed without FFmpeg and on any core count: audio files are read
with soundfile, and the number of threads is what it was before (TTS's trainer package sets it to one).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

_threads = torch.get_num_threads()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pkg_resources, jieba and others warn at import; none of it concerns the user
    from TTS.tts.models import xtts as _coqui
torch.set_num_threads(_threads)

from cufft_harness.audio import read_mono  # noqa: E402


def _load_audio(audiopath: str | Path, sampling_rate: int) -> torch.Tensor:
    """Stand in for `TTS.tts.models.xtts.load_audio`: float32, shape (1, n), clipped to [-1, 1]."""
    return torch.from_numpy(read_mono(Path(audiopath), sampling_rate)).clip(-1, 1).unsqueeze(0)


_coqui.load_audio = _load_audio
