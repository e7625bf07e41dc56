"""The models that are measured: coqui's classes with random weights that never say stop, so that lengths are fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from cufft_harness.files import atomic_path
from cufft_harness.xtts import tiny

# coqui's trainer takes no other DVAE than one of 512 channels
SIZES = {"tiny": replace(tiny.TINY, dvae_channels=512), "full": tiny.FULL}


def prepare(folder: Path, size: str) -> Path:
    """Build the model of `size` in `folder`, once."""
    directory = folder / f"{size}-xtts"
    if not (directory / "ready").exists():
        tiny.build(directory, SIZES[size])
        content = torch.load(directory / "model.pth", weights_only=True, mmap=True)
        content["model"]["gpt.mel_head.bias"] = content["model"]["gpt.mel_head.bias"].clone()
        content["model"]["gpt.mel_head.bias"][
            SIZES[size].audio_codes + 1
        ] = -30  # the stop token: rarer than once in 1e12
        with atomic_path(directory / "model.pth") as path:
            torch.save(content, path)
        (directory / "ready").touch()
    return directory
