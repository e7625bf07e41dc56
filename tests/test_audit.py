"""cufft_harness.dataset.audit: each bad row is named with its reason; the good ones are kept."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cufft_harness.dataset.audit import Audited, Limits, audit
from cufft_harness.dataset.clips import ClipFolder, NoClip
from cufft_harness.dataset.metadata import DataSet, Row
from cufft_harness.errors import MachineError, UserError

RATE = 16_000
LIMITS = Limits(max_seconds=10.0, max_tokens=20, unknown_token=1)


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
        "long": tone(11.0),
        "quiet": tone(9.0),
        "silent": tone(1.0, level=1e-5),
        "clipped": np.clip(tone(1.0, level=3.0), -1, 1),
        "nan": np.where(np.arange(RATE) == 77, np.nan, tone(1.0)),
    }
    for name, samples in clips.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "good.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100))
    (tmp_path / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    (tmp_path / "nothing.wav").touch()
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
        ("good.wav", "漢字", "outside the tokenizer's vocabulary: 漢 (U+6F22), 字 (U+5B57)"),
        ("good.wav", "a\x1b[2Jb", "control characters"),
        ("good.wav", "a\u202eb", "direction overrides"),
        ("good.wav", "Ol\ufffd", "damaged"),
        ("good.wav", "OlÃ¡", "wrong encoding"),
        ("good.wav", "...", "no letters"),
        ("quiet.wav", "Oi", "too short for 9.0 s of audio"),
        ("good.wav", "spoken much too fast " * 3, "letters a second"),
        ("good.m4a", "Oi", "M4A, AAC"),
        ("pointer.wav", "Oi", "Git LFS"),
        ("nothing.wav", "Oi", "the file is empty"),
        ("copy.wav", "Oi", "duplicate of m:1"),
        ("other.wav", "Sim.", "duplicate of v:1"),
        ("WAVS\\..\\missing.wav", "Oi", "missing"),
        ("C:\\data\\good.wav", "Oi", "another machine"),
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
    assert reason in audited.rejected[0].detail


def test_a_text_the_tokenizer_refuses_is_a_bad_row(folder: Path):
    """An error of the language's cleaner costs the row, not the run."""
    rows = [Row("m:1", "good.wav", "Oi", "pt"), Row("m:2", "copy.wav", "Oi", "xx")]
    audited = audit(DataSet(folder, rows, [Row("v:1", "other.wav", "Oi", "pt")]), encode, LIMITS)
    assert "not supported" in audited.rejected[0].detail


def test_nothing_left_is_a_clear_error(folder: Path):
    """The error says how many rows are bad and why the first one is."""
    with pytest.raises(UserError, match=r"no clip is left to train on.*1 rows are bad.*too short"):
        check(folder, ("short.wav", "Oi"))


def test_names_from_outside_cannot_steer_the_terminal(folder: Path):
    """Control characters in a clip's name are shown as question marks."""
    audited = check(folder, ("good.wav", "Oi"), ("\x1b]0;owned\x07.wav", "Oi"))
    assert "\x1b" not in str(audited.rejected[0])


def test_unknown_characters_are_named_with_counts(folder: Path):
    """A set in a script that the model does not know says which letters, and in how many texts each is."""
    audited = check(folder, ("good.wav", "Oi"), ("quiet.wav", "a漢 and 字漢 more"), ("copy.wav", "字"))
    assert audited.unknown == {"漢": 1, "字": 2}


def test_typewriter_punctuation_is_tried_before_a_row_is_left_out(folder: Path):
    """A vocabulary without curly quotes and dashes still reads the words between them."""
    audited = check(folder, ("good.wav", "“D’où” – là…".replace("ù", "u").replace("à", "a")))
    assert bytes(audited.train[0].tokens).decode() == '"D\'ou" - la...'


def test_a_clip_with_two_texts_is_not_trained_on(folder: Path):
    """Nobody knows which text is right: the rows are left out, and each names the other; by name or by content."""
    audited = check(
        folder, ("good.wav", "Oi"), ("good.wav", "Sim"), ("quiet.wav", "quite another clip"), ("copy.wav", "Oi")
    )
    assert [clip.row.clip for clip in audited.train] == ["quiet.wav"]
    assert ["m:2" in one.detail for one in audited.rejected] == [True, False, True]


