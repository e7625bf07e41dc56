"""cufft_harness.training.fft: a broken cuFFT must not kill training either."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cufft_harness.audio import read_mono
from cufft_harness.dataset.metadata import built_in
from cufft_harness.fft import inject
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.tiers import Tier
from cufft_harness.training.fft import choose, first_working
from cufft_harness.xtts.directory import ModelDirectory
from cufft_harness.xtts.features import FeatureExtractor

GOOD = Outcome(Verdict.PASS)
TIERS = [Tier.NATIVE, Tier.BYPASS]


@pytest.mark.parametrize(
    ("stft", "bypass", "tier"),
    [
        (GOOD, GOOD, Tier.NATIVE),
        (Outcome(Verdict.FAILED, "CUFFT_INVALID_SIZE"), GOOD, Tier.BYPASS),
        (Outcome(Verdict.WRONG_NUMBERS), GOOD, Tier.BYPASS),
        (Outcome(Verdict.HUNG), Outcome(Verdict.CRASHED, "SIGSEGV"), Tier.CPU),
    ],
)
def test_the_first_tier_that_works_is_taken(stft: Outcome, bypass: Outcome, tier: Tier):
    """Whatever the probe of a tier ends in, the next one is asked, and the reason is kept."""
    chosen = first_working(TIERS, {"stft": stft, "bypass": bypass}, "cuda:0")
    assert chosen.tier is tier
    assert chosen.device == ("cpu" if tier is Tier.CPU else "cuda:0")
    assert (stft.code or str(stft.verdict)) in chosen.reason or stft is GOOD


def test_training_on_the_cpu_needs_no_probe():
    """Where no GPU is used, MKL does the transforms and no child is started."""
    assert choose("auto", torch.device("cpu")).tier is Tier.CPU


def test_features_by_matrix_products_are_those_of_the_library(tiny: Path):
    """Probed in a real child and computed through the bypass, mels agree to float32's precision and codes are equal."""
    transforms = choose("bypass", torch.device("cpu"))
    assert transforms.tier is Tier.BYPASS
    samples = read_mono(built_in() / "wavs" / "en_01.ogg", 22_050)
    directory = ModelDirectory.at(tiny)
    with inject("cpu", "CUFFT_INTERNAL_ERROR"):  # the library is of no use to anybody here
        extractor = FeatureExtractor(directory, transforms.device, transforms.context)
        first, by_products = extractor(samples), extractor(samples)
    by_library = FeatureExtractor(directory)(samples)
    assert torch.equal(first.mel, by_products.mel)
    torch.testing.assert_close(by_products.mel, by_library.mel, rtol=1e-3, atol=1e-3)
    assert torch.equal(by_products.codes, by_library.codes)
