"""The kinds of values that flags and settings have: click's types, with what nobody can mean refused.

What they raise besides click's own error is a `UserError`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from cufft_harness.files import expanded
from cufft_harness.languages import SENTENCES, known_language
from cufft_harness.sampling import injection

Parameter = click.Parameter | None
Context = click.Context | None

LARGEST_INTEGER = 2**63 - 1
"""What PyTorch's seeds and sizes can hold."""


@dataclass(frozen=True)
class Limits:
    """What a number may be; None: no limit there. `above` and `below` are not allowed themselves."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None


class Integer(click.IntRange):
    """An integer that PyTorch can hold."""

    name = "integer"

    def __init__(self, limits: Limits) -> None:
        least, most = (None if limit is None else int(limit) for limit in (limits.at_least, limits.at_most))
        super().__init__(least, most)

    def convert(self, value: Any, param: Parameter, ctx: Context) -> int:
        """As click's, of 64 bits."""
        number: int = super().convert(value, param, ctx)
        if number > LARGEST_INTEGER:
            self.fail(f"{value[:20]}{'...' * (len(value) > 20)} is too large.", param, ctx)
        return number


class Number(click.FloatRange):
    """A number that can be computed with."""

    name = "number"

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            limits.above if limits.at_least is None else limits.at_least,
            limits.below if limits.at_most is None else limits.at_most,
            min_open=limits.above is not None,
            max_open=limits.below is not None,
        )

    def convert(self, value: Any, param: Parameter, ctx: Context) -> float:
        """As click's, without infinity and NaN, which pass every comparison or none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Text(click.types.StringParamType):
    """Text that can be spoken, shown and written to any file."""

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """As click's, without what no text has."""
        text: str = super().convert(value, param, ctx)
        if "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
            self.fail("text cannot hold a NUL character, or bytes that are not UTF-8.", param, ctx)
        return text


class PathName(click.Path):
    """A path; whether it exists is asked by those who use it."""

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(self, value: Any, param: Parameter, ctx: Context) -> Path:
        """As click's, without what no path has."""
        try:
            held = os.fsencode(value)
        except UnicodeError:
            held = b""
        if not held or b"\0" in held:
            self.fail("a path cannot be empty or hold a NUL character.", param, ctx)
        expanded(Path(value))
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        return path


class Language(Text):
    """A language that XTTS speaks, as its own code; `pt_BR` and `PT` are `pt`."""

    name = "language"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """The code."""
        return known_language(super().convert(value, param, ctx))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The codes that begin so."""
        return [CompletionItem(code) for code in SENTENCES if code.startswith(incomplete)]


class Failures(Text):
    """Failures to rehearse, as `sampling.injection` reads them."""

    name = "failures"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """The text, once it is known to be readable."""
        text = super().convert(value, param, ctx)
        injection.parse(text)
        return text
