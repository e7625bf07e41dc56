"""`cufft-harness data --split`: long recordings are cut at silences, and every word stays beside its sound.

The recordings are the built-in sentences, one after the other with pauses of known lengths, so it is known to the
sample where each is spoken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from cufft_harness.cli.app import app
from cufft_harness.dataset.cutting import LONGEST, SHORTEST, Piece, listen, plan
from cufft_harness.dataset.metadata import built_in, read_data_set
from cufft_harness.dataset.recordings import cut, find_recordings
from cufft_harness.dataset.times import Cue, join, read_times, spoken
from cufft_harness.errors import MachineError, UserError

RATE = 22_050


@dataclass(frozen=True)
class Said:
    """A sentence of the recording: where it begins and ends, and its words with their shares of the time."""

    start: float
    end: float
    text: str

    def words(self) -> list[tuple[float, float, str]]:
        """Start, end and text of each word."""
        lengths = [len(word) for word in self.text.split()]
        edges = self.start + np.concatenate([[0], np.cumsum(lengths)]) / sum(lengths) * (self.end - self.start)
        return [(float(a), float(b), word) for a, b, word in zip(edges, edges[1:], self.text.split(), strict=False)]


@dataclass(frozen=True)
class Recording:
    """A file and what is said in it."""

    path: Path
    said: list[Said]

    @property
    def words(self) -> list[str]:
        """All of them, in order."""
        return " ".join(one.text for one in self.said).split()


def record(path: Path, pauses: list[float], noise: float = 0.0) -> Recording:
    """English sentences with a pause after each, and room noise of this level."""
    rows = [row for row in read_data_set(built_in(), "pt").rows if row.language == "en"]
    parts: list[np.ndarray] = [np.zeros(int(0.4 * RATE))]
    said = []
    for number, pause in enumerate(pauses):
        row = rows[number % len(rows)]
        samples, rate = soundfile.read(built_in() / row.clip)
        assert rate == RATE
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        samples = samples[loud[0] : loud[-1]]
        start = sum(map(len, parts)) / RATE
        said.append(Said(start, start + len(samples) / RATE, row.text))
        parts += [samples, np.zeros(int(pause * RATE))]
    whole = np.concatenate(parts)
    soundfile.write(path, whole + noise * np.random.default_rng(0).standard_normal(len(whole)), RATE)
    return Recording(path, said)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Fourteen sentences, half a minute."""
    folder = tmp_path_factory.mktemp("talk")
    return record(folder / "My talk.wav", [0.4, 0.3, 0.6, 2.5, 0.3, 0.8, 0.4, 0.3, 1.0, 0.3, 0.5, 0.4, 0.3, 0.7], 0.001)


def clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d}{mark}{whole % 1000:03d}"


def srt(said: list[Said]) -> str:
    lines = [
        f"{n}\r\n{clock(s.start, ',')} --> {clock(s.end, ',')}\r\n<i>{s.text}</i>\r\n" for n, s in enumerate(said, 1)
    ]
    return "\ufeff" + "\r\n".join(lines)


def vtt(said: list[Said]) -> str:
    cues = [
        f"sentence {n}\n{clock(s.start, '.')[3:]} --> {clock(s.end, '.')} align:start\n"
        f"<v Ana>{s.text.replace(' ', chr(10), 1)}</v>\n"
        for n, s in enumerate(said)
    ]
    return "WEBVTT - a talk\n\nNOTE\nnot said\n\nSTYLE\n::cue { color: red }\n\n" + "\n".join(cues)


def rolling_vtt(said: list[Said]) -> str:
    """As YouTube's automatic captions: every line is shown twice, first with the times of its words."""
    out, before = ["WEBVTT\nKind: captions\nLanguage: en\n"], " "
    for one in said:
        first, *others = one.words()
        tagged = first[2] + "".join(f"<{clock(start, '.')}><c> {word}</c>" for start, _, word in others)
        out.append(
            f"{clock(one.start, '.')} --> {clock(one.end - 0.01, '.')} align:start position:0%\n{before}\n{tagged}\n"
        )
        out.append(f"{clock(one.end - 0.01, '.')} --> {clock(one.end, '.')} align:start position:0%\n{one.text}\n \n")
        before = one.text
    return "\n".join(out)


