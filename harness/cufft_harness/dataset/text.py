"""The text of a clip: typography made plain, what must not be trained on refused, and how long it takes to say."""

from __future__ import annotations

import re
import unicodedata

_WIDTH = re.compile("[\uff01-\uff5e\uff61-\uffdc\ufb00-\ufb06]+")
"""Full-width Latin, half-width kana and hangul, and the Latin ligatures that PDF readers copy."""
_DECOMPOSED = re.compile("[\u1100-\u11ff]+|.[\u0300-\u036f\u3099\u309a]+")
"""Letters with accents apart, as macOS writes them. All of NFC would also take Devanagari's letters apart."""
_NOT_SPOKEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
"""Soft hyphen, zero-width space and joiners, direction marks, variation selectors, byte order mark: they shape the
letters on a page and are not said. (Direction *overrides* are not among them: they show text other than it is.)"""
_SPACES = re.compile(r"[\t\n\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "‹": "'"}
    | {"›": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "…": "...", "′": "'", "″": '"'}
)

MOST_LETTERS_A_SECOND = 35.0
"""Nobody speaks faster: auctioneers reach about 400 words a minute, which is 37 letters a second at their peak."""
LEAST_LETTERS_A_SECOND = 2.0
PAUSE_SECONDS = 2.5
"""Slow, careful reading has 6 letters a second. A third of that, and this much silence around it, is still let pass."""


def normalize(text: str) -> str:
    """Typography made plain: composed letters, usual widths, single spaces, nothing invisible.

    What is said stays the same. Control characters and direction overrides are left in for `fault` to refuse.
    """
    text = _WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    text = _DECOMPOSED.sub(lambda found: unicodedata.normalize("NFC", found.group()), text)
    return _SPACES.sub(" ", _NOT_SPOKEN.sub("", text)).strip()


def plain_punctuation(text: str) -> str:
    """The text with typewriter quotes, dashes and dots, for a vocabulary that has no others."""
    return text.translate(_PLAIN)


def fault(text: str) -> str | None:
    """Why a normalized text must not be trained on, or None."""
    if not text:
        return "text is empty"
    if any(one in _OVERRIDES for one in text):
        return "text holds direction overrides, which show it other than it is"
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
        return "text holds control characters"
    if "\ufffd" in text:
        return "text was damaged when it was converted: it holds U+FFFD"
    repaired = _decoded_once(text)
    if repaired is not None:
        return f"text was decoded with the wrong encoding: it reads {text[:30]!r} for {repaired[:30]!r}"
    if not any(unicodedata.category(one)[0] in "LN" for one in text):
        return "text has no letters"
    return None


def _decoded_once(text: str) -> str | None:
    """What was meant, where UTF-8 was read as Latin-1 or Windows-1252 (`Ã©` for `é`); None for a sound text.

    Bytes that are UTF-8 by chance are practically never found in a text that was read rightly.
    """
    if text.isascii():
        return None
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return None


def letters(text: str) -> float:
    """How much there is to say, in letters of an alphabet.

    A Chinese character or a hangul block is a syllable, about three letters; a kana two. A digit becomes a word of
    about four. Signs between words are silent.
    """
    total = 0.0
    for one in text:
        kind = unicodedata.category(one)
        if kind[0] == "N":
            total += 4
        elif kind[0] == "L":
            total += _letters_of(one)
    return total


def _letters_of(one: str) -> float:
    if "\u3040" <= one <= "\u30ff":
        return 2
    wide = "\u3400" <= one <= "\u9fff" or "\uac00" <= one <= "\ud7a3" or "\U00020000" <= one <= "\U0003ffff"
    return 3 if wide else 1


def does_not_fit(text: str, seconds: float) -> str | None:
    """Why this cannot be what a clip of this length says, or None.

    Args:
        text: normalized.
        seconds: length of the clip, silence included.
    """
    amount = letters(text)
    if amount > MOST_LETTERS_A_SECOND * seconds:
        return f"text cannot be said in {seconds:.1f} s: {amount / seconds:.0f} letters a second"
    if seconds > PAUSE_SECONDS + amount / LEAST_LETTERS_A_SECOND:
        return f"text is too short for {seconds:.1f} s of audio: {text[:30]!r}"
    return None
