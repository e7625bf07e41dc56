"""What the fast path costs in exactness, on the same weights and inputs as the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from harness.xtts.decode import Choice, FastPath
from harness.xtts.directory import ModelDirectory, load


@torch.inference_mode()
def measure(directory: Path, codes: int = 40) -> Iterator[dict[str, object]]:
    """Teacher-forced logits of the 8-bit decoder, and the waveform of the bfloat16 vocoder."""
    model = load(ModelDirectory.at(directory))
    fast = FastPath(model, Choice(int8=True, bf16=True))
    gpt, width = model.gpt, int(model.args.gpt_n_model_channels)
    torch.manual_seed(0)
    prefix, said = 0.02 * torch.randn(1, 60, width), torch.randint(0, 1024, (1, codes))
    inputs = torch.cat([torch.ones(1, 60, dtype=torch.long), said], dim=1)

    def logits() -> torch.Tensor:
        gpt.gpt_inference.store_prefix_emb(prefix)
        found = gpt.gpt_inference(input_ids=inputs, use_cache=False, return_dict=True).logits[0, 60:, :1024]
        return found.double()

    plain = logits()
    with fast.decoding():
        quick = logits()
    spread = plain - plain.mean(dim=1, keepdim=True)
    distance = 0.5 * (plain.softmax(1) - quick.softmax(1)).abs().sum(1)
    yield _row("logits of the 8-bit decoder, relative error", float((quick - plain).norm() / spread.norm()), "")
    yield _row("total variation of the next code's distribution, mean", float(distance.mean()), "")
    alike = (plain.argmax(1) == quick.argmax(1)).double().mean()
    yield _row("likeliest code is the same", float(alike), "share of positions")
    hidden, voice = torch.randn(1, codes, width), torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1)
    wave = model.hifigan_decoder(hidden, g=voice).float().numpy()
    with fast.vocoding():
        other = model.hifigan_decoder(hidden, g=voice).float().numpy()
    noise = float(np.sum((wave - other) ** 2))
    yield _row("waveform of the bfloat16 vocoder", 10 * np.log10(float(np.sum(wave**2)) / noise), "dB SNR")


def _row(what: str, value: float, unit: str) -> dict[str, object]:
    return {"what": what, "value": round(float(value), 5), "unit": unit}
