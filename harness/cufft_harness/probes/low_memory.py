"""Little free device memory: cuFFT takes memory past PyTorch's allocator, and fails with INTERNAL_ERROR without it.

Memory is taken from the device itself, not only from PyTorch's pool: what PyTorch has cached is not free for cuFFT
(https://github.com/pytorch/pytorch/issues/119420).
"""

from __future__ import annotations

import time

import torch

from cufft_harness.probes.measure import failed
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.reference import white_noise
from cufft_harness.probes.stft import check_stft

_LEVELS_MIB = (512, 256, 128, 64, 32, 16)
_MIB = 2**20


def run(device: str) -> Outcome:
    """Fill the memory step by step, each time a transform of a new length; then free it and check again."""
    began = time.perf_counter()
    sound = check_stft(device)
    if sound.verdict is not Verdict.PASS:
        return sound
    ballast: list[torch.Tensor] = []
    for level in _LEVELS_MIB:
        free = torch.cuda.mem_get_info(device)[0]
        if free > level * _MIB:
            try:
                ballast.append(torch.empty(free - level * _MIB, dtype=torch.uint8, device=device))
            except torch.cuda.OutOfMemoryError:
                break
        left = torch.cuda.mem_get_info(device)[0] / _MIB
        signal = white_noise(2, 3000 + level)
        try:
            torch.fft.rfft(signal.to(device, torch.float32)).cpu()
        except RuntimeError as error:
            outcome = failed(error, f"with {left:.0f} MiB free", began)
            ballast.clear()
            torch.cuda.empty_cache()
            after = check_stft(device)
            again = "after freeing it works" if after.verdict is Verdict.PASS else f"after freeing: {after.verdict}"
            return Outcome(Verdict.FAILED, outcome.code, f"{outcome.detail}; {again}", None, outcome.seconds)
    detail = f"works down to {torch.cuda.mem_get_info(device)[0] / _MIB:.0f} MiB free"
    return Outcome(Verdict.PASS, None, detail, None, time.perf_counter() - began)
