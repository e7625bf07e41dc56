"""`cufft-harness data`: what would be trained on is shown before anything is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from cufft_harness.cli.app import app
from cufft_harness.dataset.audit import Limits, audit
from cufft_harness.dataset.metadata import read_data_set
from cufft_harness.dataset.overview import look

ROWS = [
    f"wavs/c{number}.wav|This is what clip number {number} says.|{'ana' if number % 3 else 'rui'}"
    for number in range(24)
]


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 good clips in coqui's layout, and one row for each of six kinds of bad ones."""
    root = tmp_path_factory.mktemp("voice")
    (root / "wavs").mkdir()

    def clip(name: str, seconds: float, pitch: int) -> None:
        soundfile.write(root / "wavs" / name, 0.3 * np.sin(np.arange(int(seconds * 8000)) * pitch / 8000), 8000)

    for number in range(24):
        clip(f"c{number}.wav", 2.0 + number % 3, 1000 + 10 * number)
    clip("long.wav", 20.0, 900)
    clip("quiet.wav", 9.0, 800)
    bad = [
        "wavs/long.wav|Too long a clip, even though its text is of any length at all.|ana",
        "wavs/none.wav|Not there.|ana",
    ]
    bad += [
        "wavs/quiet.wav|Yes.|ana",
        "wavs/c3.wav|Another text for the third clip.|rui",
        "wavs/c5.wav|\x1b[2J steers|ana",
    ]
    bad += [f"{ROWS[1]}"]
    lines = ["audio_file|text|speaker_name", *ROWS, *bad]
    (root / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    (root / "lang.txt").write_text("en\n")
    return root


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", *arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.stdout


def test_the_overview_tells_what_is_there(voice: Path):
    """Format, rows, length, languages, speakers, lengths, ten texts beside clips, and rows left out by reason."""
    code, shown = run("--data", str(voice))
    assert code == 0
    for expected in (
        "coqui (metadata.csv: columns audio, text, speaker), 30 rows, language en (lang.txt)",
        "ana (16), rui (7)",
        "30: 15 to train on, 8 to validate on, 7 left out",
        "      2  the clip is there with two texts; the first: metadata.csv:5 wavs/c3.wav",
        "metadata.csv:27 wavs/none.wav: file is missing",
        "text is too short for 9.0 s of audio",
    ):
        assert expected in shown
    assert shown.count("  en  This is what clip number") == 10
    assert "\x1b" not in shown


def test_json_has_the_same(voice: Path):
    """For programs: counts that add up, and the texts as they would be trained on."""
    found = json.loads(run("--data", str(voice), "--json")[1])
    assert found["train"] + found["validation"] + sum(one["rows"] for one in found["left_out"]) == found["rows"] == 30
    assert sum(one["clips"] for one in found["durations"]) == found["train"] + found["validation"]
    assert found["languages"] == {"en": 23}
    assert len(found["examples"]) == 10


def test_what_is_shown_is_what_is_trained_on(voice: Path):
    """The check before training keeps the same clips on the same sides, with the same texts."""
    data = read_data_set(voice)
    overview = look(data, 11.6, 0.1)
    audited = audit(data, lambda text, language: [5], Limits(11.6, 400, 1), None, 0.1)
    for shown, trained in ((overview.train, audited.train), (overview.validation, audited.validation)):
        assert {(one.path, one.row.text) for one in shown} == {(one.path, one.row.text) for one in trained}
    assert {str(one) for one in overview.rejected} == {str(one) for one in audited.rejected}


def test_it_needs_neither_torch_nor_tts(voice: Path):
    """Run with both blocked, as where only the light extra is installed."""
    block = "import sys; sys.modules.update(torch=None, TTS=None, transformers=None, accelerate=None);"
    call = f"sys.argv = ['x', 'data', '--data', {str(voice)!r}]; import cufft_harness.cli.app as app; app.main()"
    code = f"{block} {call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "texts beside their clips" in done.stdout


def test_a_set_without_a_good_clip_is_shown_and_refused(tmp_path: Path):
    """Exit code 2, with the reasons on the screen."""
    (tmp_path / "c0.wav").write_text("no audio")
    (tmp_path / "metadata.csv").write_text("c0.wav|One two three.\n")
    code, shown = run("--data", str(tmp_path))
    assert code == 2
    assert "the clip cannot be read as audio" in shown


def test_a_language_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Chinese and Japanese need packages of their own; another language is not spoken by XTTS."""
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(np.arange(16000)), 8000)
    soundfile.write(tmp_path / "b.wav", 0.3 * np.sin(np.arange(16001)), 8000)
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "a.wav", "text": "你好，这是一个句子。", "language": "zh"}\n'
        '{"file_name": "b.wav", "text": "Tere.", "language": "et"}\n'
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _, shown = run("--data", str(tmp_path))
    assert "pip install 'coqui-tts[zh]'" in shown
    assert "`et` is no language of XTTS-v2" in shown
