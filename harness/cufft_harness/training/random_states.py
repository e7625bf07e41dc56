"""The random generators of training, kept in a checkpoint so that a resumed run draws what it would have drawn."""

from __future__ import annotations

import random
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from cufft_harness.dataset.batches import hash_seed

States = dict[str, Any]


def states_of_all(accelerator: Accelerator) -> States:
    """States of the main process's generators (dropout; coqui's GPT uses Python's in XTTS v1), and of the others'."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    own = {"torch": torch.get_rng_state(), "cuda": cuda, "python": random.getstate()}
    if accelerator.num_processes == 1:
        return own
    main, *others = gather_object([own])
    return {**main, "others": others}


def restore(states: States, accelerator: Accelerator, seed: int) -> None:
    """Give this process's generators their states back; a process that was not there before begins from `seed`."""
    everyone = [states, *states.get("others", [])]
    rank = accelerator.process_index
    if rank >= len(everyone):
        torch.manual_seed(hash_seed(seed, rank))
        return
    own = everyone[rank]
    torch.set_rng_state(own["torch"])
    version, numbers, gauss = own["python"]
    random.setstate((version, tuple(numbers), gauss))
    if own["cuda"] and torch.cuda.is_available() and len(own["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(own["cuda"])
