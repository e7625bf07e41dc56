"""Checkpoints: complete, written whole, verified, and only then allowed to replace older ones.

A file is a zip archive of tensors and plain data that `torch.load(weights_only=True)` reads, so it cannot run code. It
holds a CRC-32 of every part, and the GPT's weights carry a SHA-256: a file that was cut short or altered is found and
skipped. So is one whose contents are not wholly those of a checkpoint, whoever made it: `schema` says what they are.
`best_model.pt` is a second name (hard link) of the best epoch's file, where links exist.
"""

from cufft_harness.checkpoints.contents import BrokenCheckpoint, Checkpoint, Losses, Position
from cufft_harness.checkpoints.folder import BEST, INTERRUPTED, CheckpointFolder
from cufft_harness.checkpoints.reading import load, load_for_sampling, verify

__all__ = [
    "BEST",
    "INTERRUPTED",
    "BrokenCheckpoint",
    "Checkpoint",
    "CheckpointFolder",
    "Losses",
    "Position",
    "load",
    "load_for_sampling",
    "verify",
]
