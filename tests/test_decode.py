"""xtts.decode: the fast path beside the plain one, on the same weights and inputs. Nothing here is timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cufft_harness.dataset.metadata import built_in
from cufft_harness.sampling.protocol import Request
from cufft_harness.sampling.worker import Worker
from cufft_harness.tiers import Placement, Tier
from cufft_harness.weights import weights_digest
from cufft_harness.xtts import decode, speech
from cufft_harness.xtts.decode import Choice, FastPath
from cufft_harness.xtts.directory import ModelDirectory, gpt_state, load, replace_gpt
from TTS.tts.models.xtts import Xtts

CLIP = built_in() / "wavs" / "pt_01.ogg"
TEXT = "Olá, este é um teste."
ALL = Choice(int8=True, bf16_hidden=True, bf16_vocode=True)


@pytest.fixture
def model(tiny: Path) -> Xtts:
    return load(ModelDirectory.at(tiny))


@torch.inference_mode()
def logits(model: Xtts, fast: FastPath | None) -> torch.Tensor:
    """Teacher-forced: the logits over the same 24 codes, (24, codes)."""
    torch.manual_seed(0)
    gpt, width = model.gpt, int(model.args.gpt_n_model_channels)
    prefix, codes = torch.randn(1, 40, width), torch.randint(0, 1024, (1, 24))

    def compute() -> torch.Tensor:
        gpt.gpt_inference.store_prefix_emb(prefix)
        inputs = torch.cat([torch.ones(1, 40, dtype=torch.long), codes], dim=1)
        return gpt.gpt_inference(input_ids=inputs, use_cache=False, return_dict=True).logits[0, 40:]

    if fast is None:
        return compute()
    with fast.decoding():
        return compute()


def snr(signal: np.ndarray, other: np.ndarray) -> float:
    """Signal to noise ratio in dB."""
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - other) ** 2)))


def speak(model: Xtts, fast: FastPath | None) -> np.ndarray:
    voice = speech.read_voice(model, CLIP)
    return speech.speak(model, TEXT, "pt", voice, 3, 0.5, speech.Stages(model.device), fast).samples


def test_logits_of_8_bit_weights_are_close(model: Xtts):
    """Over the same codes the logits differ by less than 3 % of their spread, and they do differ: 8 bits were used."""
    plain, fast = logits(model, None), logits(model, FastPath(model, ALL))
    difference = float((plain - fast).norm() / (plain - plain.mean()).norm())
    assert 1e-5 < difference < 0.03


def test_the_vocoder_in_bfloat16_is_close(model: Xtts):
    """The same codes in bfloat16 give the same waveform at 30 dB or better, and not to the last bit."""
    choice = Choice(bf16_vocode=True)
    plain, fast = speak(model, None), speak(model, FastPath(model, choice))
    assert len(plain) == len(fast)
    assert 30 < snr(plain, fast) < 100


def test_hidden_states_in_bfloat16_are_close(model: Xtts):
    """The codes are the plain path's; their waveform is the same at 30 dB or better, and not to the last bit."""
    choice = Choice(bf16_hidden=True)
    plain, fast = speak(model, None), speak(model, FastPath(model, choice))
    assert len(plain) == len(fast)
    assert 30 < snr(plain, fast) < 120


def test_plain_speech_is_untouched_by_the_fast_path(model: Xtts):
    """After a fast sample the plain path gives the same bits as before, and the weights' digest is the same."""
    before, digest = speak(model, None), weights_digest(gpt_state(model))
    fast = FastPath(model, ALL)
    assert not np.array_equal(speak(model, fast), before)
    np.testing.assert_array_equal(speak(model, None), before)
    assert weights_digest(gpt_state(model)) == digest


def test_other_weights_reach_the_fast_path(model: Xtts):
    """Weights handed over and then refreshed are those of a fast path made anew; without `refresh` they are not."""
    fast = FastPath(model, ALL)
    old = logits(model, fast)
    torch.manual_seed(1)
    replace_gpt(
        model,
        {
            name: tensor + 0.05 * torch.randn_like(tensor) if tensor.is_floating_point() else tensor
            for name, tensor in gpt_state(model).items()
        },
    )
    stale = logits(model, fast)
    fast.refresh()
    torch.testing.assert_close(logits(model, fast), logits(model, FastPath(model, ALL)))
    assert not torch.allclose(logits(model, fast), stale)
    assert not torch.allclose(logits(model, fast), old)


def test_what_is_not_faster_is_not_used(model: Xtts, monkeypatch: pytest.MonkeyPatch):
    """Each part is taken or left by its own measurement; with none worth it the sample is the plain one."""
    cases = {"int8 codes": [3.0, 1.0, 1.0], "bf16 hidden states": [1.1, 1.3, 1.0], "bf16 vocode": [1.1, 1.1, 2.0]}
    for expected, gains in {**cases, "float32": [1.0, 1.0, 1.0]}.items():
        answers = iter(gains)
        monkeypatch.setattr(decode, "speedup", lambda *_, answers=answers: next(answers))
        fast = decode.choose(model)
        assert str(fast.choice) == expected
    np.testing.assert_array_equal(speak(model, fast), speak(model, None))


def test_speed_is_measured_in_turn():
    """The first run of each side is its warm-up, and the sides alternate."""
    calls: list[str] = []
    decode.speedup(lambda: calls.append("plain"), lambda: calls.append("fast"), repeats=2)
    assert calls == ["plain", "fast"] * 3


def test_the_worker_names_what_it_computed_with(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The answer's precision is that of the sample; off the CPU tier, or not asked for, it is float32."""
    monkeypatch.setattr(decode, "speedup", lambda *_: 2.0)
    worker = Worker(ModelDirectory.at(tiny))

    def ask(tier: Tier, fast: bool) -> str:
        request = Request(
            1, Placement(tier, "cpu"), None, TEXT, "pt", str(CLIP), 3, 0.3, str(tmp_path / "x.wav"), fast=fast
        )
        answer = worker.handle(request)
        assert answer.made, answer.reason
        return answer.precision

    assert ask(Tier.CPU, fast=True) == "int8 codes, bf16 hidden states, bf16 vocode"
    assert ask(Tier.CPU, fast=False) == "float32"
    assert ask(Tier.BYPASS, fast=True) == "float32"
