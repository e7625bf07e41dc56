"""One document a GPU: what `check` found, and what of the machine may explain it. Written and read here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cufft_harness.errors import printable
from cufft_harness.status import Status

KIND = "cufft-harness check"
SCHEMA = 1
_LONGEST = 300
"""Characters of a value: what is longer is no fact about a machine, and a fleet's documents are held in memory."""


class NotADocument(ValueError):
    """What was read is not a document of `check`; the message says why, in one line."""


@dataclass(frozen=True)
class Document:
    """One GPU of one machine, or a machine on which no GPU could be examined.

    Attributes:
        host: the machine's name.
        gpu: UUID of the GPU as the driver tells it; "" where none could be asked.
        index: the driver's number of the GPU; None likewise.
        time: of the check, ISO 8601 in UTC: later ones are later as text.
        status: the conclusion.
        cause: id of the likeliest cause; "" where nothing is wrong or no cause fits.
        problem: what failed, in one line; "" where nothing did.
        attributes: facts about machine and software by which groups are told apart.
        verdicts: of each experiment, with its code: ``failed (CUFFT_INTERNAL_ERROR)``.
    """

    host: str
    gpu: str
    index: int | None
    time: str
    status: Status
    cause: str = ""
    problem: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """FFTs were tried and are right."""
        return self.status is Status.HEALTHY

    @property
    def name(self) -> str:
        """``node17 GPU 3``."""
        return self.host if self.index is None else f"{self.host} GPU {self.index}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "host": self.host,
            "gpu": self.gpu,
            "index": self.index,
            "time": self.time,
            "status": self.status.value,
            "cause": self.cause,
            "problem": self.problem,
            "attributes": dict(self.attributes),
            "verdicts": dict(self.verdicts),
        }


def from_dict(entry: object) -> Document:
    """The document in a JSON value; text from outside is made printable.

    Raises:
        NotADocument: it is of another kind, of another schema, or something in it is missing or of another type.
    """
    if not isinstance(entry, dict) or entry.get("kind") != KIND:
        raise NotADocument("not a document of `cufft-harness check`")
    if entry.get("schema") != SCHEMA:
        raise NotADocument(f"schema {entry.get('schema')!r}, but this version reads schema {SCHEMA}")
    index = entry.get("index")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        raise NotADocument("its index is not a number")
    try:
        status = Status(entry.get("status"))
    except ValueError:
        raise NotADocument(f"unknown status {entry.get('status')!r}") from None
    host = _text(entry, "host")
    if not host:
        raise NotADocument("it names no host")
    return Document(
        host,
        _text(entry, "gpu"),
        index,
        _text(entry, "time"),
        status,
        _text(entry, "cause"),
        _text(entry, "problem"),
        _texts(entry, "attributes"),
        _texts(entry, "verdicts"),
    )


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise NotADocument(f"its {name} is not text")
    return value if value.isprintable() and len(value) <= _LONGEST else printable(value[:_LONGEST])


def _texts(entry: Mapping[str, Any], name: str) -> dict[str, str]:
    values = entry.get(name)
    if not isinstance(values, dict) or len(values) > 100:
        raise NotADocument(f"its {name} are not a table")
    return {printable(key[:_LONGEST]): _text(values, key) for key in values}
