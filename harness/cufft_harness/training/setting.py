"""How a setting is declared, and how what a flag, a variable or a file says becomes its value.

The types are click's: one set of rules reads all sources, and words the same errors.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from cufft_harness.errors import UserError
from cufft_harness.files import expanded

PREFIX = "CUFFT_HARNESS_"
LARGEST_INTEGER = 2**63 - 1  # PyTorch's seeds and sizes


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a number may be; None: no limit there. `above` and `below` are not allowed themselves."""

    at_least: float | None = None
    above: float | None = None
    below: float | None = None


def setting(section: str, default: Any, help: str, *, bare: bool = False, **limits: float) -> Any:
    """A field of `Settings`, made once for the command line, the environment, TOML and programs.

    Args:
        section: heading of its flag in `train --help`.
        default: its value where nothing else is said.
        help: what it does, in a sentence; no line ends.
        bare: the environment may also name it without the prefix, as the original tool did.
        limits: see `Limits`.
    """
    return dataclasses.field(
        default=default, metadata={"section": section, "help": help, "bare": bare, "limits": Limits(**limits)}
    )


@dataclasses.dataclass(frozen=True)
class Setting:
    """A declared setting.

    Attributes:
        annotation: its type, without None.
    """

    name: str
    annotation: Any
    default: Any
    section: str
    help: str
    bare: bool
    limits: Limits

    @property
    def variables(self) -> list[str]:
        """Its environment variables, the one that wins first."""
        name = self.name.upper()
        return [f"{PREFIX}{name}", *([name] if self.bare else [])]

    @cached_property
    def kind(self) -> click.ParamType[Any]:
        """The click type that reads it."""
        if get_origin(self.annotation) is Literal:
            return click.Choice(get_args(self.annotation))
        limits = self.limits
        if self.annotation is int:
            return _Integer(None if limits.at_least is None else int(limits.at_least))
        if self.annotation is float:
            least = limits.above if limits.at_least is None else limits.at_least
            return _Number(least, limits.below, min_open=limits.at_least is None, max_open=True)
        return {bool: click.BOOL, Path: _Path(), str: _Text()}[self.annotation]

    def read(self, value: Any, source: str = "") -> Any:
        """The value of the setting's own type.

        Args:
            value: as a flag, variable or file has it, or as a program gives it; None stays None.
            source: where it comes from, for the message.

        Raises:
            UserError: it cannot be that, or is out of range.
        """
        where = f" ({source})" if source else ""
        if value is None:
            return None
        wanted = (str, Path) if self.annotation in (str, Path) else (str, bool, int, float)
        if not isinstance(value, wanted):
            raise UserError(f"setting `{self.name}`{where}: {value!r:.40} is not of its kind ({self.kind.name}).")
        try:
            return self.kind.convert(str(value), None, None)  # as text, so that 7.5 and true are no integers
        except click.BadParameter as error:
            raise UserError(f"setting `{self.name}`{where}: {error.message.rstrip('.')}.") from error


def declared(settings: type) -> Iterator[Setting]:
    """The settings that a dataclass declares, in order."""
    hints = get_type_hints(settings)
    for field in dataclasses.fields(settings):
        kinds = [kind for kind in get_args(hints[field.name]) if kind is not NoneType]
        optional = len(kinds) < len(get_args(hints[field.name]))
        yield Setting(field.name, kinds[0] if optional else hints[field.name], field.default, **field.metadata)


class _Integer(click.IntRange):
    """An integer that PyTorch can hold."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As click's, of 64 bits."""
        number: int = super().convert(value, param, ctx)
        if number > LARGEST_INTEGER:
            self.fail(f"{value[:20]}{'...' * (len(value) > 20)} is too large.", param, ctx)
        return number


class _Number(click.FloatRange):
    """A number that can be computed with."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click's, without infinity and NaN, which pass every comparison or none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class _Text(click.types.StringParamType):
    """Text that can be spoken, shown and written to any file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click's, without what no text has."""
        text: str = super().convert(value, param, ctx)
        if "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
            self.fail("text cannot hold a NUL character, or bytes that are not UTF-8.", param, ctx)
        return text


class _Path(click.Path):
    """A path; whether it exists is asked by those who use it."""

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
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
