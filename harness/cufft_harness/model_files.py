"""What `--model` may name, and what an XTTS-v2 directory holds; checked without torch or TTS."""

from __future__ import annotations

import re
from pathlib import Path

from cufft_harness.errors import UserError
from cufft_harness.files import expanded

TINY = "tiny"
TINY_FOLDER = "tiny-xtts"
"""Where the tiny model is made, in the output directory."""
LISTED = "tts_models/multilingual/multi-dataset/xtts_v2"
REQUIRED = ("model.pth", "config.json", "vocab.json", "dvae.pth", "mel_stats.pth")
# The text that lies in place of a large file after a `git clone` without Git LFS.
_SAVED = {kind: re.compile(rf"{kind}_(\d+)\.pth") for kind in ("best_model", "checkpoint")}
_POINTER = b"version https://git-lfs"


def check_model(name: str) -> None:
    """Check that a `--model` can be meant: `tiny`, TTS's listed name, a whole directory, a checkpoint of coqui's.

    Raises:
        UserError: it cannot; says what is missing.
    """
    if name.startswith("tts_models/"):
        if name != LISTED:
            raise UserError(f"{name} is not a model this program trains.", f"Use {LISTED}, a directory, or `tiny`.")
    elif name != TINY and coqui_checkpoint(expanded(Path(name))) is None:
        check_directory(expanded(Path(name)))


def is_model(path: Path) -> bool:
    """Whether a path is a model by itself: an XTTS-v2 directory, or what coqui's trainer left."""
    return (path / "model.pth").is_file() or coqui_checkpoint(path) is not None


def coqui_checkpoint(path: Path) -> Path | None:
    """The file of coqui's trainer that a path means: itself, or the best one, else the newest, of its run directory."""
    if path.is_file() and path.suffix == ".pth":
        return path
    if (path / "model.pth").exists():
        return None
    for kind in ("best_model", "checkpoint"):
        numbered = [(int(found[1]), file) for file in path.glob("*.pth") if (found := _SAVED[kind].match(file.name))]
        if (path / f"{kind}.pth").is_file():
            return path / f"{kind}.pth"
        if numbered:
            return max(numbered)[1]
    return None


def check_directory(path: Path) -> None:
    """Check that a directory holds the files of an XTTS-v2 model.

    Raises:
        UserError: naming what is missing, or only stands for a file.
    """
    if not path.is_dir():
        raise UserError(f"no model directory at {path}.", "Give --model a directory with an XTTS-v2 model, or `tiny`.")
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise UserError(
            f"{path} is no XTTS-v2 directory: {', '.join(missing)} missing.",
            f"It needs {', '.join(REQUIRED)}; dvae.pth and mel_stats.pth are downloads of their own.",
        )
    for name in REQUIRED:
        with (path / name).open("rb") as stream:
            if stream.read(len(_POINTER)) == _POINTER:
                raise UserError(f"{path / name} only points to a file in Git LFS.", "Run `git lfs pull` in its clone.")
