"""A checkpoint as a directory that stock TTS loads: the base model with the fine-tuned GPT in place, and its voice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from cufft_harness.audio import read_mono, write_pcm16
from cufft_harness.errors import UserError
from cufft_harness.files import atomic_path, make_folder
from cufft_harness.weights import BrokenFile, read_weights
from cufft_harness.xtts.directory import LoadedXtts, ModelDirectory, load

COPIED = ("config.json", "vocab.json", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth")
REFERENCE = "reference.wav"
RATE = 22_050
HOW_TO = """# A fine-tuned XTTS-v2

Made by `cufft-harness sample --export`. With coqui-tts:

```python
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

config = XttsConfig()
config.load_json("{folder}/config.json")
model = Xtts(config)
model.load_checkpoint(config, checkpoint_dir="{folder}", eval=True)
speech = model.synthesize("What is to be said.", {voice}, language="{language}")["wav"]  # at 24 kHz
```

The weights stay under the licence of the model they were fine-tuned from; XTTS-v2's is the Coqui Public Model License.
"""


def export(
    base: ModelDirectory,
    gpt: Mapping[str, torch.Tensor] | None,
    target: Path,
    reference: Path | None = None,
    language: str = "en",
    half: bool = False,
) -> Path:
    """Write an XTTS-v2 directory for users: `Xtts.load_checkpoint(config, checkpoint_dir=target)` reads it.

    Args:
        base: the directory the run started from.
        gpt: the fine-tuned weights, as a checkpoint holds them under "gpt"; None: the base model's own.
        target: a new or empty directory; its name becomes the voice's.
        reference: clip of the voice. It is kept as reference.wav, and what the model hears in it in speakers_xtts.pth.
        language: named in the README.
        half: write float16, half the size; TTS computes in float32 with what is left of each number.

    Raises:
        UserError: the target holds something already; nothing is written then.
    """
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty.", "Give a new directory; nothing was written.")
    model = LoadedXtts(base.config())
    state = model.get_compatible_checkpoint_state_dict(base.path / "model.pth")
    if gpt is not None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("gpt.")}
        state.update({f"gpt.{name}": tensor for name, tensor in gpt.items()})
    if half:
        state = {name: one.half() if one.dtype is torch.float32 else one for name, one in state.items()}
    make_folder(target)
    for name in COPIED:
        if (base.path / name).exists():
            with atomic_path(target / name) as path:
                shutil.copyfile(base.path / name, path)
    with atomic_path(target / "model.pth") as path:
        torch.save({"model": state}, path)
    voice = f"speaker_wav={str(target / REFERENCE)!r}"
    if reference is not None:
        _add_voice(ModelDirectory.at(target), reference)
        voice = f"speaker={target.name!r}"
    how_to = HOW_TO.format(folder=target, voice=voice, language=language)
    (target / "README.md").write_text(how_to, encoding="utf-8")
    return target


def _add_voice(directory: ModelDirectory, reference: Path) -> None:
    """Keep the clip, and the latents that `Xtts.get_conditioning_latents` makes of it with these weights."""
    model = load(directory)
    config = model.config
    clip = directory.path / REFERENCE
    with atomic_path(clip) as path:
        write_pcm16(path, read_mono(reference, RATE, max_seconds=int(config.max_ref_len)), RATE)
    latents, embedding = model.get_conditioning_latents(
        str(clip),
        max_ref_length=config.max_ref_len,
        gpt_cond_len=config.gpt_cond_len,
        gpt_cond_chunk_len=config.gpt_cond_chunk_len,
    )
    file = directory.path / "speakers_xtts.pth"
    voices = _voices(file) if file.is_file() else {}
    # TTS takes the two by their order
    voices[directory.path.name] = {"gpt_cond_latent": latents.clone(), "speaker_embedding": embedding.clone()}
    with atomic_path(file) as path:
        torch.save(voices, path)


def _voices(file: Path) -> dict[str, dict[str, torch.Tensor]]:
    try:
        return read_weights(file)  # type: ignore[no-any-return]
    except BrokenFile as error:
        raise UserError(f"{file} cannot be read: {error}.") from error
