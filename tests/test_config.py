"""cufft_harness.xtts.config: whatever numbers a model's config.json holds, it is a model, or one line at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.errors import UserError
from cufft_harness.xtts import config
from cufft_harness.xtts.config import read_config
from cufft_harness.xtts.directory import ModelDirectory
from hypothesis import given
from hypothesis import strategies as st

FULL = {
    "gpt_number_text_tokens": 6681,
    "gpt_num_audio_tokens": 1026,
    "gpt_start_audio_token": 1024,
    "gpt_stop_audio_token": 1025,
    "gpt_start_text_token": None,
    "gpt_use_perceiver_resampler": True,
}
"""What XTTS-v2's own configuration says where coqui's defaults are those of version 1."""
MODEL_BYTES = 1_900_000_000


def written(folder: Path, arguments: Any = None, **values: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({"model_args": FULL | (arguments or {}), **values}))
    return path


def test_the_numbers_of_xtts_v2_and_of_the_tiny_model_are_right(tiny: Path, tmp_path: Path):
    """Bounds that refuse a real model would be worse than none."""
    speaking = {"temperature": 0.75, "repetition_penalty": 5.0, "gpt_cond_len": 30, "max_ref_len": 30}
    assert read_config(written(tmp_path, **speaking), MODEL_BYTES).model_args.gpt_layers == 30
    assert ModelDirectory.at(tiny).config().model_args.gpt_layers == 2


@pytest.mark.parametrize("name", [*config.ARGUMENTS, *config.SPEAKING])
@pytest.mark.parametrize("value", [-1, 2**70, 1e400, float("nan"), "3", True, [], {}, 0.0000001], ids=str)
def test_an_absurd_number_is_named(tmp_path: Path, name: str, value: Any):
    """Too small, too large, infinite or none at all: the line says which and what it may be."""
    path = written(tmp_path, {name: value}) if name in config.ARGUMENTS else written(tmp_path, **{name: value})
    if name == "length_penalty" and value in (-1, 0.0000001) and value is not True:
        return
    with pytest.raises(UserError, match=name) as caught:
        read_config(path, MODEL_BYTES)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gpt_layers": 1000}, "model.pth has"),
        ({"gpt_n_model_channels": 65_536}, "model.pth has"),
        ({"gpt_num_audio_tokens": 1_000_000}, "model.pth has"),
        ({"decoder_input_dim": 65_536, "gpt_layers": 29, "gpt_n_model_channels": 2048}, "model.pth has"),
        ({"gpt_layers": 500, "gpt_n_model_channels": 16, "gpt_max_text_tokens": 8192}, "GiB"),
        ({"gpt_n_model_channels": 1000}, "multiple"),
        ({"gpt_stop_audio_token": 1026}, "beyond"),
        ({"gpt_start_text_token": 6681}, "beyond"),
        ({"gpt_code_stride_len": 16_384, "output_hop_length": 16}, "frames"),
        ({"gpt_use_perceiver_resampler": "yes"}, "gpt_use_perceiver_resampler"),
        ({"kv_cache": 3}, "kv_cache"),
    ],
    ids=str,
)
def test_numbers_that_are_absurd_together_are_named(tmp_path: Path, arguments: dict[str, Any], message: str):
    """Each for itself may be right: no model is built that model.pth cannot hold, nor one that fills the memory."""
    with pytest.raises(UserError, match=message):
        read_config(written(tmp_path, arguments), MODEL_BYTES)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"3", b"[" * 100_000, b"\xff\xfe", b'{"model_args": []}', b'{"model_args": null}', b"{" * 9,
     b'{"model_args": {"gpt_layers": ' + b"9" * 5000 + b"}}", b"x" * (11 << 20)],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_configuration_is_one_line(tmp_path: Path, content: bytes):
    """However it is broken."""
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not an XTTS configuration") as caught:
        read_config(path, MODEL_BYTES)
    assert len(caught.value.message) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [*config.ARGUMENTS, *config.SPEAKING, "languages", "audio", "model", "datasets", "phonemes", "use_phonemes"]
)


@given(values=st.dictionaries(NAMES, JSON), arguments=st.dictionaries(NAMES, JSON))
def test_any_json_is_a_configuration_or_one_line(tmp_path: Path, values: dict[str, Any], arguments: dict[str, Any]):
    """Nothing of it is built meanwhile."""
    try:
        read_config(written(tmp_path, arguments, **values), MODEL_BYTES)
    except UserError as error:
        assert error.message.isprintable()  # noqa: PT017
