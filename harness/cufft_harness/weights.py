"""Weights as a mapping from name to tensor, and their identity."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping

import torch

GptState = dict[str, torch.Tensor]
"""Plain weights of XTTS's GPT by name, as `GPT.state_dict` gives them before inference adds its views."""


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all tensors in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def why_unreadable(error: Exception) -> str:
    """Why PyTorch could not read a file, in one plain line; its own words may advise to run the code that is in it."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds Python objects beside its weights, which are never read"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
