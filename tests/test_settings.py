"""training.settings: defaults < file < environment < flags, and every mistake is named before any work."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cufft_harness.errors import UserError
from cufft_harness.languages import SENTENCES
from cufft_harness.training.settings import SETTINGS, Settings, read_settings


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each source overrides the one below it, and only what it names."""
    file = tmp_path / "run.toml"
    file.write_text("num_epochs = 7\nbatch_size = 3\nseed = 5\n")
    monkeypatch.setenv("CUFFT_HARNESS_BATCH_SIZE", "6")
    monkeypatch.setenv("NUM_EPOCHS", "8")
    settings = read_settings({"num_epochs": 9, "seed": None}, file)
    assert (settings.num_epochs, settings.batch_size, settings.seed) == (9, 6, 5)
    assert settings.learning_rate == SETTINGS["learning_rate"].default


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
        ({"sample_reference": Path("v.wav"), "cycle_references": True}, "names the voices"),
        ({"sample_text": ["a", "b"], "sample_language": ["pt", "en", "de"]}, "2 texts, but 3 languages"),
        ({"sample_text": ["a", " "]}, "sample_text"),
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
    """Each setting has a sentence about it: it is the help of its flag."""
    assert [one.name for one in SETTINGS.values() if not one.help.endswith(".")] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("num_epochs = 7.5", "'7.5' is not a valid integer"),
        ("num_epochs = true", "'True' is not a valid integer"),
        ("learning_rate = nan", "not a finite number"),
        ("learning_rate = inf", "not a finite number"),
        ("seed = 9223372036854775808", "too large"),
        ("model = 5", "`model`.*5 is not of its kind"),
        ("data = ['a']", "`data`"),
        ("data = ''", "cannot be empty"),
        ("num_epoch = 3", "Did you mean `num_epochs`"),
        ("[training]\nnum_epochs = 3", "unknown setting `training`"),
    ],
)
def test_values_of_another_kind_are_errors(tmp_path: Path, line: str, message: str):
    """Nothing is rounded, guessed or turned into text: the setting is named, and the file."""
    file = tmp_path / "run.toml"
    file.write_text(line)
    with pytest.raises(UserError, match=message) as caught:
        read_settings({}, file)
    assert str(file) in caught.value.message


def test_keys_of_a_file_may_have_either_line(tmp_path: Path):
    """`num-epochs`, as the flag is written, and `num_epochs`; both at once is an error."""
    file = tmp_path / "run.toml"
    file.write_text("num-epochs = 7\n")
    assert read_settings({}, file).num_epochs == 7
    file.write_text("num-epochs = 7\nnum_epochs = 8\n")
    with pytest.raises(UserError, match="twice"):
        read_settings({}, file)


@pytest.mark.parametrize("path", ["folder", "none.toml"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, path: str):
    """A directory, or nothing, in place of the settings file."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"cannot read the settings file .*{path}"):
        read_settings({}, tmp_path / path)


def test_variables_are_named_when_wrong_and_empty_ones_say_nothing(monkeypatch: pytest.MonkeyPatch):
    """`NUM_EPOCHS= cufft-harness train` is as if it were not set; `NUM_EPOCHS=many` is an error by that name."""
    monkeypatch.setenv("NUM_EPOCHS", "")
    monkeypatch.setenv("CUFFT_HARNESS_DATA", "")
    monkeypatch.setenv("CUFFT_HARNESS_RUN", '{"mode": "guard"}')  # this training runs under `cufft-harness run`
    assert read_settings({}) == Settings()
    monkeypatch.setenv("NUM_EPOCHS", "many")
    with pytest.raises(UserError, match=r"`num_epochs` \(NUM_EPOCHS in the environment\): 'many'"):
        read_settings({})


def test_a_program_gets_the_same_checks():
    """`Settings(...)` itself reads paths, and refuses what a flag would be refused for."""
    assert Settings(output="speech").output == Path("speech")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="num_epochs"):
        Settings(num_epochs=0)


def test_a_recipe_fills_in_what_is_not_given(tmp_path: Path):
    """coqui's defaults hold under everything that a flag, the file or a program says."""
    file = tmp_path / "run.toml"
    file.write_text("batch_size = 7\n")
    settings = read_settings({"recipe": "coqui", "adam_beta2": "0.95"}, file)
    assert (settings.batch_size, settings.adam_beta2) == (7, 0.95)
    assert (settings.gradient_accumulation_steps, settings.max_grad_norm, settings.max_text_tokens) == (84, 0.0, 200)
    assert Settings(recipe="coqui", max_grad_norm=1.0).max_grad_norm == 1.0
    assert replace(Settings(recipe="coqui"), num_epochs=9).batch_size == 3
    assert Settings().batch_size == SETTINGS["batch_size"].default


def test_lora_has_a_learning_rate_of_its_own():
    """Forty times that of all weights, unless another is given."""
    assert Settings(lora_rank=8).learning_rate == pytest.approx(40 * Settings().learning_rate)
    assert read_settings({"lora_rank": "8", "learning_rate": "1e-5"}).learning_rate == 1e-5
    assert read_settings({"lora_rank": "0"}).learning_rate == 5e-6


def test_several_texts_are_read_alike_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A flag given again, a list in TOML, lines of a variable: the same texts; one alone is a list of one."""
    wanted = ("Olá.", "Bom dia, mundo.")
    assert read_settings({"sample_text": wanted, "sample_language": ()}).sample_text == wanted
    file = tmp_path / "run.toml"
    file.write_text(f"sample-text = {json.dumps(wanted)}\nsample-reference = ['a.wav', 'b.wav']\n")
    found = read_settings({}, file)
    assert (found.sample_text, found.sample_reference) == (wanted, (Path("a.wav"), Path("b.wav")))
    monkeypatch.setenv("CUFFT_HARNESS_SAMPLE_TEXT", "\n".join(wanted))
    assert read_settings({}).sample_text == wanted
    monkeypatch.setenv("CUFFT_HARNESS_SAMPLE_TEXT", "Olá.")
    assert read_settings({}).sample_text == ("Olá.",)
    assert Settings(**found.as_json()) == found
    file.write_text("sample_text = []\n")
    with pytest.raises(UserError, match="must not be empty"):
        read_settings({}, file)


def test_each_sample_language_brings_its_sentence():
    """Several languages without a text: a sentence in each."""
    found = read_settings({"sample_language": ("pt", "de")})
    assert found.sample_text == (SENTENCES["pt"], SENTENCES["de"])


def test_what_a_checkpoint_keeps_holds_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A relative --model, --data or --sample-reference is found again by `sample`, run from elsewhere."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(model="models/mine", data=Path("data"), sample_reference=(Path("a.wav"), Path("/b.wav")))
    kept = settings.kept()
    assert (kept["model"], kept["data"]) == (str(tmp_path / "models" / "mine"), str(tmp_path / "data"))
    assert kept["sample_reference"] == [str(tmp_path / "a.wav"), "/b.wav"]
    assert Settings().kept()["model"] == "tiny"
    assert Settings(**kept).kept() == kept
