"""What every part of a checkpoint has to be, checked once and wholly before anything of it is used.

A file made by somebody else may hold anything anywhere: `torch.load` refuses code, not nonsense. PyTorch's fused
optimizer, for one, trusts that a state is as long as its parameter, and reads and writes beyond it where it is not.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch

from cufft_harness.checkpoints.contents import BrokenCheckpoint, Checkpoint, Losses, Position
from cufft_harness.weights import GptState

DTYPES = frozenset(
    {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool}
)
MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's running means of the gradient and of its square, each as large as the parameter it belongs to."""
MOMENTS_8BIT = ("state1", "state2")
"""The same of bitsandbytes' AdamW8bit: small ones in float32, others in bytes, every `BLOCK` of them with a scale."""
QUANTIZED = frozenset({"qmap1", "qmap2", "absmax1", "absmax2"})
WRAPPED = "__bnb_optimizer_quant_state__"
"""Where bitsandbytes puts `QUANTIZED` in a state dictionary, from 0.46 on."""
BLOCK, LEVELS = 256, 256
SCALER = frozenset({"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"})
"""What `torch.amp.GradScaler.state_dict` gives."""
CUDA_STATE_BYTES = 16
"""A CUDA generator's state: seed and offset, eight bytes each."""


@dataclass(frozen=True)
class Run:
    """What a checkpoint must fit for a run to go on from it.

    Attributes:
        gpt: the weights as the run would save them now.
        adapters: the LoRA adapters, likewise.
        parameters: what the optimizer updates, in its order.
        batches: of an epoch, over all processes.
        eight_bit: the optimizer is bitsandbytes' AdamW8bit, not PyTorch's AdamW.
    """

    gpt: GptState
    adapters: GptState
    parameters: Sequence[torch.Tensor]
    batches: int
    eight_bit: bool = False


def check(checkpoint: Checkpoint) -> None:
    """Check everything that can be checked without knowing the run.

    Raises:
        BrokenCheckpoint: something is not what a checkpoint holds; the message names it.
    """
    _check_weights("gpt", checkpoint.gpt)
    _check_weights("adapters", checkpoint.adapters)
    _demand(type(checkpoint.processes) is int and checkpoint.processes >= 1, "it says of no number of processes")
    _check_position(checkpoint.position, checkpoint.history)
    _check_running(checkpoint.running, checkpoint.position, checkpoint.processes)
    _demand(_is_number(checkpoint.best_validation), "its best validation loss is no number")
    _check_optimizer(checkpoint.optimizer)
    decay = _dict(checkpoint.scheduler, "schedule").get("decay_epochs", 1)
    _demand(_is_number(decay) and 0 < decay < math.inf, "its schedule is none")
    _check_scaler(checkpoint.scaler)
    _check_all_generators(checkpoint.rng)
    _demand(_is_json(_dict(checkpoint.settings, "settings")), "its settings are no settings")
    names = (checkpoint.model_fingerprint, checkpoint.weights_sha256)
    _demand(all(isinstance(name, str) and len(name) <= 128 for name in names), "it does not say which model it is of")


def check_fits(checkpoint: Checkpoint, run: Run) -> None:
    """Check what the run has to say about: names, shapes and dtypes of weights and optimizer state, and the position.

    Raises:
        BrokenCheckpoint: it is of another run, or damaged.
    """
    _check_same("gpt", checkpoint.gpt, run.gpt)
    _check_same("adapters", checkpoint.adapters, run.adapters)
    for number, state in checkpoint.optimizer["state"].items():
        fits = number < len(run.parameters) and _state_fits(_flat(state), run.parameters[number], run.eight_bit)
        _demand(fits, f"its optimizer's state {number} is not like its parameter")
    batch = checkpoint.position.batch
    _demand(batch <= run.batches, f"it stands at batch {batch} of an epoch that has {run.batches} batches now")


def _demand(right: bool, otherwise: str) -> None:
    if not right:
        raise BrokenCheckpoint(otherwise)


