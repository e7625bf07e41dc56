"""Take out what is no failure: harmless messages, which are explained, and stock advice, which is only left out."""

from __future__ import annotations

import re
from typing import Any

from cufft_harness.diagnosis.facts import ErrorLine, Fact, Harmless, quoted
from cufft_harness.diagnosis.matching import find_pattern
from cufft_harness.diagnosis.toml import load

_NOT_A_LINE_END = re.compile(r"[^\n]")
_SHOWN = 3


def without_harmless(text: str, lines: list[str]) -> tuple[str, list[Fact], tuple[Harmless, ...]]:
    """The text with blanks in the place of what means nothing, so that line numbers stay.

    Args:
        text: lower case.
        lines: the report's lines as they were, to show.

    Returns:
        The text, the facts that the messages are, and the first few lines with what they mean.
    """
    facts, shown = [], []
    for name, entry in load("harmless.toml").items():
        spans = _spans(text, entry)
        if spans and "says" in entry:
            number = text.count("\n", 0, spans[0][0]) + 1
            facts.append(Fact(name, entry["says"]))
            line = ErrorLine(number, quoted(lines[number - 1]), "harmless")
            shown.append(Harmless(line, entry["means"]))
        text = _blanked(text, spans)
    return text, facts, tuple(shown[:_SHOWN])


def _spans(text: str, entry: dict[str, Any]) -> list[tuple[int, int]]:
    """Where the message stands, in order and without overlap, with the lines below that belong to it."""
    found: list[tuple[int, int]] = []
    for at, end in sorted(match.span() for pattern in entry["patterns"] for match in find_pattern(text, pattern)):
        if entry.get("line"):
            at, end = text.rfind("\n", 0, at) + 1, _line_end(text, end)
        if entry.get("indented") or entry.get("traceback"):
            end = _below(text, end, entry.get("traceback", False))
        if not found or at >= found[-1][1]:
            found.append((at, end))
    return found


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _below(text: str, end: int, traceback: bool) -> int:
    """The end of the indented lines below a line; of a traceback also of the line that names the exception."""
    if traceback and text.startswith("\ntraceback", end):
        end = _line_end(text, end + 1)
    first = end
    while text[end : end + 2] in ("\n ", "\n\t"):
        end = _line_end(text, end + 1)
    return _line_end(text, end + 1) if traceback and end > first else end


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    """Blanks in the place of each span; line ends stay."""
    pieces, last = [], 0
    for at, end in spans:
        pieces += [text[last:at], _NOT_A_LINE_END.sub(" ", text[at:end])]
        last = end
    return "".join([*pieces, text[last:]])
