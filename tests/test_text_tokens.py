"""Texts of every script as XTTS's own preprocessing takes them, with the packages that it needs for some."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cufft_harness.dataset.audit import Limits, audit
from cufft_harness.dataset.metadata import read_data_set
from cufft_harness.errors import MachineError

Tokenizer = Any


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Tokenizer:
    from cufft_harness.xtts.directory import ModelDirectory, load

    return load(ModelDirectory(tiny)).tokenizer


@pytest.fixture
def read(tmp_path: Path, tokenizer: Tokenizer) -> Callable[[str, list[str]], list[str]]:
    """Texts to what XTTS reads of them after the whole way through metadata and check."""

    def texts(language: str, written: list[str]) -> list[str]:
        for number in range(len(written)):
            tone = 0.3 * np.sin(np.arange(32_000) * (500 + number) / 8_000)
            soundfile.write(tmp_path / f"{number}.wav", tone, 8_000)
        lines = [f"{number}.wav|{text}" for number, text in enumerate(written)]
        (tmp_path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
        limits = Limits(11.6, 400, tokenizer.tokenizer.token_to_id("[UNK]"))
        found = audit(read_data_set(tmp_path, language), tokenizer.encode, limits, None, 0.5)
        assert not found.rejected, found.rejected
        clips = sorted((*found.train, *found.validation), key=lambda clip: int(clip.path.stem))
        return [tokenizer.decode(list(clip.tokens)).split("]", 1)[1] for clip in clips]

    return texts


def test_chinese(read: Callable[[str, list[str]], list[str]]):
    """Pinyin, all signs as commas, numbers as words; full-width letters and digits are read as the usual ones."""
    pytest.importorskip("pypinyin")
    assert read("zh", ["你好，世界！这是我的声音。", "我有１２个苹果，ＯＫ？"]) == [
        "ni3hao3,shi4jie4,zhe4shi4wo3de5sheng1yin1,",
        "wo3you3shi2er4ge4ping2guo3,ok,",
    ]


def test_japanese(read: Callable[[str, list[str]], list[str]]):
    """Romaji; half-width kana and decomposed ones are read as the usual ones."""
    pytest.importorskip("cutlet")
    assert read("ja", ["これは私の声です。", "ｶﾞｷﾞ、カタカナ！", "か\u3099くせい です。"]) == [
        "kore wa watakushi no koe desu.",
        "gagi, katakana!",
        "gakusei desu.",
    ]


def test_japanese_is_read_by_one_thread_at_a_time(read: Callable[[str, list[str]], list[str]], tokenizer: Tokenizer):
    """MeCab mixes up the words of threads that use it at once; every row must have its own."""
    pytest.importorskip("cutlet")
    written = [
        f"これは{'一二三四五六七八九十'[number % 10]}番目の{'山川海空森'[number // 10]}です。" for number in range(50)
    ]
    assert read("ja", written) == [tokenizer.decode(tokenizer.encode(text, "ja")).split("]", 1)[1] for text in written]


def test_french_typography(read: Callable[[str, list[str]], list[str]]):
    """No-break spaces before `?`, curly apostrophes, guillemets: read, not refused as control characters."""
    written = ["Qu’est-ce que c’est\u00a0?", "«\u202fOui\u202f», dit-il\u00a0: «\u00a0encore\u00a0!\u00a0»"]
    assert read("fr", written) == ["qu'est-ce que c'est ?", "oui , dit-il : encore !"]


@pytest.mark.parametrize(("language", "module", "extra"), [("zh", "pypinyin", "zh"), ("ja", "cutlet", "ja")])
def test_what_a_language_needs_is_named(
    read: Callable[[str, list[str]], list[str]],
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    module: str,
    extra: str,
):
    """Without the package: one line with the install command, not one for each row."""
    monkeypatch.setitem(sys.modules, module, None)
    tokenizer.__dict__.pop("katsu", None)
    with pytest.raises(MachineError, match=f"need {module}, which is not installed") as caught:
        read(language, ["你好，世界！", "こんにちは。"])
    assert caught.value.advice == f"pip install 'coqui-tts[{extra}]'"


SENTENCES = ["The sea was calm that morning.", "Nobody heard the letter arrive.", "Please close the door behind you."]
LAYOUTS = {
    "ljspeech": {"metadata.csv": "\n".join(f"{n}|{text}|{text}" for n, text in enumerate(SENTENCES))},
    "coqui": {
        "metadata_train.csv": "audio_file|text|speaker_name\n"
        + "".join(f"wavs/{n}.wav|{text}|coqui\n" for n, text in enumerate(SENTENCES)),
        "metadata_eval.csv": "audio_file|text|speaker_name\n",
        "lang.txt": "en\n",
    },
    "f5": {"metadata.csv": "audio_file|text\n" + "".join(f"wavs/{n}.wav|{text}\n" for n, text in enumerate(SENTENCES))},
    "audiofolder": {
        "metadata.jsonl": "".join(
            f'{{"file_name": "wavs/{n}.wav", "text": "{text}"}}\n' for n, text in enumerate(SENTENCES)
        )
    },
    "csv": {
        "metadata.csv": "path,sentence\n" + "".join(f'wavs/{n}.wav,"{text}"\n' for n, text in enumerate(SENTENCES))
    },
    "texts": {f"wavs/{n}.txt": text for n, text in enumerate(SENTENCES)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_format_ends_in_the_tokens_of_its_own_texts(tokenizer: Tokenizer, tmp_path: Path, layout: str):
    """What the model is given for a clip, turned back into text, is what the clip says."""
    (tmp_path / "wavs").mkdir()
    for number in range(len(SENTENCES)):
        soundfile.write(tmp_path / f"wavs/{number}.wav", 0.3 * np.sin(np.arange(16_000 + number) / 9), 8_000)
    for name, content in LAYOUTS[layout].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    data = read_data_set(tmp_path, "en")
    found = audit(data, tokenizer.encode, Limits(11.6, 400, tokenizer.tokenizer.token_to_id("[UNK]")), None, 0.4)
    assert layout in data.description
    given = {clip.path.stem: tokenizer.decode(list(clip.tokens)) for clip in (*found.train, *found.validation)}
    assert given == {str(number): f"[en]{text.lower()}" for number, text in enumerate(SENTENCES)}
