"""cufft_harness.training.trained_on: a second voice is not trained on top of the first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cufft_harness.dataset.metadata import read_data_set
from cufft_harness.errors import UserError
from cufft_harness.training.settings import Settings, read_settings
from cufft_harness.training.trained_on import FILE, check_same, remember


def voice(root: Path, pitch: int, clips: int = 40) -> Path:
    """A data set whose metadata is the same for every voice, as where two people read one list of sentences."""
    (root / "wavs").mkdir(parents=True)
    for number in range(clips):
        tone = 0.3 * np.sin(np.arange(16_000) * (pitch + number) / 8_000)
        soundfile.write(root / "wavs" / f"{number}.wav", tone, 8_000)
    lines = [f"wavs/{number}.wav|This is sentence {number}.|en" for number in range(clips)]
    (root / "metadata.csv").write_text("\n".join(lines))
    return root


@pytest.fixture
def ana(tmp_path: Path) -> Path:
    return voice(tmp_path / "ana", 1000)


@pytest.fixture
def run(tmp_path: Path, ana: Path) -> Path:
    """An output directory that was trained on Ana's voice."""
    output = tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    (output / "checkpoints" / "checkpoint_epoch_1.pt").touch()
    remember(output, read_data_set(ana))
    return output


def settings(data: Path, **more: Any) -> Settings:
    return Settings(**{"data": data, "model": "tiny", **more})


def check(run: Path, data: Path, **more: Any) -> None:
    check_same(run, settings(data, **more), read_data_set(data))


def test_another_voice_is_refused_by_name(run: Path, ana: Path, tmp_path: Path):
    """Also where its files have the same names and texts; both data sets are named, and the way to mean it."""
    rui = voice(tmp_path / "rui", 3000)
    with pytest.raises(UserError) as caught:
        check(run, rui)
    assert str(ana) in caught.value.message
    assert str(rui) in caught.value.message
    assert "--continue-with" in caught.value.advice
    check(run, rui, continue_with=True)


def test_another_voice_in_the_same_folder_is_found_out(run: Path, ana: Path):
    """Tools that always write to the same place put the second voice where the first was."""
    shutil.rmtree(ana)
    with pytest.raises(UserError, match="0 of the 32 clips"):
        check(run, voice(ana, 3000))


def test_the_same_voice_goes_on(run: Path, ana: Path, tmp_path: Path):
    """Unchanged, moved, renamed clips, some removed, many added, texts mended."""
    check(run, ana)
    moved = Path(shutil.move(ana, tmp_path / "moved"))
    check(run, moved)
    for number in range(10):
        (moved / "wavs" / f"{number}.wav").unlink()
    check(run, moved)
    more = voice(tmp_path / "more", 5000, clips=200)
    for number in range(10, 40):
        shutil.copy(moved / "wavs" / f"{number}.wav", more / "wavs" / f"{number}.wav")
    check(run, more)
    (moved / "metadata.csv").write_text("\n".join(f"wavs/{n}.wav|Other words {n}.|en" for n in range(10, 40)))
    check(run, moved)
    for number in range(10, 40):
        (moved / "wavs" / f"{number}.wav").rename(moved / "wavs" / f"n{number}.wav")
    (moved / "metadata.csv").write_text("\n".join(f"wavs/n{n}.wav|Other words {n}.|en" for n in range(10, 40)))
    check(run, moved)


def test_nothing_trained_is_nothing_lost(run: Path, tmp_path: Path):
    """Without a checkpoint the directory is free; what an older release or an editor left is no obstacle."""
    rui = voice(tmp_path / "rui", 3000)
    for content in (None, "", "{}", "[1]", json.dumps({"clips": [], "data": 1})):
        if content is None:
            (run / FILE).rename(run / "kept")
        else:
            (run / FILE).write_text(content)
        check(run, rui)
    (run / "kept").rename(run / FILE)
    with pytest.raises(UserError):
        check(run, rui)
    (run / "checkpoints" / "checkpoint_epoch_1.pt").unlink()
    check(run, rui)


def test_the_output_is_named_after_the_data_set(ana: Path, monkeypatch: pytest.MonkeyPatch):
    """So two voices never meet by default; the demonstration keeps its place, and --output still decides."""
    assert settings(ana).output == Path("output-ana")
    assert settings(ana / "metadata.csv").output == Path("output-ana")
    monkeypatch.chdir(ana)
    assert settings(Path()).output == Path("output-ana")
    assert Settings().output == Path("output")
    assert settings(ana, output=Path("here")).output == Path("here")


def test_lang_txt_is_the_default_of_language(ana: Path):
    """Rows and samples speak the data set's language where the user says nothing."""
    (ana / "lang.txt").write_text("fr\n")
    found = read_settings({"data": ana, "model": "tiny"})
    assert (found.language, found.sample_language) == ("fr", ("fr",))
    assert read_settings({"data": ana, "model": "tiny", "sample_language": "de"}).language == "fr"


@pytest.mark.slow
def test_a_run_goes_on_with_another_voice_only_when_told(short_run: dict[str, Any], ana: Path, tmp_path: Path):
    """A real run: refused without a trace, then continued from its weights, with a new best."""
    from cufft_harness.checkpoints import CheckpointFolder, load
    from cufft_harness.training.run import train

    rui = voice(tmp_path / "rui", 3000)
    common = {**short_run, "output": tmp_path / "out", "learning_rate": 0.0001}
    train(Settings(**{**common, "data": ana, "num_epochs": 1}))
    files = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.pt")}
    with pytest.raises(UserError, match="another data set"):
        train(Settings(**{**common, "data": rui}))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.pt")} == files
    train(Settings(**{**common, "data": rui, "continue_with": True}))
    last = load(CheckpointFolder(tmp_path / "out" / "checkpoints").epoch_path(2))
    assert last.best_validation == last.history[-1].validation
    train(Settings(**{**common, "data": rui, "num_epochs": 3}))  # the flag is needed once