def _dict(value: object, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise BrokenCheckpoint(f"its {what} is no dictionary")
    return value


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_plain(value: object) -> TypeGuard[torch.Tensor]:
    """A dense tensor on the CPU whose values lie one after another within its own memory.

    Sparse, nested, meta, conjugate and quantized ones are not, nor is one value that claims to be a million.
    """
    return (
        type(value) is torch.Tensor
        and not value.is_nested
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.dtype in DTYPES
        and not (value.is_neg() or value.requires_grad)
        and value.is_contiguous()
        and (value.storage_offset() + value.numel()) * value.element_size() <= value.untyped_storage().nbytes()
    )


def _alike(value: torch.Tensor, other: torch.Tensor) -> bool:
    return value.shape == other.shape and value.dtype == other.dtype


def _check_weights(part: str, weights: object) -> None:
    for name, tensor in _dict(weights, part).items():
        named = isinstance(name, str) and name.isascii() and name.isprintable() and len(name) < 1000
        _demand(named, f"a name in its {part} is no name")
        _demand(_is_plain(tensor), f"{name!r} in its {part} is no plain tensor")


def _check_same(part: str, weights: GptState, own: GptState) -> None:
    _demand(weights.keys() == own.keys(), f"the names in its {part} are not the model's")
    for name, tensor in weights.items():
        _demand(_alike(tensor, own[name]), f"{name!r} in its {part} is not like the model's")


def _check_position(position: Position, history: list[Losses]) -> None:
    numbers = (position.epoch, position.batch, position.update)
    in_range = all(type(number) is int and 0 <= number < 2**53 for number in numbers)  # a float holds them exactly
    _demand(in_range and position.epoch >= 1, "its position in the run is no position")
    for losses in history:
        _demand(all(map(_is_number, vars(losses).values())), "its history holds something that is no loss")
    complete = len(history) == position.epoch - 1 and all(one.epoch == at for at, one in enumerate(history, start=1))
    _demand(complete, "its history is not that of the epochs before")


def _check_running(running: object, position: Position, processes: int) -> None:
    if not (isinstance(running, list) and len(running) == 4 and all(map(_is_number, running))):
        raise BrokenCheckpoint("its sums of the losses are none")
    # the last group of an epoch may hold a batch for a process that the epoch has no more for
    of_the_epoch = all(map(math.isfinite, running)) and 0 <= running[3] <= position.batch + processes
    _demand(of_the_epoch and (position.batch > 0 or not any(running)), "its sums of the losses are of other batches")


def _check_optimizer(optimizer: object) -> None:
    for number, state in _dict(_dict(optimizer, "optimizer").get("state"), "optimizer's state").items():
        _demand(type(number) is int and number >= 0, "its optimizer numbers no parameters")
        parts = dict(_flat(_dict(state, f"optimizer's state {number}")))
        step = parts.pop("step", None)
        known = parts.keys() in ({*MOMENTS}, {*MOMENTS_8BIT}, {*MOMENTS_8BIT, *QUANTIZED})
        _demand(known and all(map(_is_plain, parts.values())), f"its optimizer's state {number} is not AdamW's")
        if "exp_avg" in parts:  # PyTorch's counts in a tensor, bitsandbytes' in a number
            scalar = _is_plain(step) and step.dtype is torch.float32 and step.dim() == 0
            step = int(step) if scalar and torch.isfinite(step) else None
        # an optimizer that was taken over has made more than the run has
        _demand(type(step) is int and 0 <= step < 2**53, f"its optimizer's state {number} counts no updates")


def _flat(state: dict[str, Any]) -> dict[str, Any]:
    """The state of one parameter without bitsandbytes' wrapping."""
    inner = state.get(WRAPPED)
    return (
        {name: value for name, value in state.items() if name != WRAPPED} | inner if isinstance(inner, dict) else state
    )


def _state_fits(state: dict[str, Any], parameter: torch.Tensor, eight_bit: bool) -> bool:
    if not eight_bit:
        return state.keys() >= {*MOMENTS} and all(_alike(state[name], parameter) for name in MOMENTS)
    if not state.keys() >= {*MOMENTS_8BIT}:
        return False
    whole = "qmap1" not in state
    moment = (torch.float32 if whole else torch.uint8, parameter.shape)
    shapes = dict.fromkeys(MOMENTS_8BIT, moment)
    if not whole:
        blocks = -(-parameter.numel() // BLOCK)
        shapes |= dict.fromkeys(("qmap1", "qmap2"), (torch.float32, torch.Size([LEVELS])))
        shapes |= dict.fromkeys(("absmax1", "absmax2"), (torch.float32, torch.Size([blocks])))
    return all((state[name].dtype, state[name].shape) == shape for name, shape in shapes.items())


def _check_scaler(scaler: object) -> None:
    scaler = _dict(scaler, "gradient scaler")
    _demand(not scaler or scaler.keys() == SCALER, "its gradient scaler is none")
    fine = all(_is_number(value) and 0 <= value < math.inf for value in scaler.values())
    _demand(fine and (not scaler or scaler["scale"] > 0), "its gradient scaler holds no scale")


def _check_all_generators(states: object) -> None:
    """Those of the main process, and apart those of the others."""
    states = dict(_dict(states, "set of random generators"))
    others = states.pop("others", [])
    _demand(isinstance(others, list), "its random generators are unknown")
    for one in (states, *others):
        _check_generators(_dict(one, "set of random generators"))


def _check_generators(states: dict[Any, Any]) -> None:
    """States that the generators take: they are tried on generators of our own, which nobody draws from."""
    _demand(states.keys() == {"torch", "cuda", "python"}, "its random generators are unknown")
    _demand(isinstance(states["cuda"], list), "its random generators are unknown")
    tensors = [states["torch"], *states["cuda"]]
    plain = all(_is_plain(state) and state.dtype is torch.uint8 and state.dim() == 1 for state in tensors)
    _demand(plain and all(state.numel() == CUDA_STATE_BYTES for state in tensors[1:]), "a generator's state is none")
    try:
        torch.Generator().set_state(states["torch"])
        version, numbers, gauss = states["python"]
        random.Random().setstate((version, tuple(numbers), gauss))
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise BrokenCheckpoint("a generator's state is none") from error
    _demand(gauss is None or type(gauss) is float, "a generator's state is none")
