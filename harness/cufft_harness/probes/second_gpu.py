"""The second GPU: old releases used the first one's plans for it."""

from __future__ import annotations

import torch

from cufft_harness.probes.measure import not_tested
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.stft import check_stft


def run(device: str) -> Outcome:
    """The XTTS shapes on the first GPU, then on the second."""
    if torch.cuda.device_count() < 2:
        return not_tested("there is one GPU only")
    first = check_stft("cuda:0")
    return check_stft("cuda:1") if first.verdict is Verdict.PASS else first
