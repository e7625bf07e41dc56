"""The STFT shapes that well-known audio models ask of cuFFT.

Each is read from the models' own configuration files; n_fft, hop and window lengths are in samples.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StftShape:
    """One call of `torch.stft` as a model makes it; lengths in samples, sample_rate in Hz."""

    name: str
    n_fft: int
    hop_length: int
    win_length: int
    sample_rate: int
    window: str = "hann"


# TTS/encoder/models/base_encoder.py, TTS/tts/layers/xtts/trainer/gpt_trainer.py and
# TTS/tts/layers/tortoise/arch_utils.py of coqui-tts 0.28
XTTS_SHAPES = (
    StftShape("XTTS speaker encoder", 512, 160, 400, 16_000, "hamming"),
    StftShape("XTTS style mel", 2048, 256, 1024, 22_050),
    StftShape("XTTS DVAE mel", 1024, 256, 1024, 22_050),
    StftShape("XTTS style mel without perceiver", 4096, 1024, 4096, 22_050),
)

OTHER_SHAPES = (
    StftShape("F5-TTS mel", 1024, 256, 1024, 24_000),
    StftShape("Whisper log-mel", 400, 160, 400, 16_000),
    StftShape("VITS mel", 1024, 256, 1024, 22_050),
    StftShape("so-vits-svc mel", 2048, 512, 2048, 44_100),
    StftShape("RVC 40k mel", 2048, 400, 2048, 40_000),
    StftShape("RVC 48k mel", 2048, 480, 2048, 48_000),
    StftShape("RVC 32k mel", 1024, 320, 1024, 32_000),
    StftShape("demucs spectrogram", 4096, 1024, 4096, 44_100),
)

ALL_SHAPES = XTTS_SHAPES + OTHER_SHAPES
