"""The only place that imports coqui's TTS: build, load, condition, synthesize, loss, export.

Importing this package imports TTS, without torchaudio and torchcodec (see `torchaudio_parts`), and changes two things
of it, both needed without FFmpeg and on any core count: audio files are read with soundfile, and the number of threads
is what it was before (TTS's trainer package sets it to one).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from cufft_harness.audio import read_mono
from cufft_harness.xtts.torchaudio_parts import hidden, stand_ins

_threads = torch.get_num_threads()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pkg_resources, jieba and others warn at import; none of it concerns the user
    with stand_ins("torchaudio", "torchcodec"):
        import TTS  # asks whether both are installed
    # What TTS takes from transformers, before there is a stand-in that transformers would find, and while the real ones
    # are out of its sight: from 5.0 on it imports a torchaudio that is installed, whether that can be imported or not.
    with hidden("torchaudio", "torchcodec"):
        from transformers import GenerationMixin, GPT2PreTrainedModel  # noqa: F401

    with stand_ins("torchaudio"):
        # Every module of TTS used here that imports torchaudio; they bring TTS.encoder.models.base_encoder, the fourth.
        import TTS.tts.layers.tortoise.arch_utils
        import TTS.tts.layers.xtts.dvae  # noqa: F401
        from TTS.tts.models import xtts as _coqui
        from TTS.tts.models.xtts import Xtts as Xtts  # here, so that other packages need not import TTS before this one
torch.set_num_threads(_threads)


def _load_audio(audiopath: str | Path, sampling_rate: int) -> torch.Tensor:
    """Stand in for `TTS.tts.models.xtts.load_audio`: float32, shape (1, n), clipped to [-1, 1]."""
    return torch.from_numpy(read_mono(Path(audiopath), sampling_rate)).clip(-1, 1).unsqueeze(0)


_coqui.load_audio = _load_audio
