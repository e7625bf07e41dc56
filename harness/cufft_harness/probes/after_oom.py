"""After an out-of-memory error that was survived: is any plan left in a broken state?

cuFFT of CUDA 11 kept a handle unusable after a failed allocation (https://github.com/cupy/cupy/issues/3777).
"""

from __future__ import annotations

from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.shapes import XTTS_SHAPES
from cufft_harness.probes.situations import out_of_memory
from cufft_harness.probes.stft import check_stft


def run(device: str) -> Outcome:
    """One XTTS shape, an out-of-memory error, then all of them: plans made before it and after it."""
    before = check_stft(device, XTTS_SHAPES[:1])
    if before.verdict is not Verdict.PASS:
        return before
    out_of_memory(device)
    return check_stft(device)
