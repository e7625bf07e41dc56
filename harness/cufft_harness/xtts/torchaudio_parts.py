"""What XTTS needs of torchaudio, so that no torchaudio is needed, and a broken one does no harm.

torchaudio 2.11 was the last release. It refuses to be imported beside a PyTorch of another CUDA version ("PyTorch and
TorchAudio were compiled with different CUDA versions") or beside a PyTorch for the CPU, and older releases beside any
PyTorch but their own; so an install without pinned versions cannot count on it. XTTS takes two things from it, both a
few lines of PyTorch: a mel spectrogram and a resampler. They are computed here by the same formulas in the same
precision and order, so that features, latents and speech are those of stock TTS to the last bit.

coqui's modules say `import torchaudio` at their top. While they are imported, `stand_ins` puts the parts below
where that statement finds them. Afterwards `import torchaudio` means again what it meant before: nothing
installed is changed, and a program that has torchaudio and this package keeps both.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import torch
from torch import nn

LOWPASS_WIDTH = 6
"""Zero crossings of the sinc on each side; torchaudio's default."""
ROLLOFF = 0.99
"""Cut-off as a part of the lower Nyquist frequency; torchaudio's default."""


class MelSpectrogram(nn.Module):
    """Power in mel bands; the constructor takes what coqui's code gives to `torchaudio.transforms.MelSpectrogram`.

    The names of submodules and buffers are those of torchaudio: an XTTS model.pth holds them
    (`hifigan_decoder.speaker_encoder.torch_spec.1.spectrogram.window`, `.mel_scale.fb`).

    Args:
        sample_rate: in Hz.
        win_length, hop_length, n_fft: in samples.
        f_min, f_max: range of the bands in Hz; `f_max` defaults to half the sample rate.
        norm: "slaney" divides each band by its width in Hz; None leaves its peak at 1.
        power, normalized: 2 and False, the only ones XTTS uses.

    Raises:
        NotImplementedError: another `power`, `normalized` or `norm`.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int,
        win_length: int,
        hop_length: int,
        n_mels: int,
        f_min: float = 0.0,
        f_max: float | None = None,
        window_fn: Callable[[int], torch.Tensor] = torch.hann_window,
        power: float = 2.0,
        normalized: bool = False,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        if power != 2 or normalized or norm not in (None, "slaney"):
            raise NotImplementedError(f"a mel spectrogram with power={power}, normalized={normalized}, norm={norm!r}")
        bands = mel_filters(n_fft // 2 + 1, f_min, f_max or sample_rate // 2, n_mels, sample_rate, norm == "slaney")
        self.spectrogram = _Spectrogram(n_fft, hop_length, window_fn(win_length))
        self.mel_scale = _MelScale(bands)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Transform samples, (..., n), to (..., n_mels, n // hop_length + 1)."""
        return self.mel_scale(self.spectrogram(wave))  # type: ignore[no-any-return]


class _Spectrogram(nn.Module):
    window: torch.Tensor

    def __init__(self, n_fft: int, hop_length: int, window: torch.Tensor) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", window)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Power, (..., n) to (..., n_fft // 2 + 1, frames)."""
        spectrum = torch.stft(
            wave.reshape(-1, wave.shape[-1]),
            self.n_fft,
            self.hop_length,
            len(self.window),
            self.window,
            center=True,
            pad_mode="reflect",
            onesided=True,
            return_complex=True,
        )
        return spectrum.reshape(*wave.shape[:-1], *spectrum.shape[-2:]).abs().pow(2.0)


