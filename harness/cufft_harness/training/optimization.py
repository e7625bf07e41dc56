"""AdamW and its learning rate, with the settings of coqui's recipe and our own."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cufft_harness.errors import UserError
from cufft_harness.training.settings import Settings
from cufft_harness.weights import read_weights

Groups = list[dict[str, Any]]


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW over what is trainable.

    Raises:
        UserError: 8-bit AdamW is asked for and bitsandbytes is not installed.
    """
    groups = parameter_groups(model, settings)
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.adam_beta1, settings.adam_beta2),
        "eps": settings.adam_eps,
    }
    if settings.optimizer == "adamw8bit":
        try:
            from bitsandbytes.optim import AdamW8bit
        except ImportError as error:
            raise UserError(
                "--optimizer adamw8bit needs bitsandbytes, which is not installed.", "pip install bitsandbytes"
            ) from error
        eight_bit: torch.optim.Optimizer = AdamW8bit(groups, **options)
        return eight_bit
    # fused: one pass over memory in place of several; with small batches the update is a large part of a step
    return torch.optim.AdamW(groups, **options, fused=True)


def parameter_groups(model: nn.Module, settings: Settings) -> Groups:
    """Trainable parameters, those that decay apart from those that do not.

    The rule and the order are those of coqui's `GPTTrainer.get_optimizer` (`optimizer_wd_only_on_weights`), so that the
    state of its optimizer fits: no decay for biases, normalisation (LayerNorm, GroupNorm) and embeddings.
    """
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if settings.weight_decay_on == "all":
        return [{"params": list(named.values()), "weight_decay": settings.weight_decay}]
    spared = {name for name in named if name.endswith(".bias")}
    for path, module in model.named_modules():
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.Embedding)):
            spared |= {f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)} & named.keys()
    weights = sorted(named.keys() - spared)
    return [
        {"params": [named[name] for name in names], "weight_decay": decay}
        for names, decay in ((weights, settings.weight_decay), (sorted(spared), 0.0))
        if names
    ]


def load_state(optimizer: torch.optim.Optimizer, state: dict[int, Any]) -> None:
    """Give an optimizer its moments back; rate, betas and decay stay those of the settings.

    The state is copied: PyTorch takes the tensors themselves, and theirs would lie in a mapped file for the whole run.
    """
    optimizer.load_state_dict(optimizer.state_dict() | {"state": copy.deepcopy(state)})


def take_over(optimizer: torch.optim.Optimizer, file: Path) -> str:
    """Go on with the moments of coqui's optimizer, where they fit; says in a line whether they do.

    Args:
        optimizer: made for the same model by `make_optimizer`.
        file: what `xtts.takeover` kept of coqui's checkpoint.
    """
    kept = read_weights(file)
    state = kept["optimizer"]
    parameters = [group["params"] for group in optimizer.param_groups]
    numbers = [group["params"] for group in state["param_groups"]]
    shapes = {number: moments["exp_avg"].shape for number, moments in state["state"].items()}
    fits = [*map(len, parameters)] == [*map(len, numbers)] and all(
        shapes.get(number, parameter.shape) == parameter.shape
        for group, names in zip(parameters, numbers, strict=True)
        for parameter, number in zip(group, names, strict=True)
    )
    if not fits:
        return "coqui's optimizer does not fit these settings (LoRA, --weight-decay-on): ours begins anew"
    load_state(optimizer, state["state"])
    return f"the optimizer goes on where coqui's was after {kept['step']} steps"


@dataclass(frozen=True)
class LearningRate:
    """The learning rate as the run goes.

    It follows epochs, not updates, so that another batch size or number of processes does not stretch it, and what it
    decays over is fixed when the run begins: raising `num_epochs` afterwards moves nothing that was reached.

    Attributes:
        decay_epochs: epochs that the cosine takes; after it the rate stays at its floor.
    """

    settings: Settings
    decay_epochs: float

    def at(self, update: int, epochs: float) -> float:
        """The rate for update number `update` (from 0) of the run, `epochs` of it done so far, with its fraction."""
        settings = self.settings
        warm_up = min(1.0, (update + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
        return settings.learning_rate * warm_up * self._decay(epochs)

    def _decay(self, epochs: float) -> float:
        settings = self.settings
        if settings.lr_schedule == "cosine":
            progress = min(1.0, epochs / self.decay_epochs)
            return settings.lr_floor + (1 - settings.lr_floor) * 0.5 * (1 + math.cos(math.pi * progress))
        if settings.lr_schedule == "multistep":
            return settings.lr_gamma ** sum(epochs >= milestone for milestone in settings.milestones)
        return 1.0
