"""Fourier transforms without cuFFT, for any PyTorch program.

    from cufft_harness.fft import bypass, guard, inject

    with guard("cuda"):    # cuFFT first, matrix products where it fails
        spectrum = torch.stft(...)

`bypass`, `guard` and `inject` act on every FFT of the process on one device, in all threads, from the call until
`.close()` or the end of the `with` block. They nest, and closing restores what was there.
"""

import torch as _torch  # noqa: F401 - first: under `cufft-harness run` its import comes back here, for the modules below

from cufft_harness.cufft import Fault
from cufft_harness.fft.fallback_log import Account, Entry, Outcome
from cufft_harness.fft.guarding import Bypass, Guard, bypass, guard
from cufft_harness.fft.injection import inject

__all__ = ["Account", "Bypass", "Entry", "Fault", "Guard", "Outcome", "bypass", "guard", "inject"]
