"""dataset.batches: what an epoch is made of, and what of it is scored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from cufft_harness.dataset.audit import Clip
from cufft_harness.dataset.batches import Batches, Masking
from cufft_harness.dataset.features import BatchFeatures, Choose
from cufft_harness.dataset.metadata import Row
from cufft_harness.xtts.directory import ModelDirectory, gpt_for_training, load
from cufft_harness.xtts.loss import TrainingModel
from TTS.tts.layers.xtts import gpt as coqui

SHORT = 50_715
"""Samples of a clip of 2.3 s: 50 codes."""


class Noise:
    """A source of features of clips that all have `frames` samples."""

    def __init__(self, frames: int = SHORT) -> None:
        self.frames = frames

    def of(self, clips: Any, choose: Choose) -> BatchFeatures:
        """Codes that count up, and a silent slice."""
        slices = [choose(number, self.frames) for number in range(len(clips))]
        codes = torch.arange(-(-self.frames // 1024)).expand(len(clips), -1) % 1000
        return BatchFeatures(torch.zeros(len(clips), 80, 517), codes, [self.frames] * len(clips), slices)


def clips(*languages: str) -> list[Clip]:
    return [
        Clip(Row(f"m:{number}", f"{number}.wav", "a", language), Path(f"{number}.wav"), str(number), (5, 6, 7), 2.3)
        for number, language in enumerate(languages)
    ]


def batches(data: list[Clip], **named: Any) -> Batches:
    return Batches(data, Noise(), **{"batch_size": 4, "seed": 3, "training": True, **named})


def test_a_balanced_epoch_draws_each_language_as_often():
    """As many clips as there are, with replacement: of 2 rows in a hundred, half the draws."""
    data = batches(clips(*["pt"] * 98, "en", "en"), draw="balanced")
    epochs = [[index for batch in data.indices(epoch) for index in batch] for epoch in range(10)]
    assert {len(drawn) for drawn in epochs} == {100}
    english = sum(index >= 98 for drawn in epochs for index in drawn)
    assert 400 < english < 600
    assert epochs[0] != epochs[1]
    assert max(Counter(epochs[0]).values()) > 1


def test_an_epoch_can_be_entered_anywhere():
    """What a resumed run sees is what it would have seen, however clips are drawn."""
    for draw in ("each-once", "balanced"):
        data = batches(clips(*["pt"] * 9, "en"), draw=draw)
        whole, rest = [*data.epoch(2)], [*data.epoch(2, 1)]
        assert len(whole) == 3
        for one, other in zip(whole[1:], rest, strict=True):
            assert one.slices is not None
            assert other.slices is not None
            assert torch.equal(one.slices, other.slices)


@pytest.fixture(scope="module")
def model(tiny: Path) -> TrainingModel:
    return TrainingModel(gpt_for_training(load(ModelDirectory.at(tiny))))


@pytest.mark.parametrize(("masking", "share"), [("none", 0.0), ("slice", 0.49), ("coqui", 0.26)])
def test_what_is_masked(model: TrainingModel, monkeypatch: pytest.MonkeyPatch, masking: Masking, share: float):
    """Of the last clip of each batch alone; 2.3 s long, half of its codes condition, and coqui masks others, fewer."""
    targets: list[torch.Tensor] = []
    entropy = coqui.F.cross_entropy

    def spy(logits: torch.Tensor, target: torch.Tensor, **named: Any) -> torch.Tensor:
        targets.append(target)
        return entropy(logits, target, **named)

    def no_logits(text: torch.Tensor, _head: Any, codes: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, ...]:
        return tuple(torch.zeros(len(one), 1026, one.shape[1]) for one in (text, codes))

    monkeypatch.setattr(coqui.F, "cross_entropy", spy)
    monkeypatch.setattr(model.gpt, "get_logits", no_logits)  # the targets are asked for, not the transformer
    monkeypatch.setattr(model.gpt, "get_style_emb", lambda mel: torch.zeros(len(mel), 128, 32))
    with torch.no_grad():
        for batch in batches(clips(*["pt"] * 400), batch_size=2, masking=masking).epoch(1):
            model(batch)
    codes = torch.stack([target[:, :50] for target in targets[1::2]])
    assert (codes[:, 0] != -1).all()
    masked = (codes[:, 1] == -1).float().mean(1)
    assert float(masked.mean()) == pytest.approx(share, abs=0.03)
    if masking == "slice":
        assert float(masked.min()) == pytest.approx(0.49, abs=0.02)


def test_validation_masks_nothing(model: TrainingModel):
    """And conditions on the beginning of each clip."""
    (batch,) = batches(clips("pt"), training=False, masking="slice").epoch(0)
    assert batch.slices is None
