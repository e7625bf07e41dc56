"""A faster way to speak on the CPU: audio codes chosen with 8-bit weights, the rest computed in bfloat16.

Decoding one token reads every weight of the transformer once, so on a CPU it is as fast as memory is; 8-bit weights are
a quarter of the bytes. Only the choice of codes is made with them: the hidden states that become sound are computed
from those codes with the plain weights, all at once, as in the plain path. That pass and the vocoder are bound by
arithmetic, for which some CPUs have bfloat16 instructions.

No part is faster on every machine, so `choose` measures each on this one. The plain path stays the reference.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from TTS.tts.models.xtts import Xtts

PLAIN = "float32"
WORTHWHILE = 1.2
"""A part that is not this many times as fast as the plain one is not used: less may be noise."""


class Int8Linear(nn.Module):
    """Hugging Face's `Conv1D` (a linear layer stored transposed) with weights of 8 bits, one scale an output channel.

    Activations are quantised anew at each call, with one scale a tensor (PyTorch's dynamic quantisation); the result
    is float32.
    """

    def __init__(self, layer: Conv1D) -> None:
        super().__init__()
        self._packed = pack(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to float32 activations of any leading shape."""
        # reduce_range keeps CPUs without VNNI from overflowing 16 bits
        return torch.ops.quantized.linear_dynamic(x, self._packed, reduce_range=True)  # type: ignore[no-any-return]

    def take(self, layer: Conv1D) -> None:
        """Quantise other weights of the same shape."""
        self._packed = pack(layer)


def pack(layer: Conv1D) -> torch.ScriptObject:
    """Quantise a layer's weights symmetrically to 8 bits, one scale an output channel."""
    weight = layer.weight.detach().t().contiguous()
    scales = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
    zeros = torch.zeros(len(scales), dtype=torch.long)
    quantised = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(quantised, layer.bias.detach())  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Choice:
    """Which fast parts to use.

    Attributes:
        int8: choose the codes with 8-bit weights.
        bf16_hidden: compute the codes' hidden states in bfloat16.
        bf16_vocode: run the vocoder in bfloat16.
    """

    int8: bool = False
    bf16_hidden: bool = False
    bf16_vocode: bool = False

    def __str__(self) -> str:
        parts = ["int8 codes"] * self.int8 + ["bf16 hidden states"] * self.bf16_hidden
        return ", ".join(parts + ["bf16 vocode"] * self.bf16_vocode) or PLAIN


class FastPath:
    """The fast parts of one loaded model on the CPU. It shares all but the transformer's linear weights with it.

    After `replace_gpt` the 8-bit weights are old until `refresh` is called.
    """

    def __init__(self, model: Xtts, choice: Choice) -> None:
        self.choice = choice
        self._gpt = model.gpt
        self._layers: list[tuple[Int8Linear, Conv1D]] = []
        self._decoder: nn.Module | None = self._quantised() if choice.int8 else None

    def refresh(self) -> None:
        """Quantise the model's present weights."""
        for fast, plain in self._layers:
            fast.take(plain)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Let the model's GPT choose codes with 8-bit weights while the body runs."""
        if self._decoder is None:
            yield
            return
        plain = self._gpt.gpt_inference
        self._gpt.gpt_inference = self._decoder
        try:
            yield
        finally:
            self._gpt.gpt_inference = plain

    def hidden_states(self) -> AbstractContextManager[object]:
        """Let the transformer compute in bfloat16 while the body runs."""
        return _bf16(self.choice.bf16_hidden)

    def vocoding(self) -> AbstractContextManager[object]:
        """Let the vocoder compute in bfloat16 while the body runs."""
        return _bf16(self.choice.bf16_vocode)

    def _quantised(self) -> nn.Module:
        """Copy of the inference wrapper: the same tensors, but the linear layers of the blocks in 8 bits."""
        plain = self._gpt.gpt_inference
        plain.cached_prefix_emb = None
        shared = (*plain.parameters(), *plain.buffers())
        decoder: nn.Module = copy.deepcopy(plain, {id(tensor): tensor for tensor in shared})
        for name, layer in plain.named_modules():
            if isinstance(layer, Conv1D):
                parent, _, attribute = name.rpartition(".")
                fast = Int8Linear(layer)
                setattr(decoder.get_submodule(parent), attribute, fast)
                self._layers.append((fast, layer))
        return decoder


def _bf16(wanted: bool) -> AbstractContextManager[object]:
    # weights are cast when they are used: a sample uses each once, and a kept copy would be half the model again
    return torch.autocast("cpu", torch.bfloat16) if wanted else nullcontext()


@torch.inference_mode()
def choose(model: Xtts) -> FastPath:
    """Measure each fast part on this machine, beside the plain one, and use those that are worth it.

    Takes a few seconds with the full-size model.
    """
    width = int(model.args.gpt_n_model_channels)
    token, sentence = torch.randn(1, 1, width), torch.randn(1, 64, width)
    hidden, voice = torch.randn(1, 8, width), torch.randn(1, 512, 1)
    fast = FastPath(model, Choice(int8=can_int8(), bf16_hidden=True, bf16_vocode=True))

    def gain(part: Callable[[], AbstractContextManager[object]], compute: Callable[[], object]) -> float:
        def with_part() -> None:
            with part():
                compute()

        return speedup(compute, with_part)

    def transform(inputs: torch.Tensor) -> object:
        return model.gpt.gpt_inference.transformer(inputs_embeds=inputs, use_cache=False)

    choice = Choice(
        int8=fast.choice.int8 and gain(fast.decoding, lambda: transform(token)) >= WORTHWHILE,
        bf16_hidden=gain(fast.hidden_states, lambda: transform(sentence)) >= WORTHWHILE,
        bf16_vocode=gain(fast.vocoding, lambda: model.hifigan_decoder(hidden, g=voice)) >= WORTHWHILE,
    )
    if fast.choice.int8 and not choice.int8:
        return FastPath(model, choice)  # without the 8-bit weights, which nobody needs
    fast.choice = choice
    return fast


def can_int8() -> bool:
    """Whether this PyTorch has kernels for 8-bit linear layers on this CPU."""
    return torch.backends.quantized.engine not in ("none", "qnnpack")


def speedup(plain: Callable[[], object], fast: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of `plain` over seconds of `fast`; both warm, in turn, the best of each."""
    seconds = {plain: [0.0], fast: [0.0]}
    for _ in range(repeats + 1):
        for function in (plain, fast):
            began = time.perf_counter()
            function()
            seconds[function].append(time.perf_counter() - began)
    return min(seconds[plain][2:]) / min(seconds[fast][2:])  # the first run of each was its warm-up
