"""A checkpoint from its file: read once, checked wholly, or refused with one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cufft_harness.checkpoints import schema
from cufft_harness.checkpoints.contents import BrokenCheckpoint, Checkpoint, Losses, Position
from cufft_harness.errors import UserError
from cufft_harness.weights import BrokenFile, first_damaged_part, read_weights, weights_digest

FORMAT = 1


def verify(path: Path) -> Checkpoint:
    """Read a file and check it as a whole: CRC-32 of every part, the schema, and that the weights are the ones it says.

    Raises:
        BrokenCheckpoint: anything is wrong.
        OSError: it cannot be read.
    """
    try:
        bad = first_damaged_part(path)
    except BrokenFile as problem:
        raise BrokenCheckpoint(str(problem)) from problem
    if bad is not None:
        raise BrokenCheckpoint(f"part {bad!r} is damaged")
    checkpoint = load(path)
    if weights_digest(checkpoint.gpt) != checkpoint.weights_sha256:
        raise BrokenCheckpoint("its weights are not the ones it was written with")
    return checkpoint


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; tensors stay in the file until they are used.

    Raises:
        BrokenCheckpoint: the file is damaged, of another program or format, or holds what no checkpoint does.
        OSError: it cannot be read.
    """
    try:
        data = read_weights(path, archive=True)
    except BrokenFile as problem:
        raise BrokenCheckpoint(str(problem)) from problem
    written = data.pop("format", None) if isinstance(data, dict) else None
    if type(written) is not int or written != FORMAT:  # a tensor, say, would be compared value by value
        raise BrokenCheckpoint("not a checkpoint of this program, or of another version")
    checkpoint = _from_data(data)
    schema.check(checkpoint)
    return checkpoint


def _from_data(data: dict[str, Any]) -> Checkpoint:
    if not isinstance(data.get("history"), list):
        raise BrokenCheckpoint("incomplete (it has no history)")
    try:
        data["position"] = Position(**data["position"])
        data["history"] = [Losses(**losses) for losses in data["history"]]
        return Checkpoint(**data)
    except (TypeError, KeyError) as error:
        raise BrokenCheckpoint(f"incomplete ({str(error)[:200]})") from error


def load_for_sampling(path: Path) -> Checkpoint:
    """Read and check a checkpoint a user named.

    Raises:
        UserError: it is not there or not valid.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}.")
    try:
        return verify(path)
    except BrokenCheckpoint as problem:
        raise UserError(f"{path} is no valid checkpoint: {problem}.") from problem
