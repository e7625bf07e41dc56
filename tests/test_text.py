"""cufft_harness.dataset.text: typography is made plain, what steers a terminal is refused, and a pace is judged."""

from __future__ import annotations

import pytest
from cufft_harness.dataset.text import does_not_fit, fault, letters, normalize


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Qu\u2019est-ce\u00a0que c\u2019est\u202f?", "Qu\u2019est-ce que c\u2019est ?"),
        ("\u300c\u6771\u4eac\u300d\u3000\u3067\u3059", "\u300c\u6771\u4eac\u300d \u3067\u3059"),
        ("Donau\u00addampf\u200bschiff", "Donaudampfschiff"),
        ("\u0915\u094d\u200d\u0937 \u0646\u200c\u092e", "\u0915\u094d\u0937 \u0646\u092e"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af \u304b\u3099", "\ud55c\uae00 \u304c"),
        ("\u0906\u0935\u093e\u095b", "\u0906\u0935\u093e\u095b"),
        ("\uff21\uff22\uff23\uff11\uff0c\uff1f", "ABC1,?"),
        ("\uff76\uff9e\uff77", "\u30ac\u30ad"),
        ("o\ufb03ce \ufeffhour", "office hour"),
        ("  two\tspaces\r\nand a line \u2028 end ", "two spaces and a line end"),
        ("\u200f\u0645\u0631\u062d\u0628\u0627", "\u0645\u0631\u062d\u0628\u0627"),
    ],
)
def test_typography_is_no_reason_to_leave_a_row_out(written: str, plain: str):
    """No-break and wide spaces, soft hyphens, joiners, widths: half of a French set was refused for them."""
    assert normalize(written) == plain
    assert fault(plain) is None


@pytest.mark.parametrize(
    "text", ["a\x1b[2Jb", "a\x07", "a\x9b2J", "\u202eabc", "a\u2066b", "a\x00", "a\x85b", "\ud800"]
)
def test_what_steers_a_terminal_is_refused(text: str):
    """Control characters of both sets, direction overrides and isolates, halves of characters."""
    assert fault(normalize(text))


@pytest.mark.parametrize(
    "text",
    [
        "Olá, coração!",
        "C’est à Noël – déjà…",
        "Größe: 5 €",
        "Ça va ?",
        "Ω, ÿ und ß",
        "你好",
        "Привет",
        "नमस्ते",
        "Ã",
        "São",
    ],
)
def test_sound_text_is_not_taken_for_damaged(text: str):
    """No language's own letters look like UTF-8 read as Latin-1."""
    assert fault(normalize(text)) is None


@pytest.mark.parametrize("meant", ["Olá", "C’est déjà Noël", "Größe", "Привет", "你好", "naïve “quotes”"])
def test_text_that_was_decoded_wrongly_is_refused(meant: str):
    """`Ã©` for `é`: it would be trained on as it stands."""
    for encoding in ("cp1252", "latin-1"):
        try:
            damaged = meant.encode().decode(encoding)
        except UnicodeDecodeError:  # Windows-1252 has holes
            continue
        assert fault(damaged)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sim.", 3.0),
        ("Yes", 0.5),
        ("The sea was calm that morning.", 1.2),
        ("你好，这是我的新声音。", 2.0),
        ("1998", 2.0),
        ("In 1492 Columbus sailed the ocean blue, so they say, with three ships.", 4.0),
        ("He said it very, very slowly, with long pauses.", 12.0),
    ],
)
def test_what_people_say_fits(text: str, seconds: float):
    """Short answers with silence around them, fast and slow readers, syllables and digits."""
    assert does_not_fit(text, seconds) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("coqui", 6.0), ("The sea was calm that morning. " * 4, 1.5), ("en", 4.0), ("你好" * 20, 2.0)]
)
def test_what_nobody_says_does_not_fit(text: str, seconds: float):
    """A label for a sentence, and four sentences in a second and a half."""
    assert does_not_fit(text, seconds)


def test_a_syllable_counts_as_its_letters():
    """Chinese, kana, hangul and digits are measured in letters of an alphabet."""
    assert [letters(text) for text in ("ab, c", "你好", "かな", "한글", "12")] == [3, 6, 4, 6, 8]
