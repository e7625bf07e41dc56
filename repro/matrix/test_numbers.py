"""Face: wrong numbers, or none at all, from an FFT in an untouched process."""

import pytest

PLACES = [("cpu", "native"), ("cpu", "bypass"), ("cuda", "native"), ("cuda", "bypass")]


@pytest.mark.parametrize(("device", "tier"), PLACES)
@pytest.mark.parametrize("scenario", ["fft.stft", "fft.fft_functions", "fft.istft", "fft.gradient", "fft.empty_batch"])
def test_transform_is_what_numpy_says(attempt, scenario, device, tier):
    """The transforms agree with NumPy in float64."""
    attempt(scenario, device, tier)
