"""What our defaults rest on: one setting changed at a time, over seeds, judged by validation.

The model is tiny and begins with random weights, so this tells which choice harms learning, not what a fine-tuned voice
sounds like. Validation is taken twice: conditioned on the clip itself, as GPTTrainer does, and on another clip of the
same speaker, as in use, where what the reference says is not what is to be said.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from cufft_harness.training.loop import Trainer
from cufft_harness.training.settings import Settings
from cufft_harness.xtts import tiny

from repro import machine
from repro.benchmarks.run import ready
from repro.store import RunFile

UPDATES = 60
EVERY = 6
"""Updates between validations, about an epoch; what counts is the best, as best_model.pt is what is kept."""
SEEDS = 6
BASELINE: dict[str, Any] = {"learning_rate": 1e-3, "masking": "slice", "batch_size": 4}
VARIANTS: dict[str, dict[str, Any]] = {
    "masking slice (the codes that condition)": {},
    "masking none": {"masking": "none"},
    "masking coqui": {"masking": "coqui"},
    "adam_beta2 0.96 (coqui)": {"adam_beta2": 0.96},
    "max_grad_norm 0, no clipping (coqui)": {"max_grad_norm": 0.0},
    "weight_decay_on all": {"weight_decay_on": "all"},
    "lr_schedule cosine over the run": {"lr_schedule": "cosine"},
    "draw balanced (coqui)": {"draw": "balanced"},
    "features per-batch (coqui)": {"features": "per-batch"},
}
COLUMNS = {
    "what": "one setting changed",
    "train": "training, last 20 updates",
    "own": "lowest validation, own clip",
    "other": "lowest validation, another clip",
    "difference": "difference to the first row, another clip",
    "seeds": "seeds",
}


def measure(work: Path, seeds: int, updates: int) -> Iterator[dict[str, object]]:
    """One row a variant, with differences seed by seed."""
    model = tiny.build(work / "model")
    first: list[float] = []
    for what, changes in VARIANTS.items():
        found = [
            _train(_settings(work, model, changes, seed, updates), updates)
            for seed in range(seeds if "masking" in what else max(2, seeds // 2))
        ]
        train, own, other = (list(column) for column in zip(*found, strict=True))
        first = first or other
        apart = [a - b for a, b in zip(other, first, strict=False)]
        yield {
            "what": what,
            "train": f"{mean(train):.3f}",
            "own": f"{mean(own):.3f}",
            "other": f"{mean(other):.3f}",
            "difference": f"{mean(apart):+.3f} ± {stdev(apart) / len(apart) ** 0.5:.3f}" if any(apart) else "",
            "seeds": len(found),
        }


def _settings(work: Path, model: Path, changes: dict[str, Any], seed: int, updates: int) -> Settings:
    values = {"model": str(model), "output": work / "run", "device": "cpu", "samples": False, "seed": seed}
    return Settings(**{**BASELINE, **values, "lr_decay_epochs": max(1, updates // 6), **changes})


def _train(settings: Settings, updates: int) -> tuple[float, float, float]:
    """Mean training loss of the last updates, and the lowest of both validations on the way."""
    with ready(settings) as (trainer, _prepared):
        every_epoch = chain.from_iterable(map(trainer.data.train.epoch, count(1)))
        losses, own, other = [], [], []
        for batch in islice(every_epoch, updates):
            losses.append(trainer.update([batch]).loss)
            if len(losses) % EVERY == 0:
                own.append(_validate(trainer, 0))
                other.append(_validate(trainer, 1))
        return mean(losses[-20:]), min(own), min(other)


@torch.no_grad()
def _validate(trainer: Trainer, turn: int) -> float:
    """Mean loss over clips, each conditioned on the one `turn` places further among those of its language."""
    trainer.model.eval()
    data = trainer.data.validation
    languages = sorted({clip.row.language for clip in data.clips})
    total = 0.0
    for language in languages:
        indices = [number for number, clip in enumerate(data.clips) if clip.row.language == language]
        batch = data.collate(indices, 0)
        batch = replace(batch, conditioning=batch.conditioning.roll(turn, 0))
        total += float(trainer.model(batch)[2]) * len(indices)
    trainer.model.train()
    return total / len(data.clips)


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("repro/results"))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the rows on masking; half as many of the others")
    parser.add_argument("--updates", type=int, default=UPDATES)
    given = parser.parse_args()
    facts = machine.facts()
    limits = " ".join((__doc__ or "").split("\n\n")[1].split())
    note = (
        f"Built-in speech, {given.updates} updates of 4 clips at learning rate 1e-3 from random weights; differences "
        f"are of the same seeds, ± the standard error. Lower is better. {limits}"
    )
    head = {"title": "Settings, one changed at a time", "note": note, "columns": COLUMNS, "machine": facts}
    file = RunFile(given.results, "training-variants", "training", head)
    with tempfile.TemporaryDirectory(prefix="variants-") as work:
        for row in measure(Path(work), given.seeds, given.updates):
            print(row, flush=True)
            file.add(row)
    file.finish()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