def test_the_split_comes_after_the_check(folder: Path):
    """The measured failure: 11 of 12 good clips were refused because the one row drawn for validation was bad."""
    for number in range(11):
        soundfile.write(folder / f"n{number}.wav", tone(1.0, frequency=300.0 + number), RATE)
    for bad in range(12):
        names = [f"n{number}.wav" for number in range(11)]
        names.insert(bad, "short.wav")
        rows = [Row(f"m:{number}", name, f"text {number}", "pt") for number, name in enumerate(names)]
        audited = audit(DataSet(folder, rows), encode, LIMITS, None, 0.05)
        assert len(audited.train) + len(audited.validation) == 11
        assert audited.validation
        assert audited.train


def test_nothing_left_to_validate_quotes_a_validation_row(folder: Path):
    """Its own first reason, not that of a bad row of the training part."""
    train = [Row("t:1", "silent.wav", "Oi", "pt"), Row("t:2", "good.wav", "Oi", "pt")]
    with pytest.raises(UserError, match=r"to validate on.*1 rows are bad.*v:1 short\.wav: too short"):
        audit(DataSet(folder, train, [Row("v:1", "short.wav", "Oi", "pt")]), encode, LIMITS)
    with pytest.raises(UserError, match="only one clip is good"):
        audit(DataSet(folder, train), encode, LIMITS)


def test_texts_that_do_not_fit_most_clips_are_refused(folder: Path):
    """Labels as texts show in the lengths of the clips, whatever they are."""
    for number in range(6):
        soundfile.write(folder / f"n{number}.wav", tone(8.0, frequency=300.0 + number), RATE)
    rows = [Row(f"m:{number}", f"n{number}.wav", f"name{'abcdef'[number]}", "pt") for number in range(6)]
    with pytest.raises(UserError, match="6 of 6 texts do not fit their clips"):
        audit(DataSet(folder, rows), encode, LIMITS)


@pytest.mark.parametrize(
    ("suffix", "format", "subtype"),
    [
        ("mp3", "MP3", "MPEG_LAYER_III"),
        ("opus", "OGG", "OPUS"),
        ("ogg", "OGG", "VORBIS"),
        ("flac", "FLAC", "PCM_16"),
        ("aiff", "AIFF", "PCM_16"),
    ],
)
def test_what_libsndfile_reads_is_read(tmp_path: Path, suffix: str, format: str, subtype: str):
    """MP3 and Opus too, named with and without their suffix and in capitals (once looked for as `c00.mp3.wav`)."""
    if format not in soundfile.available_formats():
        pytest.skip(f"libsndfile {soundfile.__libsndfile_version__} writes no {format}")
    names = ["wavs/a", f"b.{suffix.upper()}", f"wavs\\c.{suffix}"]
    for number, name in enumerate("abc"):
        (tmp_path / "wavs").mkdir(exist_ok=True)
        clip = tmp_path / "wavs" / f"{name}.{suffix}"
        soundfile.write(clip, tone(2.0, frequency=200.0 + 50 * number), 48_000, format=format, subtype=subtype)
    audited = audit(DataSet(tmp_path, [Row("m", name, "Oi", "pt") for name in names]), encode, LIMITS)
    assert sorted(clip.path.name for clip in (*audited.train, *audited.validation)) == [
        f"{one}.{suffix}" for one in "abc"
    ]


def test_a_missing_package_of_a_language_is_named_at_once(folder: Path):
    """Not once for every row: the install command, in one line."""

    def encode_chinese(text: str, language: str) -> list[int]:
        raise ImportError("Chinese requires: pypinyin")

    with pytest.raises(MachineError, match="zh-cn") as caught:
        audit(DataSet(folder, [Row("m:1", "good.wav", "你好", "zh-cn")]), encode_chinese, LIMITS)
    assert caught.value.advice == "pip install 'coqui-tts[zh]'"


@pytest.mark.parametrize("names", [("a.WAV", "a.wav"), ("a.Wav", "a.WAV")])
def test_two_files_that_fit_are_not_guessed_between(tmp_path: Path, names: tuple[str, str]):
    """The exact name wins; without one the row is left out."""
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, tone(1.0, frequency=200.0 + number), RATE)
    if "a.wav" in names:
        assert ClipFolder(tmp_path).find("a.wav") == tmp_path / "a.wav"
    else:
        with pytest.raises(NoClip, match="several"):
            ClipFolder(tmp_path).find("a.wav")


def test_an_accent_may_be_written_in_two_ways(tmp_path: Path):
    """macOS writes names decomposed; metadata made elsewhere has them composed."""
    (tmp_path / unicodedata.normalize("NFD", "olá.wav")).touch()
    assert ClipFolder(tmp_path).find(unicodedata.normalize("NFC", "olá.wav")).is_file()
