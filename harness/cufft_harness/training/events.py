"""What a run yields as it goes: who iterates over `run(settings)` sees everything and may stop anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cufft_harness.checkpoints import Losses


@dataclass(frozen=True)
class EpochStarted:
    """An epoch begins, or goes on after a resume.

    Attributes:
        batches: of the epoch, over all processes.
        done: of these, trained before.
    """

    epoch: int
    batches: int
    done: int


@dataclass(frozen=True)
class Stepped:
    """The weights were updated once; this process's figures.

    Attributes:
        batches: that went into it, over all processes.
        update: number of the update in the run, from 1.
        loss: mean over the update's batches.
        gradient_norm: before clipping.
        learning_rate: the one it was made with.
    """

    epoch: int
    batches: int
    update: int
    loss: float
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True)
class BaseValidated:
    """What the validation set came to before the first update: mean losses of the base model."""

    text: float
    audio: float
    total: float


@dataclass(frozen=True)
class EpochEnded:
    """An epoch is over and validated; nothing of it is saved yet."""

    losses: Losses


@dataclass(frozen=True)
class CheckpointWritten:
    """A checkpoint has its name; one of a whole epoch is still to be read back.

    Attributes:
        epoch: the newest complete one.
    """

    epoch: int
    path: Path


@dataclass(frozen=True)
class CheckpointVerified:
    """An epoch's checkpoint was read back and is what was written: samples may be made of it, older ones may go.

    Attributes:
        best: no epoch before had a lower validation loss.
    """

    epoch: int
    path: Path
    best: bool


@dataclass(frozen=True)
class Ended:
    """The run is over; nothing follows.

    Attributes:
        exit_code: 0, or 128 plus the signal that ended it.
    """

    exit_code: int


Event = EpochStarted | Stepped | BaseValidated | EpochEnded | CheckpointWritten | CheckpointVerified | Ended
