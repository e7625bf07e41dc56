"""What the scenarios compare with, and how they bring a GPU into the situations they try; no GPU is needed here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cufft_harness.probes import situations
from cufft_harness.probes.outcome import Verdict

from repro.matrix import reference
from repro.matrix.reference import WrongNumbers, check

MB = 1 << 20


def test_the_reference_of_the_probes_is_numpys(monkeypatch):
    """Two libraries that share no code agree; a reference that is off by a millionth would be noticed."""
    assert reference.judge("cpu").verdict is Verdict.PASS
    monkeypatch.setattr(reference, "rfft_by_definition", lambda x: 1.000001 * torch.fft.rfft(x))
    assert reference.judge("cpu").verdict is Verdict.WRONG_NUMBERS


def test_reference_stft_is_what_torch_says():
    """The suite's own reference agrees with torch in float64, so a deviation is the device's."""
    signal, window = torch.randn(2, 4000, dtype=torch.float64), torch.hamming_window(400, dtype=torch.float64)
    measured = torch.stft(signal, 512, 160, 400, window=window, return_complex=True)

    assert reference.relative_error(measured, reference.stft(signal, 512, 160, 400, window=window)) < 1e-12


def test_numpy_takes_the_place_of_torch_stft_and_gives_it_back():
    """Inside the block a model's STFTs are NumPy's, and outside they are torch's again."""
    signal, original = torch.randn(3, 2000), torch.stft
    expected = torch.stft(signal, 400, 160, window=torch.hann_window(400), return_complex=True)
    with reference.numpy_stft():
        assert torch.stft is not original
        replaced = torch.stft(signal, 400, 160, window=torch.hann_window(400), return_complex=True)

    assert torch.stft is original
    assert replaced.dtype == torch.complex64
    torch.testing.assert_close(replaced, expected)


def test_wrong_numbers_are_found():
    """A transform that is off by a thousandth, not finite or of another shape does not pass."""
    right = np.ones((3, 4))
    for wrong, said in [(right * 1.001, r"1\.0e-03"), (right * np.nan, "inf"), (right[:2], "inf")]:
        with pytest.raises(WrongNumbers, match=f"relative error {said}"):
            check("x", wrong, right, 1e-5)


class Card:
    """Stands in for `torch.cuda` and `torch.empty`: a device with 40 GB, of which others have taken some."""

    def __init__(self, taken_mb):
        self.total, self.taken = 40_000 * MB, taken_mb * MB

    def mem_get_info(self, device):
        """Free and total bytes, as the driver says."""
        return self.total - self.taken, self.total

    def empty(self, size, dtype, device):
        """Take `size` bytes, or fail as CUDA does."""
        if size > self.total - self.taken:
            raise torch.cuda.OutOfMemoryError
        self.taken += size
        return size


@pytest.fixture
def card(monkeypatch):
    card = Card(taken_mb=500)
    monkeypatch.setattr(torch.cuda, "mem_get_info", card.mem_get_info)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch, "empty", card.empty)
    return card


def test_little_memory_leaves_what_was_asked_for(card):
    """The device's own free memory is brought down, in pieces that fit, whatever the card's size."""
    with situations.little_memory("cuda", 256 * MB) as free:
        assert 256 * MB <= free <= 260 * MB


def test_out_of_memory_is_met_and_recovered_from(card):
    """The shortage is a real one: a card that would grant twice its memory is refused as no test."""
    situations.out_of_memory("cuda")

    card.taken = -4 * card.total
    with pytest.raises(RuntimeError, match="no out-of-memory test"):
        situations.out_of_memory("cuda")


def test_an_error_in_one_thread_is_raised():
    """Threads that fail are not forgotten."""

    def work(number):
        if number == 2:
            raise ValueError("third")
        return number

    assert situations.in_threads(lambda number: number, 3) == [0, 1, 2]
    with pytest.raises(ValueError, match="third"):
        situations.in_threads(work, 4)
