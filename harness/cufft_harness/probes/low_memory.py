"""Little free device memory: at what point does the FFT fail, with which code, and does it recover?

The memory that counts is the device's own: a plan's workspace and the kernels are taken past PyTorch's pool.
"""

from __future__ import annotations

import time

import torch

from cufft_harness.probes.measure import failed
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.reference import white_noise
from cufft_harness.probes.situations import MIB, little_memory
from cufft_harness.probes.stft import check_stft

_LEVELS_MIB = (512, 256, 128, 64, 32, 16)


def run(device: str) -> Outcome:
    """Fill the memory further and further, each time a transform of a new length; then free it and check again."""
    began = time.perf_counter()
    sound = check_stft(device)
    if sound.verdict is not Verdict.PASS:
        return sound
    left = 0
    for level in _LEVELS_MIB:
        with little_memory(device, level * MIB) as free:
            left = free // MIB
            signal = white_noise(2, 3000 + level).to(device, torch.float32)
            try:
                torch.fft.rfft(signal).cpu()
                continue
            except RuntimeError as error:
                outcome = failed(error, f"with {left} MiB free", began)
        after = check_stft(device)
        again = "after freeing it works" if after.verdict is Verdict.PASS else f"after freeing: {after.verdict}"
        return Outcome(Verdict.FAILED, outcome.code, f"{outcome.detail}; {again}", None, outcome.seconds)
    return Outcome(Verdict.PASS, None, f"works down to {left} MiB free", None, time.perf_counter() - began)


def quarter_of_a_gigabyte(device: str) -> Outcome:
    """The XTTS shapes with 256 MiB left, which should be enough."""
    torch.ones(1, device=device)
    with little_memory(device, 256 * MIB):
        return check_stft(device)
