"""A checkpoint of coqui's trainer (`best_model.pth`, `checkpoint_N.pth`) as a model directory to go on from.

Such a file holds nearly everything: configuration, GPT, vocoder, DVAE, mel norms, optimizer. The vocabulary alone lies
elsewhere; the configuration says where.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

from cufft_harness.errors import UserError
from cufft_harness.files import atomic_path, make_folder
from cufft_harness.weights import BrokenFile, read_weights
from cufft_harness.xtts.directory import ModelDirectory

OPTIMIZER = "optimizer.pt"
"""In a directory made of such a checkpoint: the state of coqui's optimizer, and the step it was saved at."""
SOURCE = "taken-over.json"


def take_over(checkpoint: Path, target: Path) -> ModelDirectory:
    """Write the model of coqui's checkpoint into `target`, once, in the layout of an XTTS-v2 directory.

    Args:
        checkpoint: a file that coqui's trainer saved of a GPTTrainer.
        target: made if need be; each file appears whole or not at all, model.pth last.

    Raises:
        UserError: the file is something else, its vocabulary is not found, or `target` was made of another one.
    """
    source = {"name": checkpoint.name, "size": checkpoint.stat().st_size, "modified": checkpoint.stat().st_mtime_ns}
    if (target / "model.pth").is_file():
        if json.loads((target / SOURCE).read_text(encoding="utf-8")) != source:
            raise UserError(f"{target} was made of another file than {checkpoint}.", "Give another --output.")
        return ModelDirectory.at(target)
    content = _read(checkpoint)
    values, state = content["config"], content["model"]
    arguments = values["model_args"]
    make_folder(target)
    with atomic_path(target / "vocab.json") as path:
        path.write_text(_vocabulary(checkpoint, arguments), encoding="utf-8")
    voices = Path(str(arguments.get("xtts_checkpoint") or "")).parent / "speakers_xtts.pth"
    if voices.is_file():
        shutil.copyfile(voices, target / "speakers_xtts.pth")
    with atomic_path(target / "config.json") as path:
        path.write_text(json.dumps(_configuration(values).to_dict(), indent=2), encoding="utf-8")
    with atomic_path(target / "mel_stats.pth") as path:
        torch.save(state["xtts.mel_stats"].clone(), path)
    with atomic_path(target / "dvae.pth") as path:
        torch.save(_below("dvae.", state), path)
    if content.get("optimizer"):
        with atomic_path(target / OPTIMIZER) as path:
            torch.save({"optimizer": content["optimizer"][0], "step": content.get("step", 0)}, path)
    with atomic_path(target / SOURCE) as path:
        path.write_text(json.dumps(source), encoding="utf-8")
    with atomic_path(target / "model.pth") as path:
        torch.save({"model": _below("xtts.", state)}, path)
    return ModelDirectory.at(target)


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        content = read_weights(checkpoint)
    except BrokenFile as error:
        raise UserError(f"{checkpoint} cannot be read: {error}.") from error
    parts = ("xtts.gpt.", "xtts.hifigan_decoder.", "xtts.mel_stats", "dvae.codebook.")
    try:
        names = content["model"].keys()
        lacking = [part for part in parts if not any(name.startswith(part) for name in names)]
        arguments = content["config"]["model_args"]
        sound = isinstance(arguments, dict)
    except (TypeError, KeyError, AttributeError):
        sound, lacking = False, []
    if not sound or lacking:
        what = f": {', '.join(lacking)} missing" if lacking else ""
        raise UserError(
            f"{checkpoint} is no checkpoint of coqui's GPTTrainer{what}.",
            "Give --model an XTTS-v2 directory, or a best_model.pth or checkpoint_N.pth as its trainer saved it.",
        )
    return content  # type: ignore[no-any-return]


def _configuration(values: dict[str, Any]) -> XttsConfig:
    """The part of a GPTTrainer's configuration that the model itself has."""

    def known(of: type, given: Any) -> dict[str, Any]:
        names = {one.name for one in dataclasses.fields(of)}
        return {name: value for name, value in given.items() if name in names}

    config = XttsConfig()
    config.from_dict(known(XttsConfig, values) | {"model_args": {}, "audio": {}})
    config.model_args = XttsArgs(**known(XttsArgs, values["model_args"]))
    config.audio = XttsAudioConfig(**known(XttsAudioConfig, values.get("audio") or {}))
    return config


def _vocabulary(checkpoint: Path, arguments: dict[str, Any]) -> str:
    """The text of vocab.json; a path from a file may name anything, so nothing but a vocabulary is taken."""
    named = Path(str(arguments.get("tokenizer_file") or "vocab.json"))
    base = Path(str(arguments.get("xtts_checkpoint") or "")).parent
    for path in (checkpoint.parent / "vocab.json", named, base / "vocab.json"):
        try:
            text = path.read_text(encoding="utf-8")
            if "vocab" in json.loads(text)["model"]:
                return text
        except (OSError, ValueError, TypeError, KeyError):
            continue
    raise UserError(
        f"the vocabulary of {checkpoint} is not where it says ({named}).", f"Put vocab.json into {checkpoint.parent}."
    )


def _below(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
