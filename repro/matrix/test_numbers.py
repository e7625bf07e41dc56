"""Face: wrong numbers, or none at all, from an FFT in an untouched process."""

import pytest

from repro.matrix.conftest import Attempt

PLACES = [("cpu", "native"), ("cpu", "bypass"), ("cuda", "native"), ("cuda", "bypass")]


@pytest.mark.parametrize(("device", "tier"), PLACES)
@pytest.mark.parametrize("scenario", ["fft.stft", "fft.fft_functions", "fft.istft", "fft.gradient", "fft.empty_batch"])
def test_transform_is_what_its_definition_says(attempt: Attempt, scenario: str, device: str, tier: str) -> None:
    """The transforms agree with the sums that define them, in float64."""
    attempt(scenario, device, tier)


def test_the_definition_is_what_numpy_computes(attempt: Attempt) -> None:
    """The reference of all these is that of a library of its own, in this very environment."""
    attempt("fft.reference", "cpu", "native")
