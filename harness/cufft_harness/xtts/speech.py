"""From text and a reference clip to speech, in the stages of coqui's `Xtts.inference`, each timed apart."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from TTS.tts.layers.xtts.tokenizer import split_sentence
from TTS.tts.models.xtts import Xtts

from cufft_harness.audio import Samples
from cufft_harness.xtts import _load_audio
from cufft_harness.xtts.decode import Choice, FastPath

SAMPLE_RATE = 24_000
"""XTTS speaks at 24 kHz (`XttsAudioConfig.output_sample_rate`), whatever it was trained on."""


@dataclass
class Stages:
    """Seconds spent in each stage, in the order they ran; the device is synchronised around each.

    Attributes:
        tell: called with the name of each stage as it begins.
    """

    device: torch.device
    tell: Callable[[str], object] = lambda name: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body as stage `name`."""
        self.tell(name)
        self._synchronize()
        began = time.perf_counter()
        yield
        self._synchronize()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Voice:
    """A reference clip, ready for conditioning.

    Attributes:
        samples: the clip at 22 050 Hz, float32, (1, n).
        embedding: the speaker embedding, (1, 512, 1); the speaker encoder is not trained, so it is made once a voice.
    """

    samples: torch.Tensor
    embedding: torch.Tensor


@torch.inference_mode()
def read_voice(model: Xtts, reference: Path, max_seconds: int | None = None) -> Voice:
    """Read a reference clip and compute its speaker embedding: the one STFT of sampling that runs on the device.

    Args:
        model: a loaded model.
        reference: WAV, FLAC or OGG.
        max_seconds: use no more of the clip; by default what the model's configuration says (`max_ref_len`).
    """
    seconds = max_seconds or int(model.config.max_ref_len)
    samples = _load_audio(reference, 22_050)[:, : 22_050 * seconds].to(model.device)
    return Voice(samples, model.get_speaker_embedding(samples, 22_050))


@dataclass(frozen=True)
class Spoken:
    """A finished sample.

    Attributes:
        samples: mono float32 at 24 kHz.
        stopped_by_itself: the model ended each sentence; False: one was cut at a limit, or left out.
        sentences: parts the text was split into.
    """

    samples: Samples
    stopped_by_itself: bool
    sentences: int


def sentences(model: Xtts, text: str, language: str) -> list[str]:
    """Split a text as stock TTS does with `enable_text_splitting`: where it is longer than XTTS speaks well at once.

    That takes spaCy; without it, or in a language without such a limit, the text stays whole.
    """
    limit = longest_sentence(model, language)
    if limit is None or len(text) < limit or importlib.util.find_spec("spacy") is None:
        return [text]
    return [str(one) for one in split_sentence(text, language.split("-")[0], limit)]


def longest_sentence(model: Xtts, language: str) -> int | None:
    """Characters that XTTS speaks well at once in a language; None where coqui names no limit."""
    return model.tokenizer.char_limits.get(language.split("-")[0])  # type: ignore[no-any-return]


@torch.inference_mode()
def speak(
    model: Xtts,
    text: str,
    language: str,
    voice: Voice,
    seed: int,
    max_seconds: float | None,
    stages: Stages,
    fast: FastPath | None = None,
) -> Spoken:
    """Say `text` in `voice`; the same seed, weights and device give the same samples.

    The steps and settings are those of `Xtts.inference` with the model's own configuration and `enable_text_splitting`,
    so without `fast` the result equals it.

    Args:
        model: a model loaded for inference.
        text: what to say; see `sentences`, of which each must keep to the tokenizer's limits.
        language: an XTTS language code such as "pt".
        voice: from `read_voice`, on the model's device.
        seed: for the sampled decoding.
        max_seconds: stop decoding there at the latest; None is the model's own limit, for each sentence.
        stages: gets the seconds of "condition", "decode" and "vocode".
        fast: faster parts to use, made from the same model, which must be on the CPU; None is the plain path.
    """
    config, gpt = model.config, model.gpt
    fast = fast or FastPath(model, Choice())
    torch.manual_seed(seed)
    with stages.stage("condition"):
        latents = model.get_gpt_cond_latents(
            voice.samples, 22_050, length=config.gpt_cond_len, chunk_length=config.gpt_cond_chunk_len
        )
    left = None if max_seconds is None else max(1, int(max_seconds * 22_050 / gpt.code_stride_len))
    parts = sentences(model, text, language)
    waves, stopped = [], True
    for part in parts:
        if left == 0:
            stopped = False
            break
        tokens = _tokens(model, part, language)
        with stages.stage("decode"):
            with fast.decoding():
                codes = gpt.generate(
                    cond_latents=latents,
                    text_inputs=tokens,
                    do_sample=True,
                    top_p=config.top_p,
                    top_k=config.top_k,
                    temperature=config.temperature,
                    num_return_sequences=model.gpt_batch_size,
                    num_beams=1,
                    length_penalty=float(config.length_penalty),
                    repetition_penalty=float(config.repetition_penalty),
                    output_attentions=False,
                    **({} if left is None else {"max_new_tokens": min(left, gpt.max_gen_mel_tokens)}),
                )
            stopped = stopped and int(codes[0, -1]) == gpt.stop_audio_token
            left = None if left is None else left - codes.shape[-1]
            with fast.hidden_states():
                hidden = gpt(
                    tokens,
                    torch.tensor([tokens.shape[-1]], device=model.device),
                    codes,
                    torch.tensor([codes.shape[-1] * gpt.code_stride_len], device=model.device),
                    cond_latents=latents,
                    return_latent=True,
                )
        with stages.stage("vocode"), fast.vocoding():
            waves.append(model.hifigan_decoder(hidden, g=voice.embedding).squeeze().float().cpu())
    return Spoken(torch.cat(waves).numpy(), stopped, len(parts))


def _tokens(model: Xtts, text: str, language: str) -> torch.Tensor:
    """The tokens of one sentence, int32 (1, n)."""
    tokens = torch.IntTensor(model.tokenizer.encode(text.strip().lower(), lang=language)).unsqueeze(0).to(model.device)
    if tokens.shape[-1] >= model.args.gpt_max_text_tokens:
        raise ValueError(
            f"the text has {tokens.shape[-1]} tokens, XTTS takes fewer than {model.args.gpt_max_text_tokens}"
        )
    return tokens
