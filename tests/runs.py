"""What tests of whole runs share: settings of a run that speaks, and what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cufft_harness.checkpoints import CheckpointFolder, load
from cufft_harness.files import read_json_lines

TEXT = "Olá, este é um teste."
SPOKEN = {
    "samples": True,
    "sample_base_model": False,
    "sample_text": TEXT,
    "sample_max_seconds": 0.5,
    "sample_time_limit": 20.0,
    "keep_checkpoints": 0,
}


def manifest(output: Path) -> list[dict[str, Any]]:
    return read_json_lines(output / "samples" / "manifest.jsonl")


def history(output: Path) -> list[object]:
    newest = CheckpointFolder(output / "checkpoints").newest()
    assert newest is not None
    return list(load(newest).history)
