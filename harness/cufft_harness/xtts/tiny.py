"""A small XTTS of coqui's own classes with fixed-seed random weights, in the layout of an XTTS-v2 directory.

It speaks noise, not words; everything else about it is real: the classes, the files, the loading code, the loss. Only
the GPT and the DVAE are small: the vocoder's size is fixed in coqui's code, and with it stock TTS loads the directory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.layers.xtts.dvae import DiscreteVAE
from TTS.tts.models.xtts import Xtts

from cufft_harness.files import atomic_path, make_folder, write_atomically

LETTERS = "abcdefghijklmnopqrstuvwxyzáàâãäçéêèíîïñóôõöúùûü0123456789.,;:!?'\"-()"


@dataclass(frozen=True)
class Size:
    """What differs between the tiny and the full-size model; the full values are those of XTTS-v2's config.json."""

    layers: int
    channels: int
    heads: int
    audio_codes: int
    max_audio_tokens: int
    dvae_channels: int


TINY = Size(layers=2, channels=128, heads=2, audio_codes=1024, max_audio_tokens=130, dvae_channels=64)
FULL = Size(layers=30, channels=1024, heads=16, audio_codes=1024, max_audio_tokens=605, dvae_channels=512)


def build(directory: Path, size: Size = TINY, seed: int = 1234) -> Path:
    """Write a model of `size` with random weights into `directory` (made if need be); the same bytes for the same seed.

    Returns:
        The directory. Each file appears whole or not at all; model.pth is written last.
    """
    make_folder(directory)
    languages = XttsConfig().languages
    tokenizer = character_tokenizer(languages)
    args = XttsArgs(
        gpt_layers=size.layers,
        gpt_n_model_channels=size.channels,
        gpt_n_heads=size.heads,
        gpt_max_audio_tokens=size.max_audio_tokens,
        gpt_number_text_tokens=tokenizer.get_vocab_size(),
        gpt_start_text_token=tokenizer.token_to_id("[START]"),
        gpt_stop_text_token=tokenizer.token_to_id("[STOP]"),
        gpt_num_audio_tokens=size.audio_codes + 2,
        gpt_start_audio_token=size.audio_codes,
        gpt_stop_audio_token=size.audio_codes + 1,
        gpt_use_perceiver_resampler=True,
        decoder_input_dim=size.channels,
    )
    config = XttsConfig(model_args=args)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Xtts(config)
        # A random vocoder is all but silent; its last layer made stronger, the noise can be heard and measured.
        model.hifigan_decoder.waveform_decoder.conv_post.weight.data.mul_(30)
        dvae = DiscreteVAE(
            channels=80,
            normalization=None,
            positional_dims=1,
            num_tokens=size.audio_codes,
            codebook_dim=size.dvae_channels,
            hidden_dim=size.dvae_channels,
            num_resnet_blocks=3,
            kernel_size=3,
            num_layers=2,
            use_transposed_convs=False,
        )
        _spread(dvae)
    with atomic_path(directory / "vocab.json") as path:
        tokenizer.save(str(path))
    write_atomically(directory / "config.json", json.dumps(config.to_dict(), indent=2))
    with atomic_path(directory / "mel_stats.pth") as path:
        torch.save(torch.ones(80), path)
    with atomic_path(directory / "dvae.pth") as path:
        torch.save(dvae.state_dict(), path)
    with atomic_path(directory / "model.pth") as path:
        torch.save({"model": model.state_dict()}, path)
    return directory


def _spread(dvae: DiscreteVAE) -> None:
    """Let speech use hundreds of the codes: random weights alone emit a handful, whatever they hear.

    What all mels have in common would decide the code. So each convolution of the encoder takes away the mean of what
    it sees, and each entry of the codebook is as far from zero as the others.
    """
    with torch.no_grad():
        for layer in dvae.encoder.modules():
            if isinstance(layer, torch.nn.Conv1d) and layer.bias is not None:
                layer.weight -= layer.weight.mean(dim=(1, 2), keepdim=True)
                layer.bias.zero_()
        dvae.codebook.embed /= dvae.codebook.embed.norm(dim=0, keepdim=True)


def character_tokenizer(languages: list[str]) -> Tokenizer:
    """A BPE vocabulary without merges: one token a letter, and XTTS's special tokens in their usual places."""
    special = ["[STOP]", "[UNK]", "[SPACE]", *(f"[{language}]" for language in languages)]
    vocabulary = {token: number for number, token in enumerate([*special, *LETTERS, "[START]"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))  # noqa: S106 - not a password
    tokenizer.add_special_tokens([*special, "[START]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer
