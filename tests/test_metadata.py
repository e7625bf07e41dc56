"""cufft_harness.dataset.metadata: every layout people have is read as its own tools read it, or refused by name.

Where coqui's TTS or pandas is the tool of a format, it writes or reads the same file here, and the texts are compared.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cufft_harness.dataset.metadata import DataSet, Row, built_in, read_data_set, split
from cufft_harness.errors import UserError

SENTENCES = [
    "The sea was calm that morning.",
    'She said "no", and then she left.',
    '"Quite so," he answered.',
    "Twelve, thirteen; fourteen!",
    "Nobody heard the letter arrive.",
    "Please close the door behind you.",
]


def make_clips(root: Path, names: list[str]) -> None:
    """A second of audio for each name."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * (200 + number) * np.arange(16_000) / 16_000)
        soundfile.write(root / name, tone, 16_000)


def write(root: Path, name: str, *lines: str) -> Path:
    """A metadata file, and clips `wavs/c0.wav` to `wavs/c5.wav`."""
    make_clips(root, [f"wavs/c{number}.wav" for number in range(6)])
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def said(data: DataSet) -> dict[str, str]:
    """Text by clip."""
    return {row.clip: row.text for row in data.rows}


def by_file(samples: list[dict[str, Any]], root: Path) -> dict[str, str]:
    """Text by clip, as a formatter of coqui's TTS gives it."""
    return {str(Path(one["audio_file"]).relative_to(root)): one["text"].strip() for one in samples}


def test_built_in_data_has_short_pt_and_en_sentences():
    """At least 24 clips in both languages come with the package, and each file is there."""
    data = read_data_set(None, "pt")
    assert data.validation is not None
    assert len(data.rows) >= 24
    assert {row.language for row in data.train} == {row.language for row in data.validation} == {"pt", "en"}
    assert all((built_in() / row.clip).is_file() for row in data.rows)


def test_ljspeech_is_read_as_coqui_reads_it(tmp_path: Path):
    """Three columns, quotes that are quotes, no suffix: the texts are those of coqui's own formatter."""
    from TTS.tts.datasets.formatters import ljspeech

    write(tmp_path, "metadata.csv", *(f"c{n}|{text}|{text}" for n, text in enumerate(SENTENCES)))
    data = read_data_set(tmp_path, "en")
    found = by_file(ljspeech(str(tmp_path), "metadata.csv"), tmp_path)
    assert {f"wavs/{clip}.wav": text for clip, text in said(data).items()} == found
    assert found["wavs/c1.wav"] == SENTENCES[1]
    assert "ljspeech" in data.description


def test_ljspeechs_normalized_text_is_what_is_trained_on(tmp_path: Path):
    """The third column has numbers as words; where it is empty, the second says the same."""
    write(
        tmp_path,
        "metadata.csv",
        "c0|It was Dr. No, he said.|It was Doctor No, he said.",
        "c1|In 1492 it was so.|",
        "c2|A.|A.",
    )
    assert list(said(read_data_set(tmp_path, "en")).values()) == [
        "It was Doctor No, he said.",
        "In 1492 it was so.",
        "A.",
    ]


def test_a_third_column_may_hold_the_language(tmp_path: Path):
    """As the built-in data has it; a region or capitals make no difference."""
    write(tmp_path, "metadata.csv", "wavs/c0.wav|Olá, mundo.|pt", "wavs/c1.wav|Hello, world.|EN", "wavs/c2.wav|Hi.|zh")
    assert [row.language for row in read_data_set(tmp_path, "es").rows] == ["pt", "en", "zh-cn"]


