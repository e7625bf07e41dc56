"""The loss XTTS is trained with: cross-entropy of the text tokens and of the audio codes.

Weights and masking are those of coqui's `GPTTrainer`: text counts 0.01, audio 1.0, and the slice of the clip that
conditions the GPT is not scored for one clip of the batch (coqui's code masks the last one only; it is called as is).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from TTS.tts.layers.xtts.gpt import GPT

TEXT_WEIGHT = 0.01
AUDIO_WEIGHT = 1.0


@dataclass(frozen=True)
class Batch:
    """Clips padded to one shape, on one device.

    Attributes:
        text: token numbers, int64, (batch, longest text), padded with 0.
        text_lengths: int64, (batch,).
        codes: audio codes, int64, (batch, most codes), padded with 0.
        frames: length of each clip in samples at 22 050 Hz, int64, (batch,).
        conditioning: mel of a slice of each clip, float32, (batch, 1, 80, frames).
        slices: first and last sample of that slice, int64, (batch, 2); None where nothing is masked (validation).
    """

    text: torch.Tensor
    text_lengths: torch.Tensor
    codes: torch.Tensor
    frames: torch.Tensor
    conditioning: torch.Tensor
    slices: torch.Tensor | None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.text.to(device),
            self.text_lengths.to(device),
            self.codes.to(device),
            self.frames.to(device),
            self.conditioning.to(device),
            None if self.slices is None else self.slices.to(device),
        )

    @property
    def size(self) -> int:
        """Clips in the batch."""
        return self.text.shape[0]


class TrainingModel(nn.Module):
    """The GPT with its loss as `forward`, so that wrappers for several GPUs see one module with one forward.

    Returns of `forward`: loss of the text, loss of the audio, and their weighted sum, each a scalar tensor.
    """

    def __init__(self, gpt: GPT) -> None:
        super().__init__()
        self.gpt = gpt

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Score one batch; see `Batch` for the shapes."""
        text, audio, _logits = self.gpt(
            batch.text,
            batch.text_lengths,
            batch.codes,
            batch.frames,
            cond_mels=batch.conditioning,
            # coqui divides this tensor in place
            cond_idxs=None if batch.slices is None else batch.slices.clone(),
        )
        return text, audio, TEXT_WEIGHT * text + AUDIO_WEIGHT * audio
