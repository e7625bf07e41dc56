"""Face: «training corrupts the CUDA state», the explanation of the original page."""

import pytest

from repro.matrix.conftest import Attempt


@pytest.mark.parametrize(("device", "tier"), [("cpu", "native"), ("cuda", "native"), ("cuda", "bypass")])
def test_conditioning_in_a_fresh_process(attempt: Attempt, device: str, tier: str) -> None:
    """XTTS's conditioning latents are those of the same weights with NumPy's STFT."""
    attempt("xtts.fresh", device, tier)


@pytest.mark.parametrize(
    ("device", "tier"), [("cpu", "native"), ("cpu", "bypass"), ("cuda", "native"), ("cuda", "bypass")]
)
def test_conditioning_after_real_training_steps(attempt: Attempt, device: str, tier: str) -> None:
    """Training steps in the same process leave conditioning as right as it was."""
    attempt("xtts.after_training", device, tier)


@pytest.mark.parametrize("tier", ["native", "bypass"])
def test_conditioning_between_training(attempt: Attempt, tier: str) -> None:
    """Conditioning, training and conditioning again, as with samples after every epoch."""
    attempt("xtts.between_training", "cuda", tier)
