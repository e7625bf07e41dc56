"""cufft_harness.dataset.audit: each bad row is named with its reason; the good ones are kept."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from cufft_harness.dataset.audit import Audited, Limits, audit
from cufft_harness.dataset.metadata import DataSet, Row
from cufft_harness.errors import UserError

RATE = 16_000
LIMITS = Limits(max_seconds=5.0, max_tokens=20, unknown_token=1)


def tone(seconds: float, level: float = 0.3, frequency: float = 200.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def encode(text: str, language: str) -> list[int]:
    """One token a letter; what is not ASCII is unknown."""
    if language == "xx":
        raise NotImplementedError("Language 'xx' is not supported.")
    return [ord(letter) if letter.isascii() else 1 for letter in text]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set folder with one clip of every kind."""
    clips = {
        "good": tone(1.0),
        "other": tone(1.0, frequency=300.0),
        "empty": tone(0.0),
        "short": tone(0.3),
        "long": tone(6.0),
        "silent": tone(1.0, level=1e-5),
        "clipped": np.clip(tone(1.0, level=3.0), -1, 1),
        "nan": np.where(np.arange(RATE) == 77, np.nan, tone(1.0)),
    }
    for name, samples in clips.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path.parent / "outside.wav").write_bytes((tmp_path / "good.wav").read_bytes())
    (tmp_path / "link.wav").symlink_to(tmp_path.parent / "outside.wav")
    (tmp_path / "copy.wav").write_bytes((tmp_path / "good.wav").read_bytes())
    return tmp_path


def check(folder: Path, *rows: tuple[str, str]) -> Audited:
    train = [Row(f"m:{number}", clip, text, "pt") for number, (clip, text) in enumerate(rows, start=1)]
    return audit(DataSet(folder, train, [Row("v:1", "other.wav", "Sim.", "pt")]), encode, LIMITS)


@pytest.mark.parametrize(
    ("clip", "text", "reason"),
    [
        ("missing.wav", "Oi", "missing"),
        ("text.wav", "Oi", "unreadable"),
        ("empty.wav", "Oi", "empty"),
        ("nan.wav", "Oi", "NaN"),
        ("silent.wav", "Oi", "silent"),
        ("clipped.wav", "Oi", "clipped"),
        ("short.wav", "Oi", "too short"),
        ("long.wav", "Oi", "too long"),
        ("good.wav", "", "text is empty"),
        ("good.wav", "x" * 30, "text too long"),
        ("good.wav", "漢字", "outside the tokenizer"),
        ("good.wav", "a\x1b[2Jb", "control characters"),
        ("copy.wav", "Oi", "duplicate of m:1"),
        ("other.wav", "Oi", "duplicate of v:1"),
        ("../outside.wav", "Oi", "leaves the data set"),
        ("link.wav", "Oi", "leaves the data set"),
        ("/etc/passwd", "Oi", "leaves the data set"),
        ("", "Oi", "no clip"),
    ],
)
def test_a_bad_row_is_left_out_with_its_reason(folder: Path, clip: str, text: str, reason: str):
    """The row beside it is kept, the bad one is named."""
    audited = check(folder, ("good.wav", "Oi"), (clip, text))
    assert [kept.row.source for kept in audited.train] == ["m:1"]
    assert [item.row.source for item in audited.rejected] == ["m:2"]
    assert reason in audited.rejected[0].reason


def test_a_text_the_tokenizer_refuses_is_a_bad_row(folder: Path):
    """An error of the language's cleaner costs the row, not the run."""
    rows = [Row("m:1", "good.wav", "Oi", "pt"), Row("m:2", "copy.wav", "Oi", "xx")]
    audited = audit(DataSet(folder, rows, [Row("v:1", "other.wav", "Oi", "pt")]), encode, LIMITS)
    assert "not supported" in audited.rejected[0].reason


def test_nothing_left_is_a_clear_error(folder: Path):
    """The error says how many rows are bad and why the first one is."""
    with pytest.raises(UserError, match=r"no clip is left to train on.*1 rows are bad.*too short"):
        check(folder, ("short.wav", "Oi"))


def test_names_from_outside_cannot_steer_the_terminal(folder: Path):
    """Control characters in a clip's name are shown as question marks."""
    audited = check(folder, ("good.wav", "Oi"), ("\x1b]0;owned\x07.wav", "Oi"))
    assert "\x1b" not in str(audited.rejected[0])