@pytest.mark.parametrize("names", ["audio_file text speaker_name", "audio_file text"])
def test_coqui_is_read_as_coqui_reads_it(tmp_path: Path, names: str):
    """Written by a CSV writer with `|`, as pandas does; the header is no row, the speaker no text."""
    from TTS.tts.datasets.formatters import coqui

    columns = names.split()
    make_clips(tmp_path, [f"wavs/c{n}.wav" for n in range(6)])
    texts = [*SENTENCES[:4], "A sign | in a sentence."]
    for part, numbers in {"train": range(4), "eval": range(4, 5)}.items():
        with (tmp_path / f"metadata_{part}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, delimiter="|", lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            for n in numbers:
                writer.writerow({"audio_file": f"wavs/c{n}.wav", "text": texts[n], "speaker_name": "coqui"})
    (tmp_path / "lang.txt").write_text("en\n")
    data = read_data_set(tmp_path)
    assert data.validation is not None
    assert {row.language for row in data.rows} == {"en"}
    for part, rows in {"train": data.train, "eval": data.validation}.items():
        assert {row.clip: row.text for row in rows} == by_file(coqui(str(tmp_path), f"metadata_{part}.csv"), tmp_path)
    assert data.validation[0].text == "A sign | in a sentence."
    assert {row.speaker for row in data.rows} == ({"coqui"} if "speaker_name" in columns else {""})


def test_pandas_writes_what_is_read(tmp_path: Path):
    """`DataFrame.to_csv(sep="|")` with quotes, `|` and an index; an eval file with nothing but a header is none."""
    pandas = pytest.importorskip("pandas")
    make_clips(tmp_path, [f"wavs/c{n}.wav" for n in range(6)])
    texts = ['He said "well | well".', '"Start', 'end"', "x | y", '""', "plain words"]
    frame = pandas.DataFrame({"audio_file": [f"wavs/c{n}.wav" for n in range(6)], "text": texts, "speaker_name": "ana"})
    frame.to_csv(tmp_path / "metadata_train.csv", sep="|", index=True)
    frame[:0].to_csv(tmp_path / "metadata_eval.csv", sep="|", index=False)
    data = read_data_set(tmp_path, "en")
    assert list(said(data).values()) == texts
    assert data.validation is None


@pytest.mark.parametrize("header", [True, False])
def test_f5_tts_names_clips_by_absolute_path(tmp_path: Path, header: bool):
    """Allowed inside the data set; the row of any other path is left out later, by name."""
    root = tmp_path / "data"
    lines = [f"{root}/wavs/c0.wav|{SENTENCES[0]}", f"{root}/wavs/c1.wav|{SENTENCES[1]}"]
    write(root, "metadata.csv", *(["audio_file|text"] if header else []), *lines)
    data = read_data_set(root, "en")
    assert [row.text for row in data.rows] == SENTENCES[:2]
    assert ("f5" in data.description) is header


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("parts", [True, False])
def test_audiofolder_of_hugging_face(tmp_path: Path, ending: str, parts: bool):
    """metadata.csv or metadata.jsonl with file_name, at the top or in train/ and validation/, names relative to it."""
    for folder in ("train", "validation") if parts else (".",):
        make_clips(tmp_path / folder, [f"{n}.mp3" for n in range(2)])
        file = tmp_path / folder / f"metadata.{ending}"
        rows = [{"file_name": f"{n}.mp3", "transcription": f'{folder}, a "quote", {n}\nmore'} for n in range(2)]
        with file.open("w", newline="", encoding="utf-8") as stream:
            if ending == "csv":
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            else:
                stream.writelines(json.dumps(row) + "\n" for row in rows)
    data = read_data_set(tmp_path, "en")
    assert (data.validation is not None) is parts
    assert said(data)["train/1.mp3" if parts else "1.mp3"] == f'{"train" if parts else "."}, a "quote", 1 more'


def test_texts_beside_clips(tmp_path: Path):
    """Any depth, capitals in suffixes, several lines; a clip without a text and a file of times are named."""
    make_clips(tmp_path, ["a.wav", "deep/er/b.WAV", "c.wav", "d.wav"])
    (tmp_path / "a.txt").write_text("\ufeffOne\r\ntwo.\r\n", encoding="utf-8")
    (tmp_path / "deep" / "er" / "b.TXT").write_text("Three.")
    (tmp_path / "d.txt").write_text("0.000000\t2.500000\tFour.\n2.500000\t3.000000\tFive.\n")
    (tmp_path / "README.txt").write_text("Recorded in May.")
    data = read_data_set(tmp_path, "en")
    assert said(data) == {"a.wav": "One two.", "deep/er/b.WAV": "Three."}
    assert {one.row.clip: one.detail.split(";")[0] for one in data.rejected} == {
        "c.wav": "no c.txt beside it",
        "d.wav": "the text file holds times, not a text",
    }


COMMAS = ["path,sentence", 'wavs/c0.wav,"One, two, ""three""."', "wavs/c1.wav,Four.", "", "wavs/c2.wav,Five."]


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (COMMAS, "\n"),
        (COMMAS, "\r\n"),
        (COMMAS, "\r"),
        (
            [line.replace(",", ";") for line in COMMAS[:1]]
            + ['wavs/c0.wav;One, two, "three".', "wavs/c1.wav;Four.", "wavs/c2.wav;Five."],
            "\n",
        ),
        (["path\tsentence", 'wavs/c0.wav\tOne, two, "three".', "wavs/c1.wav\tFour.", "wavs/c2.wav\tFive."], "\n"),
        (['wavs/c0.wav\tOne, two, "three".', "wavs/c1.wav\tFour.", "wavs/c2.wav\tFive."], "\n"),
        (['\ufeffwavs/c0.wav|One, two, "three".|', "", "wavs/c1.wav|Four.|", "wavs/c2.wav|Five.|", ""], "\r\n"),
        (["Audio File|Text", 'wavs\\c0.wav|One, two, "three".', "wavs\\c1.wav|Four.", "wavs\\c2.wav|Five."], "\r\n"),
    ],
)
def test_separators_and_line_ends(tmp_path: Path, lines: list[str], end: str):
    """Commas, semicolons, tabs, a `|` at the end, empty lines, BOM, Windows and old Mac line ends."""
    write(tmp_path, "metadata.csv")
    (tmp_path / "metadata.csv").write_bytes(end.join(lines).encode())
    data = read_data_set(tmp_path, "en")
    assert [row.text for row in data.rows] == ['One, two, "three".', "Four.", "Five."]
    assert not data.rejected


