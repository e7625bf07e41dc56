"""A user's mistakes are named before PyTorch is imported, and nothing is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cufft_harness.errors import MachineError, UserError
from cufft_harness.languages import SENTENCES
from cufft_harness.model_files import REQUIRED
from cufft_harness.training import inputs
from cufft_harness.training.settings import Settings

# Runs each command line in one process where an import of torch or TTS is an error, and prints what became of it.
WITHOUT_TORCH = """
import contextlib, io, json, sys
sys.modules["torch"] = sys.modules["TTS"] = None
from cufft_harness.cli.app import main
from cufft_harness.driver import DriverReport
from cufft_harness.training import inputs
inputs.probe_driver = DriverReport  # what a machine without a driver says
ends = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["cufft-harness", *arguments]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try: main()
        except SystemExit as end: ends.append([end.code, errors.getvalue()])
print(json.dumps(ends))
"""

MISTAKES = {
    "train --data nope --model tiny": "no data set at nope",
    "train --data empty --model tiny": "metadata",
    "train --data empty": "your own data needs a model. Give --model DIR (an XTTS-v2 directory), or --model tiny",
    "train --model nope": "no model directory at nope",
    "train --model empty": "model.pth, config.json, vocab.json, dvae.pth, mel_stats.pth missing",
    "train --model pointer": "only points to a file in Git LFS",
    "train --model tts_models/en/ljspeech/vits": "is not a model this program trains",
    "train --sample-reference nope.wav": "no reference clip at nope.wav",
    "train --sample-reference text.wav": "the reference clip text.wav is unreadable",
    "train --output text.wav": "text.wav is not one",
    "train --output text.wav/out": "text.wav is not one",
    "train --language xx": "XTTS does not speak `xx`. It speaks en, es,",
    "train --sample-language klingon": "XTTS does not speak `klingon`",
    "train --inject CUFFT_NOPE@2": "cannot inject `CUFFT_NOPE@2`",
    "train --inject hang@soon": "after @ comes the number of an epoch",
    "train --inject hang@0": "after @ comes the number of an epoch",
    "train --inject hang@2,crash@2": "cannot inject both `hang` and `crash` in epoch 2",
    "train --inject hang,crash": "cannot inject both `hang` and `crash` in every epoch",
    "train --device cuda": "--device cuda needs a GPU, and there is no CUDA driver here",
    "train --mixed-precision fp16": "--mixed-precision fp16 needs a GPU, and there is no CUDA driver here",
    "train --sample-device cuda": "--sample-device cuda needs a GPU, and there is no CUDA driver here",
    "sample --checkpoint text.wav --device cuda": "--device cuda needs a GPU, and there is no CUDA driver here",
    "train --config nope.toml": "cannot read the settings file nope.toml",
    "sample --checkpoint nope": "there is no checkpoint and no run at nope",
    "sample --checkpoint text.wav --language xx": "XTTS does not speak `xx`",
    "sample --checkpoint text.wav --reference nope.wav": "no reference clip at nope.wav",
    "sample --checkpoint text.wav --model nope": "no model directory at nope",
    "sample --checkpoint text.wav --output text.wav": "text.wav is not one",
    "sample --checkpoint text.wav --export empty/..": "is not empty",
    "sample --checkpoint text.wav --export out --text Hello": "--text",
    "run --inject CUFFT_NOPE -- -m prog": "unknown fault `CUFFT_NOPE`",
}


def test_mistakes_are_named_before_torch_is_imported(tmp_path: Path):
    """Each is one line and exit code 2, with torch and TTS out of reach; no output directory appears."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "pointer").mkdir()
    for name in REQUIRED:
        (tmp_path / "pointer" / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    before = sorted(tmp_path.iterdir())
    lines = json.dumps([line.split() for line in MISTAKES])
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, lines], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    ends = dict(zip(MISTAKES, json.loads(result.stdout), strict=True))
    wrong = {
        line: end
        for line, end in ends.items()
        if end[0] != 2 or MISTAKES[line] not in end[1] or len(end[1].splitlines()) != 1
    }
    assert wrong == {}
    assert sorted(tmp_path.iterdir()) == before


def test_one_language_is_that_of_rows_and_samples():
    """`language` alone sets what is said and how; `sample_language` overrides it; the Portuguese default stays."""
    assert Settings().sample_text == ("Olá, este é um teste de síntese de voz usando XTTS treinado.",)
    spoken = Settings(language="de")
    assert (spoken.sample_language, spoken.sample_text) == (("de",), (SENTENCES["de"],))
    spoken = Settings(language="de", sample_language="fr")
    assert (spoken.language, spoken.sample_language, spoken.sample_text) == ("de", ("fr",), (SENTENCES["fr"],))
    assert Settings(language="fr", sample_text="Bonjour.").sample_text == ("Bonjour.",)


@pytest.mark.parametrize(
    ("written", "code"), [("PT", "pt"), ("pt_BR", "pt"), ("en-us", "en"), ("zh", "zh-cn"), ("zh-TW", "zh-cn")]
)
def test_languages_are_understood_as_people_write_them(written: str, code: str):
    """With a region, in capitals, with either line."""
    assert Settings(language=written).language == code


def test_a_language_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    """Japanese texts need cutlet; without it the error says what to install."""
    monkeypatch.setattr(inputs, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="texts in `ja` need cutlet") as caught:
        inputs.check_inputs(Settings(language="ja"))
    assert "coqui-tts[ja]" in caught.value.advice


def test_the_users_own_data_needs_a_model_by_name():
    """Random weights are trained on the user's voice only where `tiny` is asked for."""
    assert Settings().model == "tiny"
    assert Settings(data=Path("voice"), model="tiny").model == "tiny"
    with pytest.raises(UserError, match="your own data needs a model"):
        Settings(data=Path("voice"))


def test_settings_of_a_run_are_whole():
    """What a checkpoint keeps has the defaults that follow from others, so that `sample` finds them."""
    kept = Settings(language="it").as_json()
    assert (kept["model"], kept["sample_text"]) == ("tiny", [SENTENCES["it"]])
    assert Settings(**kept) == Settings(language="it")