def whisper_json(said: list[Said]) -> str:
    """openai-whisper and whisper-ctranslate2 with words; the words keep their spaces."""
    segments = [
        {
            "id": n,
            "start": one.start,
            "end": one.end,
            "text": f" {one.text}",
            "words": [{"word": f" {word}", "start": a, "end": b, "probability": 0.9} for a, b, word in one.words()],
        }
        for n, one in enumerate(said)
    ]
    return json.dumps({"text": "".join(str(one["text"]) for one in segments), "segments": segments, "language": "en"})


def whisperx_json(said: list[Said]) -> str:
    segments = [
        {
            "start": s.start,
            "end": s.end,
            "text": s.text,
            "speaker": "SPEAKER_00",
            "words": [{"word": w, "start": a, "end": b} for a, b, w in s.words()],
        }
        for s in said
    ]
    return json.dumps({"segments": segments, "word_segments": []})


def whisper_cpp_json(said: list[Said]) -> str:
    found = [
        {"offsets": {"from": round(s.start * 1000), "to": round(s.end * 1000)}, "text": f" {s.text}"} for s in said
    ]
    return json.dumps({"result": {"language": "en"}, "transcription": found})


def transformers_json(said: list[Said]) -> str:
    return json.dumps({"text": "", "chunks": [{"timestamp": [s.start, s.end], "text": f" {s.text}"} for s in said]})


def whisper_tsv(said: list[Said]) -> str:
    return "start\tend\ttext\n" + "".join(f"{round(s.start * 1000)}\t{round(s.end * 1000)}\t{s.text}\n" for s in said)


def audacity(said: list[Said]) -> str:
    return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{s.text}\n\\\t-1.000000\t-1.000000\n" for s in said)


def text_grid(said: list[Said]) -> str:
    """Praat's long form, with the pauses as empty intervals."""
    edges: list[tuple[float, float, str]] = []
    for one in said:
        edges += [(edges[-1][1] if edges else 0.0, one.start, ""), (one.start, one.end, one.text.replace('"', '""'))]
    intervals = "".join(
        f'        intervals [{n}]:\n            xmin = {a} \n            xmax = {b} \n            text = "{text}" \n'
        for n, (a, b, text) in enumerate(edges, 1)
    )
    end = edges[-1][1]
    return (
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = {end} \ntiers? <exists> \n'
        "size = 1 \nitem []: \n"
        '    item [1]:\n        class = "IntervalTier" \n        name = "talk" \n'
        f"        xmin = 0 \n        xmax = {end} \n"
        f"        intervals: size = {len(edges)} \n{intervals}"
    )


def short_text_grid(said: list[Said]) -> str:
    """Praat's short form, as the Montreal Forced Aligner writes it: words and phones."""
    words = [word for one in said for word in one.words()]
    end = words[-1][1]
    tiers = "".join(
        f'"IntervalTier"\n"{name}"\n0\n{end}\n{len(words)}\n' + "".join(f'{a}\n{b}\n"{text}"\n' for a, b, text in words)
        for name in ("words", "phones")
    )
    return f'File type = "ooTextFile short"\n"TextGrid"\n\n0\n{end}\n<exists>\n2\n{tiers}'.replace(
        "ooTextFile short", "ooTextFile"
    )


WRITERS: dict[str, tuple[str, Callable[[list[Said]], str]]] = {
    "srt": ("srt", srt),
    "vtt": ("vtt", vtt),
    "rolling vtt": ("vtt", rolling_vtt),
    "whisper": ("json", whisper_json),
    "WhisperX": ("json", whisperx_json),
    "whisper.cpp": ("json", whisper_cpp_json),
    "transformers": ("json", transformers_json),
    "whisper tsv": ("tsv", whisper_tsv),
    "Audacity": ("txt", audacity),
    "TextGrid": ("TextGrid", text_grid),
    "MFA": ("TextGrid", short_text_grid),
}


def times_of(talk: Recording, folder: Path, kind: str, encoding: str = "utf-8") -> Path:
    suffix, writer = WRITERS[kind]
    file = folder / f"{talk.path.stem}.{suffix}"
    file.write_text(writer(talk.said), encoding=encoding, newline="")
    return file


