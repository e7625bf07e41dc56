"""What a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cufft_harness.errors import printable
from cufft_harness.weights import GptState


class BrokenCheckpoint(ValueError):
    """The file is no valid checkpoint; the message says why, in one line that may quote what the file holds."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@dataclass(frozen=True)
class Losses:
    """What an epoch came to; means over its batches."""

    epoch: int
    train_text: float
    train_audio: float
    train: float
    validation_text: float
    validation_audio: float
    validation: float


@dataclass(frozen=True, order=True)
class Position:
    """Where a run stands; the further one is the greater.

    Attributes:
        epoch: the epoch being trained, from 1; all before it are complete.
        batch: batches of it already trained, by all processes together; 0 between epochs.
        update: updates of the weights so far.
    """

    epoch: int = 1
    batch: int = 0
    update: int = 0


@dataclass
class Checkpoint:
    """All a run needs to go on as if it had never stopped.

    Attributes:
        gpt: plain weights of the GPT; with LoRA the adapters are merged in.
        adapters: the LoRA adapters apart; empty without LoRA.
        optimizer: AdamW's state dictionary; the state is numbered as the run's trained parameters are.
        scheduler: the epochs that the learning rate decays over, `decay_epochs`; absent in older files.
        scaler: of the fp16 gradients; empty with other arithmetic.
        rng: states of the random generators.
        running: sums of the losses of the unfinished epoch, and how many batches they hold.
        history: of each complete epoch, in order.
        model_fingerprint: of the base model.
        weights_sha256: of `gpt`.
        processes: that trained together.
    """

    gpt: GptState
    adapters: GptState
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    rng: dict[str, Any]
    position: Position
    running: list[float]
    history: list[Losses]
    best_validation: float
    settings: dict[str, Any]
    model_fingerprint: str
    weights_sha256: str
    processes: int = 1

    @property
    def complete_epochs(self) -> int:
        """Epochs that are over."""
        return self.position.epoch - 1