QUESTIONS = {
    "speakers": ["c0|ana|One two three.", "c1|ana|Four five.", "c2|rui|Six."],
    "a speaker at the end": ["c0|One two three.|ana", "c1|Four five.|ana", "c2|Six.|rui"],
    "four columns": [f"c{n}|One two.|One two.|3.2" for n in range(3)],
    "one column": ["c0", "c1"],
    "text first": ["One two three.|c0.wav", "Four five.|c1.wav"],
    "no clip is there": ["x0|One two three.", "x1|Four five."],
    "commas without a header": ["wavs/c0.wav,One two", "wavs/c1.wav,Three, four"],
    "an unknown header": ["wav_no|phrase", "c0|One two three.", "c1|Four five."],
    "an unknown column": ["audio_file|text|mood", "wavs/c0.wav|One two.|sad"],
    "two texts": ["audio_file|text|transcription", "wavs/c0.wav|One two.|One."],
    "two clips": ["file_name,path,text", "wavs/c0.wav,c0.wav,One two."],
    "no separator": ["wavs/c0.wav One two three.", "wavs/c1.wav Four five."],
}


@pytest.mark.parametrize("lines", QUESTIONS.values(), ids=QUESTIONS)
def test_what_is_not_clear_is_asked(tmp_path: Path, lines: list[str]):
    """One line that shows how the file begins and how to say what its columns hold; nothing is guessed."""
    write(tmp_path, "metadata.csv", *lines)
    with pytest.raises(UserError) as caught:
        read_data_set(tmp_path, "en")
    assert lines[0] in caught.value.message
    assert "--columns" in caught.value.advice


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        ("audio,speaker,text", ["c0|ana|One two three.", "c1|ana|Four five.", "c2|rui|Six."]),
        ("text,audio,speaker", ["One two three.|c0|ana", "Four five.|c1|ana", "Six.|c2|rui"]),
        (
            "audio,text,speaker,-",
            ["clip,words,who,x", "c0,One two three.,ana,1", "c1,Four five.,ana,2", "c2,Six.,rui,3"],
        ),
        (
            "audio|text|-|speaker",
            [
                *(
                    f"c{n}|{text}|x|{who}"
                    for n, text, who in [(0, "One two three.", "ana"), (1, "Four five.", "ana"), (2, "Six.", "rui")]
                )
            ],
        ),
    ],
)
def test_the_answer_to_the_question(tmp_path: Path, columns: str, lines: list[str]):
    """`--columns` says what each column holds; a header of other names is then no row."""
    write(tmp_path, "metadata.csv", *lines)
    if lines[0].startswith("clip"):
        lines[0] = "file,words,who,x"
        write(tmp_path, "metadata.csv", *lines)
    rows = read_data_set(tmp_path, "en", columns=columns).rows
    assert [(row.text, row.speaker) for row in rows] == [
        ("One two three.", "ana"),
        ("Four five.", "ana"),
        ("Six.", "rui"),
    ]


