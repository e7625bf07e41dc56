"""A checkpoint as a directory that stock TTS loads: the base model with the fine-tuned GPT in place."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from cufft_harness.errors import UserError
from cufft_harness.files import atomic_path, make_folder
from cufft_harness.xtts.directory import LoadedXtts, ModelDirectory

COPIED = ("config.json", "vocab.json", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth")


def export(base: ModelDirectory, gpt: Mapping[str, torch.Tensor], target: Path) -> Path:
    """Write an XTTS-v2 directory for users: `Xtts.load_checkpoint(config, checkpoint_dir=target)` reads it.

    Args:
        base: the directory the run started from.
        gpt: the fine-tuned weights, as a checkpoint holds them under "gpt".
        target: a new or empty directory.

    Raises:
        UserError: the target holds something already; nothing is written then.
    """
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty.", "Give a new directory; nothing was written.")
    model = LoadedXtts(base.config())
    state = model.get_compatible_checkpoint_state_dict(base.path / "model.pth")
    state = {name: tensor for name, tensor in state.items() if not name.startswith("gpt.")}
    state.update({f"gpt.{name}": tensor for name, tensor in gpt.items()})
    make_folder(target)
    for name in COPIED:
        if (base.path / name).exists():
            with atomic_path(target / name) as path:
                shutil.copyfile(base.path / name, path)
    with atomic_path(target / "model.pth") as path:
        torch.save({"model": state}, path)
    return target
