"""--recipe coqui trains as coqui's own GPTTrainer does (short form of `nox -s parity`); its runs can be taken over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cufft_harness.checkpoints import CheckpointFolder, load
from cufft_harness.cli.sample import command
from cufft_harness.dataset.metadata import built_in
from cufft_harness.errors import UserError
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings
from cufft_harness.xtts.directory import ModelDirectory
from cufft_harness.xtts.registry import resolve
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from repro.training.parity import Compared, compare

CLIP = built_in() / "wavs" / "pt_01.ogg"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Five updates on both sides."""
    return compare(tmp_path_factory.mktemp("parity"), updates=5, learning_rate=1e-3)


def test_recipe_coqui_trains_as_coqui_does(compared: Compared):
    """An epoch of five updates, the last of fewer batches: losses are equal to 1e-5, updates point the same way."""
    assert compared.updates == 5
    assert compared.loss <= 1e-5
    assert compared.validation <= 1e-5
    assert compared.cosine >= 0.9999


def test_a_run_of_coqui_goes_on_here(compared: Compared, short_run: dict[str, Any], tmp_path: Path):
    """Its run directory is a model: weights and optimizer go on, the vocabulary is found where the run says."""
    changes = {"model": str(compared.folder), "output": tmp_path, "num_epochs": 1, "learning_rate": 1e-12}
    assert train(Settings(**{**short_run, **changes})) == 0
    log = (tmp_path / "train.log").read_text()
    assert "the optimizer goes on where coqui's was after 9 steps" in log
    newest = CheckpointFolder(tmp_path / "checkpoints").newest()
    assert newest is not None
    ours = load(newest)
    theirs = torch.load(compared.folder / "best_model.pth", map_location="cpu", weights_only=True, mmap=True)
    weights = {name[9:]: one for name, one in theirs["model"].items() if name.startswith("xtts.gpt.")}
    assert all(torch.allclose(weights[name], ours.gpt[name], atol=1e-6) for name in weights)
    # two updates more, from moments that were not zero
    assert int(ours.optimizer["state"][0]["step"]) == int(theirs["optimizer"][0]["state"][0]["step"]) + 2
    assert [len(group["params"]) for group in ours.optimizer["param_groups"]] == [35, 55]
    assert ours.settings["model"] == str(compared.folder)


def test_an_optimizer_that_does_not_fit_begins_anew(compared: Compared, short_run: dict[str, Any], tmp_path: Path):
    """With LoRA, say; a line tells."""
    changes = {"model": str(compared.folder / "best_model.pth"), "output": tmp_path, "num_epochs": 1, "lora_rank": 2}
    assert train(Settings(**{**short_run, **changes})) == 0
    assert "coqui's optimizer does not fit" in (tmp_path / "train.log").read_text()


def test_a_checkpoint_of_coqui_is_exported_with_its_voice(compared: Compared, tmp_path: Path):
    """Half the size, with the clip and what the model hears in it; stock TTS speaks in that voice by name."""
    target = tmp_path / "anna"
    arguments = ["--checkpoint", str(compared.folder), "--export", str(target), "--reference", str(CLIP), "--half"]
    assert command.main(arguments, standalone_mode=False) == 0
    config = XttsConfig()
    config.load_json(str(target / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(target), eval=True)
    assert model.speaker_manager.speaker_names == ["anna"]
    spoken = model.synthesize("Olá.", speaker="anna", language="pt", max_new_tokens=4)["wav"]
    assert len(spoken) > 1000
    whole = (compared.folder / "best_model.pth").stat().st_size
    assert (target / "model.pth").stat().st_size < 0.5 * whole
    assert {path.name for path in target.iterdir()} >= {"reference.wav", "README.md", "vocab.json", "dvae.pth"}
    assert [path.name for path in tmp_path.iterdir()] == ["anna"]


def test_what_is_no_run_of_coqui_is_named(tmp_path: Path):
    """A file of weights alone, or one that is no file of PyTorch at all."""
    torch.save({"model": {}, "config": {"model_args": {}}}, tmp_path / "some.pth")
    with pytest.raises(UserError, match=r"xtts\.gpt\., xtts\.hifigan_decoder\., .* missing"):
        resolve(str(tmp_path / "some.pth"), tmp_path)
    (tmp_path / "other.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        resolve(str(tmp_path / "other.pth"), tmp_path)
    assert not list(tmp_path.glob("taken-over/*"))


def test_a_model_directory_can_be_exported(tiny: Path, tmp_path: Path):
    """Of any model, with a voice added: the weights are its own."""
    target = tmp_path / "export"
    assert command.main(["--checkpoint", str(tiny), "--export", str(target)], standalone_mode=False) == 0
    own, written = (
        torch.load(ModelDirectory.at(path).path / "model.pth", weights_only=True)["model"] for path in (tiny, target)
    )
    assert all(torch.equal(own[name], written[name]) for name in own)
