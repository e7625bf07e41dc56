"""Face: too little memory, or an out-of-memory error that the program had recovered from."""

import pytest

from repro.matrix.conftest import Attempt

SCENARIOS = ["fft.little_memory", "fft.after_out_of_memory", "xtts.little_memory", "xtts.after_out_of_memory"]


@pytest.mark.parametrize("tier", ["native", "bypass"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_fft_with_and_after_memory_shortage(attempt: Attempt, scenario: str, tier: str) -> None:
    """256 MB are enough, and an earlier shortage leaves nothing behind."""
    attempt(scenario, "cuda", tier)
