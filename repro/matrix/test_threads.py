"""Face: several threads at once."""

import pytest

from repro.matrix.conftest import Attempt

PLACES = [("cpu", "native"), ("cpu", "bypass"), ("cuda", "native"), ("cuda", "bypass")]


@pytest.mark.parametrize(("device", "tier"), PLACES)
def test_stft_in_threads(attempt: Attempt, device: str, tier: str) -> None:
    """Four threads with four shapes get the numbers each would get alone."""
    attempt("fft.threads", device, tier)


@pytest.mark.parametrize("tier", ["native", "bypass"])
def test_conditioning_in_threads(attempt: Attempt, tier: str) -> None:
    """Two threads condition with one model."""
    attempt("xtts.in_threads", "cuda", tier)
