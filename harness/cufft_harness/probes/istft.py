"""The inverse STFT, which vocoders end in: it gives back the signal that the STFT took apart."""

from __future__ import annotations

import torch

from cufft_harness.probes.measure import compared
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import white_noise

N_FFT, HOP_LENGTH = 1024, 256  # F5-TTS's and Vocos'


def run(device: str) -> Outcome:
    """There and back, with a Hann window."""
    signal = white_noise(1, 16_000)
    window = torch.hann_window(N_FFT, device=device)

    def there_and_back() -> torch.Tensor:
        x = signal.to(device, torch.float32)
        spectrum = torch.stft(x, N_FFT, HOP_LENGTH, window=window, return_complex=True)
        return torch.istft(spectrum, N_FFT, HOP_LENGTH, window=window, length=signal.shape[-1])

    return compared([("istft of stft", there_and_back, signal)])
