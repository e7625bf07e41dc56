"""Whether trainer and sampler fit on one GPU together, and how the trainer makes room where they do not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from cufft_harness.tiers import CUDA_CONTEXT, WORKING_MEMORY


def both_fit(device: torch.device, model_file: Path) -> bool:
    """Whether the sampler's model fits into what is free on the device now; always true on a CPU.

    Args:
        device: of the training.
        model_file: the base model; its size is that of its weights.
    """
    if device.type != "cuda":
        return True
    free, _total = torch.cuda.mem_get_info(device)
    return free >= model_file.stat().st_size + CUDA_CONTEXT + WORKING_MEMORY


@contextmanager
def moved_away(model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> Iterator[dict[str, float]]:
    """Move weights, gradients and optimizer state to the CPU for the time of the body, and back.

    The values come back bit for bit. Gives a dictionary that gets the seconds of "unload" at once and those of "reload"
    at the end.
    """
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    _move(model, optimizer, torch.device("cpu"))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    seconds["unload"] = time.perf_counter() - began
    try:
        yield seconds
    finally:
        began = time.perf_counter()
        _move(model, optimizer, device)
        seconds["reload"] = time.perf_counter() - began


def _move(model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    model.to(device)
    for state in optimizer.state.values():
        for name, value in state.items():
            # AdamW keeps its step counter on the CPU on purpose; it is the one tensor without dimensions
            if isinstance(value, torch.Tensor) and value.dim():
                state[name] = value.to(device)
