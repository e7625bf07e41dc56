"""After training steps: do backward passes and cached memory change what the FFT answers?"""

from __future__ import annotations

import time

import torch

from cufft_harness.probes.measure import failed
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.reference import white_noise
from cufft_harness.probes.shapes import XTTS_SHAPES
from cufft_harness.probes.stft import check_stft, stft

_STEPS = 5


def run(device: str) -> Outcome:
    """Five steps of gradient descent on a loss over the DVAE mel's STFT, then the XTTS shapes."""
    began = time.perf_counter()
    model = torch.nn.Sequential(torch.nn.Linear(1600, 256), torch.nn.GELU(), torch.nn.Linear(256, 1600)).to(device)
    batch = white_noise(4, 1600).to(device, torch.float32)
    try:
        for _ in range(_STEPS):
            spectrum = stft(model(batch), XTTS_SHAPES[2])
            loss = (spectrum.abs() ** 2).mean()
            model.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():  # torch.optim would import the compiler, which costs seconds
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(parameter.grad, alpha=1e-3)
    except RuntimeError as error:
        return failed(error, "while training", began)
    return check_stft(device)
