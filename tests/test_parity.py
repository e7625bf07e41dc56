"""--recipe coqui trains as coqui's own GPTTrainer does: the short form of `nox -s parity`."""

from __future__ import annotations

from pathlib import Path

from repro.training.parity import compare


def test_recipe_coqui_trains_as_coqui_does(tmp_path: Path):
    """An epoch of five updates, the last of fewer batches: losses are equal to 1e-5, updates point the same way."""
    found = compare(tmp_path, updates=5, learning_rate=1e-3)
    assert found.updates == 5
    assert found.loss <= 1e-5
    assert found.validation <= 1e-5
    assert found.cosine >= 0.9999
