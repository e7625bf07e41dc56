"""What a tier means for the FFTs of a device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from cufft_harness.fft.guarding import bypass
from cufft_harness.tiers import Tier


def fft_context(tier: Tier, device: str) -> AbstractContextManager[object]:
    """What to enter around FFTs of a device: matrix products on the tier `BYPASS`, the library's own FFT on the others.

    Args:
        tier: where and how to compute.
        device: a torch device, such as "cuda:0"; all devices of its kind are meant.
    """
    return bypass(torch.device(device).type) if tier is Tier.BYPASS else nullcontext()
