"""Which cuFFT is really loaded: asked of the library itself, which needs no GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence


def cufft_version(paths: Sequence[str]) -> str | None:
    """Version of the first mapped libcufft, such as ``11.3.3``; None if none is mapped or it does not tell.

    `cufftGetVersion` gives 1000 * major + 100 * minor + patch (cufft.h: CUFFT_VERSION).
    """
    if not paths:
        return None
    value = ctypes.c_int()
    try:
        if ctypes.CDLL(paths[0]).cufftGetVersion(ctypes.byref(value)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return f"{value.value // 1000}.{value.value % 1000 // 100}.{value.value % 100}"
