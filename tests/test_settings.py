"""training.settings: defaults < file < environment < flags, and every mistake is named before any work."""

from pathlib import Path

import pytest
from cufft_harness.errors import UserError
from cufft_harness.training.settings import Settings, read_settings


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each source overrides the one below it, and only what it names."""
    file = tmp_path / "run.toml"
    file.write_text("num_epochs = 7\nbatch_size = 3\nseed = 5\n")
    monkeypatch.setenv("CUFFT_HARNESS_BATCH_SIZE", "6")
    monkeypatch.setenv("NUM_EPOCHS", "8")
    settings = read_settings({"num_epochs": 9, "seed": None}, file)
    assert (settings.num_epochs, settings.batch_size, settings.seed) == (9, 6, 5)
    assert settings.learning_rate == Settings.model_fields["learning_rate"].default


def test_the_original_tools_variables_work_bare(monkeypatch: pytest.MonkeyPatch):
    """MAX_TRAIN_SAMPLES=20 NUM_EPOCHS=2 SAVE_EVERY_N_EPOCHS=2 are understood as they are."""
    monkeypatch.setenv("MAX_TRAIN_SAMPLES", "20")
    monkeypatch.setenv("NUM_EPOCHS", "2")
    monkeypatch.setenv("SAVE_EVERY_N_EPOCHS", "2")
    settings = read_settings({})
    assert (settings.max_train_samples, settings.num_epochs, settings.save_every_n_epochs) == (20, 2, 2)


def test_common_variables_of_the_system_are_not_settings(monkeypatch: pytest.MonkeyPatch):
    """LANGUAGE (gettext), MODEL, OUTPUT or DATA of the user's shell change nothing."""
    for name in ("LANGUAGE", "MODEL", "OUTPUT", "DATA", "DEVICE", "SEED"):
        monkeypatch.setenv(name, "en_GB:en")
    assert read_settings({}) == Settings()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_epochs": 0}, "num_epochs"),
        ({"save_every_n_epochs": 2, "sample_every_n_epochs": 3}, "multiple of save_every_n_epochs"),
        ({"sample_reference": Path("v.wav"), "cycle_references": True}, "one voice"),
        ({"device": "cpu", "mixed_precision": "fp16"}, "fp16 needs a GPU"),
        ({"sample_text": "  "}, "sample_text"),
        ({"inject": "hang", "samples": False}, "switched off"),
    ],
)
def test_contradictions_are_errors(flags: dict[str, object], message: str):
    """A setting out of range, or two that exclude each other, end the run in one line."""
    with pytest.raises(UserError, match=message) as caught:
        read_settings(flags)
    assert "\n" not in caught.value.message


def test_unknown_keys_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A misspelt key is found in the file and in the environment, not ignored."""
    file = tmp_path / "run.toml"
    file.write_text("num_epoch = 7\n")
    with pytest.raises(UserError, match="unknown setting `num_epoch`"):
        read_settings({}, file)
    monkeypatch.setenv("CUFFT_HARNESS_NUM_EPOCH", "7")
    with pytest.raises(UserError, match="CUFFT_HARNESS_NUM_EPOCH"):
        read_settings({})


def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path):
    """The message names the file and the place."""
    file = tmp_path / "run.toml"
    file.write_text("num_epochs = \n")
    with pytest.raises(UserError, match=r"not valid TOML.*line 1"):
        read_settings({}, file)


def test_every_setting_is_explained():
    """Each field has a description: it is the help of its flag."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
