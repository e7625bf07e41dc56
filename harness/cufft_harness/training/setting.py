"""How a setting is declared, and how what a flag, a variable or a file says becomes its value.

One kind reads all sources, and words the same errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from cufft_harness import kinds
from cufft_harness.errors import UserError
from cufft_harness.kinds import Limits

PREFIX = "CUFFT_HARNESS_"


def setting(
    section: str,
    default: Any,
    help: str,
    *,
    bare: bool = False,
    kind: click.ParamType[Any] | None = None,
    **limits: float,
) -> Any:
    """A field of `Settings`, made once for the command line, the environment, TOML and programs.

    Args:
        section: heading of its flag in `train --help`.
        default: its value where nothing else is said; None also where it follows from other settings.
        help: what it does, in a sentence; no line ends.
        bare: the environment may also name it without the prefix, as the original tool did.
        kind: reads it, where its type alone does not say how.
        limits: see `Limits`.
    """
    metadata = {"section": section, "help": help, "bare": bare, "own_kind": kind, "limits": Limits(**limits)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A declared setting.

    Attributes:
        annotation: its type, without None; of a setting that may be given several times, that of each value.
        many: whether it may.
        own_kind: see `setting`.
    """

    name: str
    annotation: Any
    default: Any
    section: str
    help: str
    bare: bool
    own_kind: click.ParamType[Any] | None
    limits: Limits
    many: bool = False

    @property
    def variables(self) -> list[str]:
        """Its environment variables, the one that wins first."""
        name = self.name.upper()
        return [f"{PREFIX}{name}", *([name] if self.bare else [])]

    @cached_property
    def kind(self) -> click.ParamType[Any]:
        """The click type that reads it."""
        if self.own_kind is not None:
            return self.own_kind
        if get_origin(self.annotation) is Literal:
            return click.Choice(get_args(self.annotation))
        if self.annotation is int:
            return kinds.Integer(self.limits)
        if self.annotation is float:
            return kinds.Number(self.limits)
        return {bool: click.BOOL, Path: kinds.PathName(), str: kinds.Text()}[self.annotation]

    def read(self, value: Any, source: str = "") -> Any:
        """The value of the setting's own type.

        Args:
            value: as a flag, variable or file has it, or as a program gives it; None stays None. Several are a list.
            source: where it comes from, for the message.

        Raises:
            UserError: it cannot be that, or is out of range.
        """
        where = f" ({source})" if source else ""
        if value is None:
            return None
        if self.many:
            several = value if isinstance(value, (list, tuple)) else [value]
            if not several:
                raise UserError(f"setting `{self.name}`{where}: must not be empty.")
            return tuple(self._read_one(one, where) for one in several)
        return self._read_one(value, where)

    def _read_one(self, value: Any, where: str) -> Any:
        wanted = (str, Path) if self.annotation in (str, Path) else (str, bool, int, float)
        if not isinstance(value, wanted):
            raise UserError(f"setting `{self.name}`{where}: {value!r:.40} is not of its kind ({self.kind.name}).")
        try:
            return self.kind.convert(str(value), None, None)  # as text, so that 7.5 and true are no integers
        except click.BadParameter as error:
            raise UserError(f"setting `{self.name}`{where}: {error.message.rstrip('.')}.") from error
        except UserError as error:
            raise UserError(f"setting `{self.name}`{where}: {error.message}", error.advice) from error


def declared(settings: type) -> Iterator[Setting]:
    """The settings that a dataclass declares, in order."""
    hints = get_type_hints(settings)
    for field in dataclasses.fields(settings):
        annotation = hints[field.name]
        if NoneType in get_args(annotation):
            annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
        many = get_origin(annotation) is tuple
        annotation = get_args(annotation)[0] if many else annotation
        yield Setting(field.name, annotation, field.default, **field.metadata, many=many)
