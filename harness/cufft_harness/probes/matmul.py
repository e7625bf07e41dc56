"""Control: a matrix product, which needs the GPU and cuBLAS but no FFT. If this fails, cuFFT is not the question."""

from __future__ import annotations

import torch

from cufft_harness.probes.measure import compared
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import white_noise


def run(device: str) -> Outcome:
    """A 512 x 512 product twice, against float64; TF32 would be allowed to be off by 1e-3, so it is switched off."""
    torch.backends.cuda.matmul.allow_tf32 = False
    left, right = white_noise(512, 512), white_noise(512, 512, seed=1)

    def product() -> torch.Tensor:
        return left.to(device, torch.float32) @ right.to(device, torch.float32)

    return compared([("product", product, left @ right)])