class _MelScale(nn.Module):
    fb: torch.Tensor

    def __init__(self, bands: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("fb", bands)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Sum bins to bands, (..., bins, frames) to (..., n_mels, frames)."""
        return torch.matmul(spectrogram.transpose(-1, -2), self.fb).transpose(-1, -2)


def mel_filters(bins: int, f_min: float, f_max: float, n_mels: int, sample_rate: int, slaney: bool) -> torch.Tensor:
    """Triangles that overlap by half on the mel scale of HTK, mel = 2595 log10(1 + f / 700); float32, (bins, n_mels).

    Source: S. Young et al., The HTK Book, section 5.4; the division by the width is that of M. Slaney's Auditory
    Toolbox.
    """
    lowest, highest = (2595.0 * math.log10(1.0 + frequency / 700.0) for frequency in (f_min, f_max))
    corners = 700.0 * (10.0 ** (torch.linspace(lowest, highest, n_mels + 2) / 2595.0) - 1.0)
    frequencies = torch.linspace(0, sample_rate // 2, bins)
    away = corners[None, :] - frequencies[:, None]
    widths = corners[1:] - corners[:-1]
    rising, falling = -away[:, :-2] / widths[:-1], away[:, 2:] / widths[1:]
    bands = torch.minimum(rising, falling).clamp(min=0)
    return bands * (2.0 / (corners[2:] - corners[:-2]))[None, :] if slaney else bands


def resample(wave: torch.Tensor, orig_freq: int, new_freq: int) -> torch.Tensor:
    """Change the sample rate of `wave`, (..., n), to (..., ceil(n * new_freq / orig_freq)).

    A sinc low-pass under a Hann window, evaluated at the new sample times: one filter for each of the `new` phases that
    samples take, applied as a strided convolution (J. O. Smith, Digital Audio Resampling Home Page).
    """
    if orig_freq == new_freq:
        return wave
    common = math.gcd(orig_freq, new_freq)
    orig, new = orig_freq // common, new_freq // common
    cut_off = min(orig, new) * ROLLOFF
    width = math.ceil(LOWPASS_WIDTH * orig / cut_off)
    times = torch.arange(0, -new, -1, dtype=wave.dtype, device=wave.device)[:, None, None] / new
    times = times + torch.arange(-width, width + orig, dtype=wave.dtype, device=wave.device)[None, None] / orig
    times = (times * cut_off).clamp(-LOWPASS_WIDTH, LOWPASS_WIDTH)
    window = torch.cos(times * math.pi / LOWPASS_WIDTH / 2) ** 2
    angles = times * math.pi
    sinc = torch.where(angles == 0, torch.ones_like(angles), angles.sin() / angles)
    filters = sinc * (window * (cut_off / orig))
    flat = nn.functional.pad(wave.reshape(-1, wave.shape[-1]), (width, width + orig))
    phases = nn.functional.conv1d(flat[:, None], filters, stride=orig)
    length = -(-wave.shape[-1] * new // orig)
    return phases.transpose(1, 2).reshape(*wave.shape[:-1], -1)[..., :length]


def _load(*_arguments: object, **_named: object) -> None:
    raise NotImplementedError("audio files are read with soundfile here, see cufft_harness.audio")


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """While this lasts, `names` are not installed, for transformers too, which keeps its answers: for good, then.

    transformers may have been imported before (peft does) and have found them installed without importing them.
    """
    from transformers.utils import import_utils

    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None: `find_spec` says there is none
    for name in names:
        forget = getattr(getattr(import_utils, f"is_{name}_available", None), "cache_clear", None)
        if forget is not None:  # before 5.0 there is nothing to forget, and torchaudio is not imported
            forget()
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)


@contextmanager
def stand_ins(*names: str) -> Iterator[None]:
    """While this lasts, importing each of `names` gives a stand-in: for torchaudio with the parts above, else empty.

    coqui-tts asks that torchcodec be installed from PyTorch 2.9 on, because torchaudio reads files through it; neither
    is used for that here. Keep it short, and other libraries out of it, which would find the stand-ins too:
    transformers asks what is installed, and then for the version of a torchcodec that is not.
    """
    modules = {name: ModuleType(name) for name in names}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)  # what `importlib.util.find_spec` looks at
    if "torchaudio" in modules:
        parts = {
            "transforms": SimpleNamespace(MelSpectrogram=MelSpectrogram),
            "functional": SimpleNamespace(resample=resample),
            "load": _load,
        }
        vars(modules["torchaudio"]).update(parts)
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)
