"""`--recipe coqui` and coqui's own GPTTrainer, trained side by side from the same weights on the same clips.

Dropout is off on both sides, as its random numbers are drawn in another order; everything else is as both run it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from cufft_harness.audio import read_mono, write_pcm16
from cufft_harness.dataset.metadata import built_in
from cufft_harness.training.events import EpochEnded, Stepped
from cufft_harness.training.settings import Settings
from cufft_harness.xtts import tiny
from torch import nn
from trainer import Trainer

from repro import machine
from repro.benchmarks.run import ready
from repro.store import RunFile
from repro.training import coqui

SIZE = replace(tiny.TINY, dvae_channels=512)
"""coqui's trainer takes no other DVAE."""
UPDATES = 30
CLIPS = 26
"""To train on: in batches of 3 an epoch has 9, and the last of its 5 updates is made of one batch instead of two."""


@dataclass
class Side:
    """What one of the two did, update by update."""

    losses: list[float] = field(default_factory=list)
    weights: list[torch.Tensor] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def note(self, gpt: nn.Module) -> None:
        """Keep the weights as they are now."""
        self.weights.append(torch.cat([one.detach().reshape(-1).clone() for one in gpt.parameters()]))


@dataclass(frozen=True)
class Compared:
    """How far the two are apart.

    Attributes:
        loss: largest relative difference of an update's loss.
        cosine: smallest cosine between what an update did to all weights.
        whole: cosine between what all updates together did.
        validation: largest relative difference of an epoch's validation loss.
        folder: coqui's run directory.
    """

    updates: int
    loss: float
    cosine: float
    whole: float
    validation: float
    first: float
    last: float
    folder: Path

    @property
    def holds(self) -> bool:
        """The same training, but for rounding."""
        return max(self.loss, self.validation) <= 1e-5 and self.cosine >= 0.9999


def make_data(folder: Path) -> Path:
    """The built-in speech as WAV at 22 050 Hz, so that neither side resamples; 2 clips to validate on."""
    rows = [
        line.split("|")
        for part in ("train", "val")
        for line in (built_in() / f"metadata_{part}.csv").read_text(encoding="utf-8").splitlines()
    ]
    (folder / "wavs").mkdir(parents=True)
    lines = []
    for name, text, language in rows:
        wav = Path(name).with_suffix(".wav")
        write_pcm16(folder / wav, read_mono(built_in() / name, coqui.SAMPLE_RATE), coqui.SAMPLE_RATE)
        lines.append(f"{wav}|{text}|{language}\n")
    for part, chosen in (("train", lines[:CLIPS]), ("val", lines[CLIPS:])):
        (folder / f"metadata_{part}.csv").write_text("".join(chosen), encoding="utf-8")
    return folder


def compare(work: Path, updates: int, **changes: Any) -> Compared:
    """Train both for so many updates (five an epoch) in a folder, and compare them."""
    model = tiny.build(work / "model", SIZE)
    values = {
        "recipe": "coqui",
        "gradient_accumulation_steps": 2,
        "num_epochs": -(-updates // 5),
        "model": str(model),
        "data": make_data(work / "data"),
        "output": work / "ours",
        "device": "cpu",
        "samples": False,
        "keep_checkpoints": 1,
    }
    settings = Settings(**{**values, **changes})
    ours, theirs = Side(), Side()
    with ready(settings) as (trainer, prepared):
        without_dropout(trainer.model)
        ours.note(trainer.model)
        for event in trainer.run():
            match event:
                case Stepped():
                    ours.losses.append(event.loss)
                    ours.note(trainer.model)
                case EpochEnded():
                    ours.validation.append(event.losses.validation)
        clips = prepared.audited.train, prepared.audited.validation
    batches: list[float] = []

    def after_step(one: Trainer, loss: float) -> None:
        batches.append(loss)
        if any(parameter.grad is not None for parameter in one.model.xtts.gpt.parameters()):
            return  # gathers more before it updates
        theirs.losses.append(sum(batches) / len(batches))
        theirs.note(one.model.xtts.gpt)
        batches.clear()

    def prepare(model: nn.Module) -> None:
        without_dropout(model)
        theirs.note(model.xtts.gpt)  # type: ignore[arg-type,union-attr]

    def after_epoch(one: Trainer) -> None:
        theirs.validation.append(float(one.keep_avg_eval["avg_loss"]))  # of one batch: its mean leaves the first out

    folder = coqui.train(replace(settings, output=work / "theirs"), model, clips, after_step, after_epoch, prepare)
    return _compared(ours, theirs, folder)


def without_dropout(model: nn.Module) -> None:
    """Switch dropout off where it is switched on by `train`."""
    for module in model.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout1d)):
            module.p = 0.0


def _compared(ours: Side, theirs: Side, folder: Path) -> Compared:
    if len(ours.weights) != len(theirs.weights):
        raise RuntimeError(f"{len(ours.losses)} updates here, {len(theirs.losses)} there")

    def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
        return float(nn.functional.cosine_similarity(first.double(), second.double(), dim=0))

    steps = [
        cosine(a - b, c - d)
        for a, b, c, d in zip(ours.weights[1:], ours.weights, theirs.weights[1:], theirs.weights, strict=False)
    ]

    def apart(first: list[float], second: list[float]) -> float:
        return max(abs(a - b) / abs(b) for a, b in zip(first, second, strict=True))

    return Compared(
        updates=len(ours.losses),
        loss=apart(ours.losses, theirs.losses),
        cosine=min(steps),
        whole=cosine(ours.weights[-1] - ours.weights[0], theirs.weights[-1] - theirs.weights[0]),
        validation=apart(ours.validation, theirs.validation),
        first=ours.losses[0],
        last=ours.losses[-1],
        folder=folder,
    )


def measure() -> Iterator[dict[str, object]]:
    """Rows of the results file: coqui's rate, and one at which the loss falls."""
    for rate in (5e-6, 1e-3):
        with tempfile.TemporaryDirectory(prefix="parity-") as work:
            found = compare(Path(work), UPDATES, learning_rate=rate)
        yield {
            "rate": f"{rate:g}",
            "updates": found.updates,
            "losses": f"{found.first:.4f} to {found.last:.4f}",
            "apart": f"{found.loss:.1e}",
            "validation": f"{found.validation:.1e}",
            "cosine": f"{found.cosine:.6f}",
            "whole": f"{found.whole:.6f}",
            "holds": "yes" if found.holds else "no",
        }


COLUMNS = {
    "rate": "learning rate",
    "updates": "updates",
    "losses": "loss, first to last",
    "apart": "training losses apart, relative, at most",
    "validation": "validation losses apart",
    "cosine": "cosine of an update, at least",
    "whole": "cosine of all updates together",
    "holds": "losses to 1e-5, cosine at least 0.9999",
}


def main() -> int:
    """Run both and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("repro/results"))
    given = parser.parse_args()
    facts = machine.facts()
    note = (
        f"On {facts['processor']}, torch {torch.__version__}. The tiny model, whose codes speech uses widely, "
        f"{CLIPS} clips in batches of 3, two batches an update, coqui-tts's own `Trainer.fit`. Both were given the "
        "same draws, dropout was off, everything else as `--recipe coqui` and GPTTrainer's recipe have it."
    )
    head = {"title": "Recipe coqui beside GPTTrainer", "note": note, "columns": COLUMNS, "machine": facts}
    file = RunFile(given.results, "training-parity", "training", head)
    held = True
    for row in measure():
        print(row, flush=True)
        file.add(row)
        held = held and row["holds"] == "yes"
    file.finish()
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
