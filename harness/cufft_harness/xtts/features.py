"""What training needs of a clip, computed once: the mel that conditions the GPT and the audio codes it learns to write.

Both come from the same classes and sizes as coqui's recipe (`TTS.tts.layers.xtts.trainer.gpt_trainer`): a mel of n_fft
2048 (4096 without the perceiver resampler) for conditioning, and a mel of n_fft 1024 that the DVAE turns into codes,
one per 1024 samples. These mels are the only FFTs of training, so this is where training meets cuFFT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch.nn.functional import pad
from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram

from cufft_harness.audio import Samples
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.directory import ModelDirectory, load_dvae, read_mel_stats

SAMPLE_RATE = 22_050
MEL_BANDS = 80
CODE_STRIDE = 1024
"""Samples per audio code: hop_length 256 times the DVAE's two strides of 2."""
TAIL = 10 * CODE_STRIDE
"""Samples of silence after a clip that reach all its codes: the DVAE sees 7 codes ahead, the mel half a frame more."""
VERSION = 2
"""Of how features are made; another one, and those of before are not used. 2: silence follows a clip."""


@dataclass(frozen=True)
class Features:
    """One clip as the GPT sees it.

    Attributes:
        mel: conditioning mel of the whole clip, float32, (80, frames), one frame per `hop_length` samples.
        codes: audio codes, int64, (n,), one per 1024 samples.
        frames: length of the clip in samples at 22 050 Hz.
    """

    mel: torch.Tensor
    codes: torch.Tensor
    frames: int


class FeatureExtractor:
    """Turn clips into `Features` on a device.

    Args:
        directory: the model, for its DVAE and mel norms.
        device: where the transforms and the DVAE run.
        transforms: makes what is entered around the transforms of each clip, to give them another FFT.
    """

    def __init__(
        self,
        directory: ModelDirectory,
        device: str = "cpu",
        transforms: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.perceiver = bool(directory.config().model_args.gpt_use_perceiver_resampler)
        self.n_fft, self.hop_length, win_length = (2048, 256, 1024) if self.perceiver else (4096, 1024, 4096)
        self.device = device
        self._transforms = transforms
        self._norms = read_mel_stats(directory)
        self._dvae = load_dvae(directory).to(device)
        self._style_mel = self._mel(self.n_fft, self.hop_length, win_length)
        self._dvae_mel = self._mel(1024, 256, 1024)

    def _mel(self, n_fft: int, hop_length: int, win_length: int) -> TorchMelSpectrogram:
        mel = TorchMelSpectrogram(
            filter_length=n_fft,
            hop_length=hop_length,
            win_length=win_length,
            sampling_rate=SAMPLE_RATE,
            mel_norm_file=None,
        )
        mel.mel_norms = self._norms
        return mel.to(self.device)

    def identity(self) -> str:
        """What the features depend on besides the clip: how they are made, the DVAE's weights, norms and sizes."""
        state = {name: t for name, t in self._dvae.state_dict().items() if not name.startswith("decoder.")}
        sizes = {"n_fft": torch.tensor(self.n_fft), "version": torch.tensor(VERSION)}
        return weights_digest({**state, "norms": self._norms, **sizes})

    @torch.inference_mode()
    def __call__(self, samples: Samples) -> Features:
        """Compute the features of one clip of mono float32 samples at 22 050 Hz, as if silence followed it."""
        wave = torch.from_numpy(samples).clip(-1, 1).unsqueeze(0).to(self.device)
        with self._transforms():
            mel = self._style_mel(wave)[0]
            codes = self._dvae.get_codebook_indices(self._dvae_mel(pad(wave, (0, TAIL))))[0]
        codes = codes[: -(-len(samples) // CODE_STRIDE)]  # those that the GPT reads: one per 1024 samples begun
        return Features(mel.float().cpu().contiguous(), codes.long().cpu().contiguous(), len(samples))

    @torch.no_grad()
    def of_batch(
        self, waves: Sequence[torch.Tensor], slices: Sequence[tuple[int, int]], longest_slice: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute mels and codes as GPTTrainer does in each step: of samples cut and padded to one length.

        Args:
            waves: clips of mono float32 samples at 22 050 Hz, clipped to [-1, 1].
            slices: first sample of each slice that conditions, and the one after its last.
            longest_slice: samples that the slices are padded to.

        Returns:
            Conditioning mels, float32, (clips, 80, frames), and codes, int64, (clips, most codes).
        """
        cuts = [wave[start:end] for wave, (start, end) in zip(waves, slices, strict=True)]
        conditioning = torch.stack([pad(cut, (0, longest_slice - len(cut))) for cut in cuts]).to(self.device)
        padded = torch.nn.utils.rnn.pad_sequence(list(waves), batch_first=True).to(self.device)
        with self._transforms():
            mels = self._style_mel(conditioning)
            codes = self._dvae.get_codebook_indices(self._dvae_mel(padded))
        return mels.float().cpu(), codes.long().cpu()

    def silence(self) -> torch.Tensor:
        """The conditioning mel of one frame of silence, (80, 1): what the recipe's zero padding turns into."""
        return torch.full((MEL_BANDS, 1), 1e-5).log() / self._norms.unsqueeze(-1)


def conditioning_slice(mel: torch.Tensor, silence: torch.Tensor, start: int, end: int, length: int) -> torch.Tensor:
    """Cut frames `start` to `end` out of a conditioning mel and pad with silence to `length` frames.

    The recipe cuts the samples and transforms the cut. Cutting frames gives the same values, but for the four at each
    end, which see the audio beside the slice instead of its mirror image; and a slice begins at a frame.

    Returns:
        float32, (80, length).
    """
    cut = mel[:, start:end]
    return torch.cat([cut, silence.expand(-1, length - cut.shape[1])], dim=1)