@pytest.mark.parametrize("columns", ["audio", "audio,words", "text,text,audio", "audio,speaker", ""])
def test_columns_that_make_no_sense(tmp_path: Path, columns: str):
    """A user error that says what is expected."""
    write(tmp_path, "metadata.csv", "c0|ana|One two three.")
    with pytest.raises(UserError, match="columns"):
        read_data_set(tmp_path, "en", columns=columns)


def test_the_format_can_be_said(tmp_path: Path):
    """`--format` reads a file as the tools of that format do; one that it cannot be is refused."""
    write(tmp_path, "metadata.csv", "audio_file|text|mood", "wavs/c0.wav|One two.|sad", "wavs/c1.wav|Three.|glad")
    assert [row.text for row in read_data_set(tmp_path, "en", format="coqui").rows] == ["One two.", "Three."]
    with pytest.raises(UserError, match="header"):
        read_data_set(tmp_path, "en", format="ljspeech")
    write(tmp_path, "metadata.csv", "c0|読む|よむ", "c1|書く|かく")
    assert [row.text for row in read_data_set(tmp_path, "ja", format="ljspeech").rows] == ["よむ", "かく"]
    with pytest.raises(UserError, match="first line names no columns"):
        read_data_set(tmp_path, "ja", format="coqui")


WRONG = {
    "speakers": ["maria"] * 4,
    "mostly one": ["coqui"] * 6 + [f"a sentence of number {n}" for n in range(5)],
    "file names": [f"wavs/c{n % 6}.wav" for n in range(4)],
    "languages": ["en", "pt", "en", "pt"],
    "ids": [f"LJ001-{n:04d}" for n in range(4)],
    "labels": ["Ana Maria", "Rui Costa"] * 10,
    "durations": ["3.52", "4.10", "2.97", "1.33"],
}


@pytest.mark.parametrize("texts", WRONG.values(), ids=WRONG)
def test_what_cannot_be_texts_is_refused(tmp_path: Path, texts: list[str]):
    """Whatever the header says: labels, names, ids and file names are an error of the whole data set."""
    write(tmp_path, "metadata.csv", "audio_file|text", *(f"wavs/c{n % 6}.wav|{text}" for n, text in enumerate(texts)))
    with pytest.raises(UserError, match="not what the clips say"):
        read_data_set(tmp_path, "en")


def test_the_speaker_column_never_becomes_the_text(tmp_path: Path):
    """The measured failure: coqui's own layout was trained on the word `coqui` as the text of every clip."""
    write(
        tmp_path,
        "metadata_train.csv",
        "audio_file|text|speaker_name",
        *(f"wavs/c{n}.wav|{text}|coqui" for n, text in enumerate(SENTENCES)),
    )
    assert [row.text for row in read_data_set(tmp_path, "en").rows] == SENTENCES


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("wavs/c1.wav|a | b|coqui", "4 columns where the file has 3"),
        ("wavs/c1.wav", "1 columns where the file has 3"),
        ('wavs/c1.wav|"a|b"', "quotes"),
        ('wavs/c1.wav|"never closed', "quotes"),
    ],
)
def test_a_line_that_does_not_fit_is_left_out_by_name(tmp_path: Path, line: str, detail: str):
    """Its neighbours are kept; nothing of it is read as a text."""
    write(
        tmp_path,
        "metadata.csv",
        "audio_file|text|speaker_name",
        "wavs/c0.wav|One two.|coqui",
        line,
        "wavs/c2.wav|Three.|coqui",
    )
    data = read_data_set(tmp_path, "en")
    assert [row.text for row in data.rows] == ["One two.", "Three."]
    assert detail in data.rejected[0].detail
    assert data.rejected[0].row.source == "metadata.csv:3"


@pytest.mark.parametrize(
    "lines",
    [
        ["path,sentence", 'wavs/c0.wav,"never closed', "wavs/c1.wav,Two.", 'wavs/c2.wav,"Three."'],
        ["path,sentence", 'wavs/c0.wav,"never closed', "wavs/c1.wav,Two."],
    ],
)
def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path: Path, lines: list[str]):
    """It is an error that names the line, for in a CSV file nobody can say where the text ends."""
    write(tmp_path, "metadata.csv", *lines)
    with pytest.raises(UserError, match="line 2 cannot be read"):
        read_data_set(tmp_path, "en")


