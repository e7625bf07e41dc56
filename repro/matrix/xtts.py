"""A small XTTS with random weights that trains and conditions like the real one, on coqui-tts 0.28 and on TTS 0.22.

All its STFTs have the real sizes: 512/160/400 at 16 kHz in the speaker encoder, 2048/256/1024 and 1024/256/1024 at
22.05 kHz in the mels of conditioning and of training (TTS/tts/layers/xtts/trainer/gpt_trainer.py).
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch

SAMPLE_RATE = 22_050
WIDTH = 128


def prepare() -> None:
    """Import TTS on releases it was not made for."""
    import torch.nn.utils as utils

    if not hasattr(utils.parametrizations, "weight_norm"):  # torch 2.0; TTS 0.22 says it wants 2.1
        utils.parametrizations.weight_norm = utils.weight_norm
        utils.parametrize.remove_parametrizations = lambda module, name, leave_parametrized=True: (  # type: ignore[assignment]
            utils.remove_weight_norm(module, name)
        )
    from TTS.tts.models import xtts

    xtts.load_audio = read_wav  # TTS reads files through torchaudio, which needs FFmpeg from torch 2.9 on


def read_wav(path: str | Path, sampling_rate: int) -> torch.Tensor:
    """A mono 16-bit WAV as float32 of shape (1, samples)."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (sampling_rate, 1, 2):
            raise ValueError(f"{path} is not mono, 16 bit, {sampling_rate} Hz")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return torch.from_numpy(samples.astype(np.float32) / 32768)[None]


def write_speech(path: Path, seconds: float = 3.0) -> None:
    """A reference clip: a harmonic tone of speech-like pitch that rises and falls, with a little noise."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(number * phase) / number for number in range(1, 12))
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    samples = 0.2 * voice * loudness + 0.003 * np.random.default_rng(0).standard_normal(len(time))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def build(seed: int = 0) -> Any:
    """A fresh model on the CPU; the same seed gives the same weights."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    torch.manual_seed(seed)
    config = XttsConfig()
    arguments = config.model_args
    arguments.gpt_layers, arguments.gpt_n_heads = 2, 2
    arguments.gpt_n_model_channels = arguments.decoder_input_dim = WIDTH
    arguments.gpt_number_text_tokens, arguments.gpt_start_text_token, arguments.gpt_stop_text_token = 256, 255, 0
    arguments.gpt_num_audio_tokens, arguments.gpt_start_audio_token, arguments.gpt_stop_audio_token = 1026, 1024, 1025
    arguments.gpt_max_audio_tokens, arguments.gpt_max_text_tokens = 128, 64
    arguments.gpt_use_perceiver_resampler = True
    model = Xtts.init_from_config(config)
    model.train(False)  # not eval(): Xtts's own adds the inference wrapper, which training cannot pass
    return model


class Trainer:
    """Real steps of fine-tuning: mels on the device, codes of a DVAE, cross-entropy of text and codes, AdamW."""

    def __init__(self, model: Any, device: str) -> None:
        from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram
        from TTS.tts.layers.xtts.dvae import DiscreteVAE

        self.model, self.device = model, device
        mel = {"sampling_rate": SAMPLE_RATE, "mel_norm_file": None}
        self.style_mel = TorchMelSpectrogram(filter_length=2048, hop_length=256, win_length=1024, **mel).to(device)
        self.dvae_mel = TorchMelSpectrogram(**mel).to(device)
        self.dvae = DiscreteVAE(
            channels=80, normalization=None, positional_dims=1, num_tokens=1024, codebook_dim=32, hidden_dim=32,
            num_resnet_blocks=1, kernel_size=3, num_layers=2, use_transposed_convs=False,
        ).to(device).eval()  # fmt: skip
        self.optimizer = torch.optim.AdamW(model.gpt.parameters(), lr=1e-4)

    def step(self, clip: torch.Tensor) -> float:
        """One step on a clip of shape (1, samples); returns the loss."""
        self.model.gpt.train()
        clip = clip.to(self.device)
        samples = torch.tensor([clip.shape[-1]], device=self.device)
        with torch.no_grad():
            style = self.style_mel(clip)[:, None]
            codes = self.dvae.get_codebook_indices(self.dvae_mel(clip))
        text = torch.randint(1, 250, (1, 16), device=self.device)
        loss_text, loss_codes, _ = self.model.gpt(
            text, torch.tensor([16], device=self.device), codes, samples, cond_mels=style,
            cond_lens=torch.tensor([style.shape[-1]], device=self.device),
        )  # fmt: skip
        loss = 0.01 * loss_text + loss_codes
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.model.gpt.eval()
        if not torch.isfinite(loss):
            raise RuntimeError(f"the training loss is {loss.item()}")
        return float(loss.item())
