"""A model on disk: the layout of an XTTS-v2 directory, and loading from it as a user of coqui's TTS would."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.xtts.dvae import DiscreteVAE
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.models import xtts as coqui
from TTS.tts.models.xtts import Xtts

from cufft_harness.errors import HarnessError, UserError, first_line
from cufft_harness.model_files import REQUIRED, check_directory
from cufft_harness.weights import BrokenFile, GptState, read_weights
from cufft_harness.xtts.config import read_config


@dataclass(frozen=True)
class ModelDirectory:
    """A directory with model.pth, config.json, vocab.json, dvae.pth, mel_stats.pth and, if any, speakers_xtts.pth."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> ModelDirectory:
        """Check that everything needed is there.

        Raises:
            UserError: naming what is missing.
        """
        check_directory(path)
        return cls(path)

    def config(self) -> XttsConfig:
        """Read config.json.

        Raises:
            UserError: it is not JSON, not an XTTS configuration, or asks for what no model is.
        """
        return read_config(self.path / "config.json", (self.path / "model.pth").stat().st_size)

    def fingerprint(self) -> str:
        """Identify the base model: SHA-256 over name and size of each file and the content of the small ones.

        Hashing 2 GB at each start would be slow; a changed file of the same size within model.pth is caught by its zip
        directory (names, sizes and CRC-32 of all tensors), which lies in the last part of the file.
        """
        digest = hashlib.sha256()
        for name in REQUIRED:
            file = self.path / name
            with file.open("rb") as stream:
                stream.seek(max(0, file.stat().st_size - (1 << 20)))
                digest.update(f"{name} {file.stat().st_size} ".encode() + stream.read())
        return digest.hexdigest()


class LoadedXtts(Xtts):  # type: ignore[misc]
    """Coqui's `Xtts`, but a file cannot run code while it is read, and the user's model.pth is never written."""

    def _load_checkpoint(self, model_path: Path) -> dict[str, torch.Tensor]:
        # The original XTTS-v2 file holds its configuration as objects under their old module name; upstream reads
        # those and then rewrites the file in place. The four classes are admitted here too, the rewrite is not done.
        with coqui._legacy_safe_globals():
            return read_weights(model_path)["model"]  # type: ignore[no-any-return]


def load(directory: ModelDirectory, device: str = "cpu") -> Xtts:
    """Load the whole model for synthesis, through `Xtts.load_checkpoint`, and move it to `device`.

    Raises:
        UserError: a file is damaged or does not fit the configuration.
    """
    config = directory.config()
    model = LoadedXtts(config)
    try:
        # No speaker file: the voice is that of a clip, and what is not read cannot do harm.
        model.load_checkpoint(config, checkpoint_dir=str(directory.path), eval=True, strict=True, speaker_file_path="")
    except HarnessError:
        raise
    except Exception as error:
        raise UserError(f"cannot load the model in {directory.path}: {first_line(error)}") from error
    model.requires_grad_(False)
    return model.to(device)


def gpt_for_training(model: Xtts) -> GPT:
    """Take the GPT out of a loaded model and undo what `init_gpt_for_inference` did to it."""
    gpt = model.gpt
    del gpt.gpt_inference
    del gpt.gpt.wte
    gpt.gpt.config.use_cache = False  # the cache serves decoding only
    return gpt.requires_grad_(True).train()


def read_mel_stats(directory: ModelDirectory) -> torch.Tensor:
    """The norms of the 80 mel bands, float32, shape (80,)."""
    path = directory.path / "mel_stats.pth"
    try:
        stats = read_weights(path)
    except (BrokenFile, OSError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error
    if not isinstance(stats, torch.Tensor) or stats.shape != (80,):
        raise UserError(f"{path} must hold one tensor of 80 norms.")
    return stats.float()


def load_dvae(directory: ModelDirectory) -> DiscreteVAE:
    """Load the discrete VAE that turns mels into audio codes; its sizes are read from the file.

    Raises:
        UserError: the file is damaged or is no XTTS DVAE.
    """
    path = directory.path / "dvae.pth"
    try:
        state = read_weights(path)
        hidden = state["encoder.0.0.weight"].shape[0]
        codebook_dim, tokens = state["codebook.embed"].shape
        dvae = DiscreteVAE(
            channels=80,
            normalization=None,
            positional_dims=1,
            num_tokens=tokens,
            codebook_dim=codebook_dim,
            hidden_dim=hidden,
            num_resnet_blocks=3,
            kernel_size=3,
            num_layers=2,
            use_transposed_convs=False,
        )
        missing, _unexpected = dvae.load_state_dict(state, strict=False)
    except HarnessError:
        raise
    except Exception as error:
        raise UserError(f"{path} is not an XTTS DVAE: {first_line(error)}") from error
    needed = [name for name in missing if name.startswith(("encoder.", "codebook.embed"))]
    if needed:
        raise UserError(f"{path} lacks {len(needed)} tensors of the encoder, {needed[0]} first.")
    return dvae.eval().requires_grad_(False)


def gpt_state(model: Xtts) -> GptState:
    """The weights of the GPT as they were before `init_gpt_for_inference` added its views: what a checkpoint holds."""
    return plain_state(model.gpt.state_dict())


def plain_state(state: Mapping[str, torch.Tensor]) -> GptState:
    """Leave out the inference wrapper's second names for the same tensors."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("gpt_inference.", "gpt.wte."))}


def replace_gpt(model: Xtts, state: Mapping[str, torch.Tensor]) -> None:
    """Copy other GPT weights into a loaded model, in place: nothing else is loaded again.

    Raises:
        UserError: names or shapes differ, so the weights are of another model.
    """
    own = gpt_state(model)
    if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
        raise UserError("the checkpoint's weights are of another model than the one loaded.", "Give the run's --model.")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
