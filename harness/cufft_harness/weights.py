"""Weights as a mapping from name to tensor, and their identity."""

from __future__ import annotations

import hashlib
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
