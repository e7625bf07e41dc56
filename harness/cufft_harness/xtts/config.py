"""config.json of a model: read, and every number in it that is used held within bounds before anything is built by it.

coqui's own reader takes any number, puts its default in place of what is of the wrong type, and PyTorch then builds
what it was asked for: for ever, beyond the memory, or with an error far away.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig

from cufft_harness.errors import UserError

LONGEST = 10 << 20
"""Bytes; XTTS-v2's has 4 KiB."""

# name -> lowest and highest; whole numbers where both are such. XTTS-v2's own value is behind it.
ARGUMENTS: dict[str, tuple[float, float]] = {
    "gpt_batch_size": (1, 16),  # 1
    "gpt_max_audio_tokens": (8, 8192),  # 605
    "gpt_max_text_tokens": (8, 8192),  # 402
    "gpt_max_prompt_tokens": (1, 8192),  # 70
    "gpt_layers": (1, 1000),  # 30
    "gpt_n_model_channels": (1, 65_536),  # 1024
    "gpt_n_heads": (1, 1024),  # 16
    "gpt_number_text_tokens": (1, 1_000_000),  # 6681
    "gpt_start_text_token": (0, 1_000_000),
    "gpt_stop_text_token": (0, 1_000_000),
    "gpt_num_audio_tokens": (3, 1_000_000),  # 1026
    "gpt_start_audio_token": (0, 1_000_000),  # 1024
    "gpt_stop_audio_token": (0, 1_000_000),  # 1025
    "gpt_code_stride_len": (64, 16_384),  # 1024
    "input_sample_rate": (4000, 192_000),  # 22050
    "output_sample_rate": (4000, 192_000),  # 24000
    "output_hop_length": (16, 16_384),  # 256
    "decoder_input_dim": (1, 65_536),  # 1024
    "d_vector_dim": (1, 65_536),  # 512
}
NOT_GIVEN = frozenset({"gpt_number_text_tokens", "gpt_start_text_token", "gpt_stop_text_token"})
"""May be null: the vocabulary says them."""
SPEAKING: dict[str, tuple[float, float]] = {
    "temperature": (0.001, 100.0),  # 0.75
    "length_penalty": (-100.0, 100.0),  # 1
    "repetition_penalty": (0.001, 1000.0),  # 5
    "top_k": (1, 1_000_000),  # 50
    "top_p": (0.001, 1.0),  # 0.85
    "gpt_cond_len": (1, 3600),  # 30
    "gpt_cond_chunk_len": (1, 3600),  # 4
    "max_ref_len": (1, 3600),  # 30
}
MOST_MASK_BYTES = 2 << 30
"""Of the causal masks, which Hugging Face's GPT-2 makes for every layer, a byte for each pair of positions."""
MOST_STRETCH = 64
"""How many frames of the vocoder one code may become; 4 in XTTS-v2."""


def read_config(path: Path, model_bytes: int) -> XttsConfig:
    """Read a model's configuration.

    Args:
        path: config.json.
        model_bytes: size of the weights' file, which bounds how large a model may be asked for.

    Raises:
        UserError: it is not JSON, not an XTTS configuration, or has a number that is none a model can have.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise ValueError(f"it has more than {LONGEST >> 20} MiB")
        values = json.loads(path.read_text(encoding="utf-8"))
        arguments = values.get("model_args", {})
        if not isinstance(arguments, dict):
            raise TypeError("model_args is no object")
        _check(arguments, ARGUMENTS)
        _check(values, SPEAKING)
        config = XttsConfig()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what coqui replaces is an error here, said in one line
            _check_taken(arguments)
            config.from_dict(values)
        _check_together(config.model_args, model_bytes)
    except UserError:
        raise
    except Exception as error:  # coqui raises what it likes for what it did not expect
        said = str(error).splitlines()[0][:300] if str(error) else repr(error)
        raise UserError(f"{path} is not an XTTS configuration: {said}.") from error
    return config


def _check(values: Mapping[str, Any], bounds: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in bounds.items():
        value = values.get(name, low)
        if value is None and name in NOT_GIVEN:
            continue
        kinds: tuple[type, ...] = (int,) if isinstance(low, int) else (int, float)
        if type(value) not in kinds or not low <= value <= high:
            what = "a whole number" if kinds == (int,) else "a number"
            raise ValueError(f"{name} is {json.dumps(value)[:40]}, not {what} from {low:g} to {high:g}")


def _check_taken(values: Mapping[str, Any]) -> None:
    """One value of the wrong type, and coqui takes its defaults for all of them: so each is tried by itself."""
    for name, value in values.items():
        taken = XttsArgs()
        taken.from_dict({name: value})
        if hasattr(taken, name) and getattr(taken, name) != value:
            raise ValueError(f"{name} cannot be {json.dumps(value)[:40]}")


def _check_together(args: XttsArgs, model_bytes: int) -> None:
    channels, heads = args.gpt_n_model_channels, args.gpt_n_heads
    if channels % heads:
        raise ValueError(f"gpt_n_model_channels ({channels}) is not a multiple of gpt_n_heads ({heads})")
    for name in ("start", "stop"):
        token, text_token = getattr(args, f"gpt_{name}_audio_token"), getattr(args, f"gpt_{name}_text_token")
        if token >= args.gpt_num_audio_tokens:
            raise ValueError(f"gpt_{name}_audio_token ({token}) is beyond gpt_num_audio_tokens")
        if text_token is not None and text_token >= (args.gpt_number_text_tokens or math.inf):
            raise ValueError(f"gpt_{name}_text_token ({text_token}) is beyond gpt_number_text_tokens")
    if args.gpt_code_stride_len > MOST_STRETCH * args.output_hop_length:
        raise ValueError(f"one code would become more than {MOST_STRETCH} frames of sound")
    positions = args.gpt_max_audio_tokens + args.gpt_max_text_tokens + args.gpt_max_prompt_tokens
    if args.gpt_layers * positions**2 > MOST_MASK_BYTES:
        raise ValueError(f"{args.gpt_layers} layers over {positions} positions need over {MOST_MASK_BYTES >> 30} GiB")
    tokens = 2 * (args.gpt_num_audio_tokens + (args.gpt_number_text_tokens or 0))  # embedding and head of each
    weights = channels * (12 * channels * args.gpt_layers + tokens + positions)  # 12: attention 4, its MLP 8
    weights += 512 * (7 * args.decoder_input_dim + args.d_vector_dim)  # the vocoder's first convolution, its condition
    if 2 * weights > model_bytes:  # two bytes each at the least
        raise ValueError(
            f"it asks for {weights} weights, and model.pth has only {model_bytes} bytes: cut short, or another model's"
        )
