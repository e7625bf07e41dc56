"""What the fast path costs in exactness, on the same weights and inputs as the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from cufft_harness.xtts.decode import Choice, FastPath
from cufft_harness.xtts.directory import ModelDirectory, load
from TTS.tts.models.xtts import Xtts


@torch.inference_mode()
def measure(directory: Path, codes: int = 40) -> Iterator[dict[str, object]]:
    """Teacher-forced logits of the 8-bit decoder, hidden states in bfloat16, and waveforms made from both."""
    model = load(ModelDirectory.at(directory))
    fast = FastPath(model, Choice(int8=True, bf16_hidden=True, bf16_vocode=True))
    gpt, width = model.gpt, int(model.args.gpt_n_model_channels)
    torch.manual_seed(0)
    prefix, said = 0.02 * torch.randn(1, 60, width), torch.randint(0, 1024, (1, codes))
    inputs = torch.cat([torch.ones(1, 60, dtype=torch.long), said], dim=1)

    def logits() -> torch.Tensor:
        gpt.gpt_inference.store_prefix_emb(prefix)
        found: torch.Tensor = gpt.gpt_inference(input_ids=inputs, use_cache=False, return_dict=True).logits[
            0, 60:, :1024
        ]
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
    voice = torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1)

    def hidden_states() -> torch.Tensor:
        found = gpt.gpt(inputs_embeds=torch.cat([prefix, gpt.mel_embedding(said)], dim=1)).last_hidden_state
        normed: torch.Tensor = gpt.final_norm(found)[:, 60:]
        return normed.float()

    hidden = hidden_states()
    with fast.hidden_states():
        rounded = hidden_states()
    yield _row("hidden states in bfloat16, relative error", float((rounded - hidden).norm() / hidden.norm()), "")
    wave, from_rounded = _wave(model, hidden, voice), _wave(model, rounded, voice)
    # not around a `yield`: inference mode ends there, and takes autocast along
    with fast.vocoding():
        vocoded, both = _wave(model, hidden, voice), _wave(model, rounded, voice)
    yield _row("waveform of hidden states in bfloat16", _snr(wave, from_rounded), "dB SNR")
    yield _row("waveform of the bfloat16 vocoder", _snr(wave, vocoded), "dB SNR")
    yield _row("waveform with both in bfloat16", _snr(wave, both), "dB SNR")


def _wave(model: Xtts, hidden: torch.Tensor, voice: torch.Tensor) -> torch.Tensor:
    wave: torch.Tensor = model.hifigan_decoder(hidden, g=voice)
    return wave.double()


def _snr(signal: torch.Tensor, other: torch.Tensor) -> float:
    """Signal to noise ratio in dB."""
    return float(10 * torch.log10(signal.square().sum() / (signal - other).square().sum()))


def _row(what: str, value: float, unit: str) -> dict[str, object]:
    return {"what": what, "value": round(float(value), 5), "unit": unit}
