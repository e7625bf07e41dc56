"""LoRA: train small low-rank adapters instead of all weights, and still save plain weights that any XTTS can load."""

from __future__ import annotations

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from cufft_harness.weights import GptState

TARGETS = ["c_attn", "c_proj", "c_fc"]
"""The linear layers of GPT-2's blocks; Hugging Face stores them transposed (`Conv1D`)."""


def add_adapters(gpt: nn.Module, rank: int) -> None:
    """Freeze the GPT and put adapters of `rank` into its blocks; their scale is 2 (alpha is twice the rank)."""
    gpt.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, fan_in_fan_out=True)
    inject_adapter_in_model(config, gpt)


def adapter_state(gpt: nn.Module) -> GptState:
    """The adapters' own weights; empty without LoRA."""
    return {name: tensor for name, tensor in gpt.state_dict().items() if ".lora_" in name}


@torch.no_grad()
def merged_state(gpt: nn.Module) -> GptState:
    """Plain weights of the GPT: each adapter added to the layer it belongs to. The model itself is not touched."""
    state = {
        name.replace(".base_layer.", "."): tensor for name, tensor in gpt.state_dict().items() if ".lora_" not in name
    }
    for name, module in gpt.named_modules():
        if isinstance(module, LoraLayer):
            weight = f"{name}.weight"
            delta = module.get_delta_weight("default")
            state[weight] = (state[weight] + delta.to(state[weight])).contiguous()
    return state