def check_pieces(talk: Recording, pieces: list[Piece]) -> None:
    """Each piece has whole sentences, by its text and by where they are spoken, and nothing of another one."""
    for piece in pieces:
        inside = [one for one in talk.said if piece.start - 0.05 <= one.start and one.end <= piece.end + 0.05]
        touched = [one for one in talk.said if one.start < piece.end - 0.05 and piece.start + 0.05 < one.end]
        assert inside == touched, piece
        assert piece.text == " ".join(one.text for one in inside)
        assert SHORTEST <= piece.seconds <= LONGEST


@pytest.mark.parametrize("kind", WRITERS)
def test_no_word_is_lost_or_told_twice(talk: Recording, tmp_path: Path, kind: str):
    """Every format: the cues have the sentences in order, and each clip the whole sentences that sound in it."""
    cues = read_times(times_of(talk, tmp_path, kind))
    assert spoken(cues).split() == talk.words
    pieces, left = plan(cues, listen(talk.path), "talk")
    assert not left
    assert " ".join(piece.text for piece in pieces).split() == talk.words
    if kind not in ("whisper", "WhisperX", "MFA"):  # made-up times of words may cut in a sentence's own pause
        check_pieces(talk, pieces)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_praat_writes_two_encodings(talk: Recording, tmp_path: Path, encoding: str):
    """UTF-16 where a text has letters beyond Latin-1."""
    said = [Said(0.0, 1.0, 'Élan "vital" ě'), Said(1.0, 2.0, "!")]
    file = times_of(Recording(talk.path, said), tmp_path, "TextGrid", encoding)
    assert [cue.text for cue in read_times(file)] == ['Élan "vital" ě', "!"]


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_what_pysubs2_writes_is_read(talk: Recording, tmp_path: Path, suffix: str):
    """A library that many subtitle tools are made of."""
    pysubs2 = pytest.importorskip("pysubs2")
    events = [pysubs2.SSAEvent(round(s.start * 1000), round(s.end * 1000), s.text) for s in talk.said]
    subtitles = pysubs2.SSAFile()
    subtitles.events = events
    subtitles.save(str(tmp_path / f"a.{suffix}"))
    assert [cue.text for cue in read_times(tmp_path / f"a.{suffix}")] == [one.text for one in talk.said]


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_what_praatio_writes_is_read(talk: Recording, tmp_path: Path, form: str):
    """A library that writes Praat's files; a tier has to be named where there are two."""
    textgrid = pytest.importorskip("praatio.textgrid")
    grid = textgrid.Textgrid()
    for name in ("ana", "notes"):
        entries = [(one.start, one.end, one.text if name == "ana" else "x") for one in talk.said]
        grid.addTier(textgrid.IntervalTier(name, entries, 0, talk.said[-1].end + 1))
    grid.save(str(tmp_path / "a.TextGrid"), form, includeBlankSpaces=True)
    with pytest.raises(UserError, match="has the tiers ana, notes"):
        read_times(tmp_path / "a.TextGrid")
    cues = read_times(tmp_path / "a.TextGrid", "ana")
    assert [cue.text for cue in cues] == [one.text for one in talk.said]
    assert cues[1].start == pytest.approx(talk.said[1].start, abs=0.01)


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n1998\n\n2\n00:00:03,000 --> 00:00:04,000\nyes\n", ["1998", "yes"]),
        ("a.srt", "00:01:01,000 --> 00:01:02,000\n1\n\ntwo\n\n7\n00:01:03,000 --> 00:01:04,000\nx\n", ["1 two", "x"]),
        ("a.srt", "1\n0:00:01.5 --> 0:00:02.5\n{\\an8}a &amp; b < c\n", ["a & b < c"]),
        ("a.vtt", "WEBVTT\n\n01.000 --> 02.000\nno hours\n", None),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nno hours\n", ["no hours"]),
        ("a.vtt", "WEBVTT\n", []),
        ("a.srt", "this is no subtitle", None),
        ("a.json", '{"segments": [{"start": 1}]}', None),
        ("a.json", "not json", None),
        ("a.json", '{"segments": [{"start": NaN, "end": 1, "text": "x"}]}', None),
        ("a.json", '{"segments": [{"start": 2, "end": 1, "text": "x"}]}', None),
        ("a.TextGrid", '"ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"a"\n0\n1\n2\n0\n1\n"x"', None),
        ("a.TextGrid", "nothing", None),
        ("a.tsv", "start\tend\ttext\n0\t1000\tfine\nbroken\n", None),
    ],
)  # fmt: skip
def test_odd_files_with_times(tmp_path: Path, name: str, content: str, texts: list[str] | None):
    """Read by what the format says, or refused in one line."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    if texts is None:
        with pytest.raises(UserError):
            read_times(tmp_path / name)
    else:
        assert [cue.text for cue in read_times(tmp_path / name)] == texts


def test_words_are_joined_as_they_were_written():
    """No space inside a word that whisper divides, none between Chinese characters, one between all others."""
    cues = [Cue(0, 1, "a"), Cue(1, 2, "well"), Cue(2, 3, "-known", glued=True), Cue(3, 4, "man")]
    assert spoken(cues) == "a well-known man"
    assert join(["你好", "世界。", "OK", "yes"]) == "你好世界。OK yes"


@pytest.mark.parametrize("shift", [-0.2, 0.2])
def test_times_need_not_be_exact(talk: Recording, shift: float):
    """Subtitles are a fifth of a second off; the cuts are still where nobody speaks."""
    cues = [Cue(max(0, one.start + shift), one.end + shift, one.text) for one in talk.said]
    pieces, _ = plan(cues, listen(talk.path), "talk")
    assert sum(piece.seconds for piece in pieces) > 0.6 * (talk.said[-1].end - talk.said[0].start)
    check_pieces(talk, pieces)


def test_noise_is_not_silence_but_pauses_are_found_in_it(tmp_path: Path):
    """A room 30 dB below the voice."""
    talk = record(tmp_path / "noisy.wav", [0.5] * 8, noise=0.004)
    pieces, left = plan([Cue(one.start, one.end, one.text) for one in talk.said], listen(talk.path), "talk")
    assert not left
    check_pieces(talk, pieces)


def test_what_nobody_wrote_down_is_in_no_clip(tmp_path: Path):
    """A sentence without a cue between two with one: neither of their clips has its sound."""
    talk = record(tmp_path / "a.wav", [0.5] * 9)
    missing = talk.said[4]
    cues = [Cue(one.start, one.end, one.text) for one in talk.said if one is not missing]
    pieces, _ = plan(cues, listen(talk.path), "talk")
    assert pieces
    for piece in pieces:
        assert piece.end < missing.start + 0.05 or piece.start > missing.end - 0.05
    check_pieces(talk, pieces)


def test_without_a_pause_nothing_is_cut(tmp_path: Path):
    """Where one sentence runs into the next, both are in one clip, or in none if that would be too long."""
    talk = record(tmp_path / "a.wav", [0.0, 0.5, 0.5, 0.5])
    pieces, _ = plan([Cue(one.start, one.end, one.text) for one in talk.said], listen(talk.path), "talk")
    assert not [piece for piece in pieces if talk.said[0].end - 0.1 < piece.end < talk.said[1].start + 0.2]
    endless = record(tmp_path / "b.wav", [0.0] * 8)
    pieces, left = plan([Cue(one.start, one.end, one.text) for one in endless.said], listen(endless.path), "talk")
    assert not pieces
    assert {one.reason for one in left} == {"there is no silence before or after it"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Music]", "note on sounds"),
        ("♪ la la ♪", "note on sounds"),
        ("(laughs)", "note on sounds"),
        ("- Who is there? - Nobody.", "two people"),
    ],
)
def test_what_is_no_plain_speech_is_left_out(talk: Recording, text: str, reason: str):
    """Notes of subtitles are not read as words; the others are kept."""
    cues = [Cue(one.start, one.end, text if number == 5 else one.text) for number, one in enumerate(talk.said)]
    pieces, left = plan(cues, listen(talk.path), "talk")
    assert reason in next(one.reason for one in left if one.cue.text == text)
    assert text not in " ".join(piece.text for piece in pieces)
    assert sum(piece.cues for piece in pieces) + len(left) == len(cues)


def test_speakers_are_not_mixed(talk: Recording):
    """A change of the speaker ends the clip."""
    cues = [Cue(one.start, one.end, one.text, "ab"[number // 5 % 2]) for number, one in enumerate(talk.said)]
    pieces, _ = plan(cues, listen(talk.path), "talk")
    for piece in pieces:
        assert {cue.speaker for cue in cues if piece.start - 0.1 < cue.start < piece.end} == {piece.speaker}


def test_the_text_of_another_recording_is_refused(talk: Recording):
    """Times beyond its end give it away."""
    with pytest.raises(UserError, match="times up to 502 s, its recording has 36 s"):
        plan([Cue(500.0, 502.0, "Later.")], listen(talk.path), "talk.srt")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", *arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


def test_the_command_writes_a_data_set(tmp_path: Path):
    """Read back by `data` and by coqui's own formatter: the same texts, audio that is the recording's to the bit."""
    from TTS.tts.datasets.formatters import coqui

    folder = tmp_path / "in"
    folder.mkdir()
    talk = record(folder / "a talk.flac", [0.5] * 9)
    times_of(talk, folder, "srt")
    (folder / "broken.wav").write_text("no audio")
    (folder / "broken.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nx\n")
    code, shown, said = run("--data", str(folder), "--split", str(tmp_path / "out"), "--language", "en")
    assert code == 0
    assert "broken.wav: unreadable" in said
    assert "language en (lang.txt)" in shown
    data = read_data_set(tmp_path / "out")
    assert " ".join(row.text for row in data.rows).split() == talk.words
    theirs = [one["text"] for one in coqui(str(tmp_path / "out"), "metadata.csv")]
    assert theirs == [row.text for row in data.rows]
    whole, _ = soundfile.read(talk.path, dtype="int16")
    for row in data.rows:
        clip, rate = soundfile.read(tmp_path / "out" / row.clip, dtype="int16")
        assert rate == RATE
        found = np.flatnonzero(whole == clip[np.abs(clip).argmax()]) - np.abs(clip).argmax()
        assert any(start >= 0 and np.array_equal(whole[start : start + len(clip)], clip) for start in found)
    with pytest.raises(UserError, match="not empty"):
        run("--data", str(folder), "--split", str(tmp_path / "out"), "--language", "en")


def test_what_is_missing_is_said(tmp_path: Path, talk: Recording, monkeypatch: pytest.MonkeyPatch):
    """No language, no text and no model, faster-whisper not installed: one line each, and no folder is left."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(talk.path.read_bytes())
    arguments = ["--data", str(tmp_path / "in"), "--split", str(tmp_path / "out")]
    with pytest.raises(UserError, match="language"):
        run(*arguments)
    with pytest.raises(UserError, match="no text with times") as caught:
        run(*arguments, "--language", "en")
    assert "--whisper" in caught.value.advice
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    with pytest.raises(MachineError, match="faster_whisper") as missing:
        run(*arguments, "--language", "en", "--whisper", "small")
    assert missing.value.advice == "pip install 'cufft-harness[whisper]'"
    with pytest.raises(UserError, match="--split"):
        run("--data", str(tmp_path / "in"), "--whisper", "small")
    (tmp_path / "in" / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n[Music]\n")
    with pytest.raises(UserError, match="no clip could be cut"):
        run(*arguments, "--language", "en")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_no_model_is_fetched(talk: Recording, tmp_path: Path):
    """A name that was never downloaded, and a folder that holds no model: one line, at once, without a network."""
    pytest.importorskip("faster_whisper")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(talk.path.read_bytes())
    for model in ("large-v3", str(tmp_path)):
        with pytest.raises(UserError, match="no faster-whisper model"):
            run("--data", str(tmp_path / "in"), "--split", str(tmp_path / "o"), "--language", "en", "--whisper", model)


def test_whispers_formats_side_by_side(talk: Recording, tmp_path: Path):
    """whisper writes all of its formats at once: the JSON is taken; two of other programs are asked about."""
    path = tmp_path / talk.path.name
    path.write_bytes(talk.path.read_bytes())
    for kind in ("srt", "vtt", "whisper tsv", "whisper"):
        times_of(talk, tmp_path, kind)
    (tmp_path / "My talk.txt").write_text("The kettle is already on the stove.")
    ((_, times),) = find_recordings(tmp_path)
    assert times is not None
    assert times.suffix == ".json"
    times_of(talk, tmp_path, "TextGrid")
    times.unlink()
    with pytest.raises(UserError, match="several texts"):
        find_recordings(tmp_path)


def test_an_interrupted_run_leaves_nothing(talk: Recording, tmp_path: Path):
    """The folder appears when it is whole."""

    def stop(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut([(talk.path, times_of(talk, tmp_path, "srt"))], tmp_path / "out", "en", None, None, stop)
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".*"))
