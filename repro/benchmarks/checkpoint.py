"""A checkpoint that holds given weights and nothing to go on training with."""

from __future__ import annotations

from pathlib import Path

from cufft_harness.checkpoints import Checkpoint, CheckpointFolder, Position
from cufft_harness.weights import GptState, weights_digest


def of_base_model(gpt: GptState, path: Path) -> Path:
    """Write the weights as a checkpoint, through the same code as training does."""
    checkpoint = Checkpoint(
        gpt=gpt,
        adapters={},
        optimizer={},
        scheduler={},
        scaler={},
        rng={},
        position=Position(epoch=2),
        running=[],
        history=[],
        best_validation=0.0,
        settings={},
        model_fingerprint="",
        weights_sha256=weights_digest(gpt),
    )
    return CheckpointFolder(path.parent).save(checkpoint)
