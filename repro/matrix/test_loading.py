"""Face: «XTTS loaded more than once breaks cuFFT», another explanation of the original page."""

import pytest

from repro.matrix.conftest import Attempt


@pytest.mark.parametrize(("device", "tier"), [("cpu", "native"), ("cuda", "native"), ("cuda", "bypass")])
def test_conditioning_after_loading_five_times(attempt: Attempt, device: str, tier: str) -> None:
    """The fifth model in the process conditions as well as the first."""
    attempt("xtts.five_loads", device, tier)


@pytest.mark.parametrize("tier", ["native", "bypass"])
def test_conditioning_after_moving_off_and_on(attempt: Attempt, tier: str) -> None:
    """A model moved to the CPU and back conditions as before."""
    attempt("xtts.moved_off_and_on", "cuda", tier)
