"""After an out-of-memory error that was survived: is any plan left in a broken state?

cuFFT of CUDA 11 kept a handle unusable after a failed allocation (https://github.com/cupy/cupy/issues/3777).
"""

from __future__ import annotations

import torch

from cufft_harness.probes.measure import not_tested
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.stft import check_stft


def run(device: str) -> Outcome:
    """Ask for twice the device's memory, catch the error, run the XTTS shapes."""
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        torch.empty(2 * total, dtype=torch.uint8, device=device)
    except torch.cuda.OutOfMemoryError:
        return check_stft(device)
    return not_tested("the device gave more memory than it has")