def test_a_quote_closed_too_late_is_left_out(tmp_path: Path):
    """Where the quotes pair up by chance, the swallowed clip's name gives it away."""
    write(
        tmp_path,
        "metadata.csv",
        "path,sentence",
        'wavs/c0.wav,"never closed',
        'wavs/c1.wav,Two."',
        "wavs/c2.wav,Three.",
    )
    data = read_data_set(tmp_path, "en")
    assert [row.text for row in data.rows] == ["Three."]
    assert "another row" in data.rejected[0].detail


def test_other_line_ends_end_no_line(tmp_path: Path):
    """U+2028, U+0085 and vertical tabs inside a text do not make two rows of one."""
    write(tmp_path, "metadata.csv", "c0|One\u2028two\x0bthree\x85four.", "c1|Five.")
    assert [row.clip for row in read_data_set(tmp_path, "en").rows] == ["c0", "c1"]


def test_missing_data_is_a_user_error(tmp_path: Path):
    """No folder, no metadata, no UTF-8, NUL: one line that says what is expected or what was found instead."""
    with pytest.raises(UserError, match="no data set"):
        read_data_set(tmp_path / "none", "pt")
    with pytest.raises(UserError, match="neither"):
        read_data_set(tmp_path, "pt")
    (tmp_path / "metadata.csv").write_bytes("wavs/a.wav|Olá\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_data_set(tmp_path, "pt")
    (tmp_path / "metadata.csv").write_bytes("wavs/a.wav|Olá\n".encode("utf-16"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_data_set(tmp_path, "pt")
    (tmp_path / "metadata.csv").write_bytes(b"wavs/a.wav|O\0la\n")
    with pytest.raises(UserError, match="NUL"):
        read_data_set(tmp_path, "pt")


def test_another_name_is_asked_for(tmp_path: Path):
    """A table of another name, or several, is not taken without a word; given as --data it is read."""
    write(tmp_path, "list.csv", "path,sentence", "wavs/c0.wav,One two.")
    with pytest.raises(UserError, match=r"but list\.csv"):
        read_data_set(tmp_path, "en")
    assert [row.text for row in read_data_set(tmp_path / "list.csv", "en").rows] == ["One two."]
    write(tmp_path, "metadata.csv", "c0|One.")
    write(tmp_path, "metadata.jsonl", '{"file_name": "c0", "text": "One."}')
    with pytest.raises(UserError, match="several metadata files"):
        read_data_set(tmp_path, "en")


def test_a_huge_cell_is_one_line(tmp_path: Path):
    """Two megabytes in a field are a row like any other, or a user error; never a traceback."""
    write(tmp_path, "metadata.csv", "c0|" + "word " * 400_000, "c1|Five.")
    assert len(read_data_set(tmp_path, "en").rows) == 2
    write(tmp_path, "metadata.csv", "path,sentence", "c0," + "word " * 400_000)
    with pytest.raises(UserError, match="cannot be read"):
        read_data_set(tmp_path, "en")


def test_lang_txt_that_is_no_language_is_an_error(tmp_path: Path):
    """It decides in which language everything is read; so does --language, and they may not differ."""
    write(tmp_path, "metadata.csv", "c0|One two.")
    (tmp_path / "lang.txt").write_text("English please")
    with pytest.raises(UserError, match=r"lang\.txt"):
        read_data_set(tmp_path)
    (tmp_path / "lang.txt").write_text("EN_us\n")
    assert [row.language for row in read_data_set(tmp_path, "en").rows] == ["en"]
    with pytest.raises(UserError, match=r"lang\.txt says `en`, --language says `pt`"):
        read_data_set(tmp_path, "pt")


def both(row: Row) -> tuple[str, str]:
    return row.clip, row.text


def test_a_split_is_reproducible():
    """The same rows go to the same side, also when rows are added later."""
    rows = [Row("m:1", f"wavs/{number}.wav", f"text {number}", "pt") for number in range(200)]
    train, validation = split(rows, both, 0.1)
    assert 5 <= len(validation) <= 40
    more_train, more_validation = split([*rows, Row("m:1", "wavs/new.wav", "new", "pt")], both, 0.1)
    assert set(train) <= set(more_train)
    assert set(validation) <= set(more_validation)


@pytest.mark.parametrize("fraction", [0.0001, 0.9999])
def test_two_rows_are_enough_to_split(fraction: float):
    """Both sides get a row, whatever the fraction."""
    rows = [Row("m:1", "a.wav", "a", "pt"), Row("m:2", "b.wav", "b", "pt")]
    assert [len(part) for part in split(rows, both, fraction)] == [1, 1]
