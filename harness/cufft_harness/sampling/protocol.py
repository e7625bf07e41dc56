"""What supervisor and worker say to each other: one JSON object a line, each way.

A request is followed by a line for each stage that begins, `Stage`, and by its `Answer`. The start, which nobody asks
for, counts as request 0. A line that is too long, is no JSON, or lacks what it should have is a `ProtocolError`: the
worker is then ended, never guessed at.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cufft_harness.errors import printable
from cufft_harness.tiers import Placement, Tier

LONGEST_LINE = 1 << 20
LONGEST_REASON = 2000


class ProtocolError(ValueError):
    """The other side did not keep to the protocol; the message says how, in one line."""


@dataclass(frozen=True)
class Request:
    """One sample to make.

    Attributes:
        number: comes back in the answer.
        placement: tier and device to make it on.
        checkpoint: file with the GPT weights to use; None speaks with the base model.
        reference: the clip whose voice to use.
        max_seconds: the sample is cut there.
        target: where to write the WAV: PCM 16 bit, mono, 22 050 Hz.
        rehearse: a failure to act out, for tests and demonstrations; "" for none.
        rest_after: move the model off the accelerator once done, for a trainer that needs the room.
        fast: on the CPU, use what is faster there at less than float32; see `cufft_harness.xtts.decode`.
        epoch: the one the checkpoint must be of, where it may have been replaced since the order; None: any.
    """

    number: int
    placement: Placement
    checkpoint: str | None
    text: str
    language: str
    reference: str
    seed: int
    max_seconds: float
    target: str
    rehearse: str = ""
    rest_after: bool = False
    fast: bool = False
    epoch: int | None = None

    def to_line(self) -> bytes:
        """As one line of JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> Request:
        """Read a request.

        Raises:
            ProtocolError: it is not one.
        """
        data = _object(line)
        try:
            data["placement"] = Placement(Tier(data["placement"]["tier"]), str(data["placement"]["device"]))
            return cls(**data)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"not a request: {error}") from error


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        number: of the request; 0 for the greeting after the start.
        made: the sample was written.
        reason: why it was not made, in one line.
        weights_sha256: digest of the GPT weights in memory when the sample was spoken.
        stages: seconds of each stage.
        audio_seconds: length of the sample.
        stopped_by_itself: the model ended each sentence; False: it was cut at a limit.
        sentences: parts the text was split into.
        precision: "float32", or what was computed with less.
    """

    number: int
    made: bool
    reason: str = ""
    weights_sha256: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    audio_seconds: float = 0.0
    stopped_by_itself: bool = True
    sentences: int = 1
    precision: str = ""

    def to_line(self) -> bytes:
        """As one line of JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> Answer:
        """Read an answer and check the type of everything in it.

        Raises:
            ProtocolError: it is not one.
        """
        data = _object(line)
        try:
            answer = cls(**data)
        except TypeError as error:
            raise ProtocolError(f"not an answer: {error}") from error
        wrong = [name for name, kind in _PLAIN.items() if type(data.get(name, kind())) is not kind]
        if not _are_stages(answer.stages):
            wrong.append("stages")
        if not _is_seconds(answer.audio_seconds):
            wrong.append("audio_seconds")
        if wrong:
            raise ProtocolError(f"not an answer: {wrong[0]} is of the wrong type")
        return replace(answer, reason=_one_line(answer.reason))


_PLAIN = {
    "number": int,
    "made": bool,
    "reason": str,
    "weights_sha256": str,
    "stopped_by_itself": bool,
    "sentences": int,
    "precision": str,
}


@dataclass(frozen=True)
class Stage:
    """The worker begins with something.

    Attributes:
        number: of the request it is part of.
        stage: its name, such as "decode".
    """

    number: int
    stage: str

    def to_line(self) -> bytes:
        """As one line of JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()


def read_message(line: bytes) -> Answer | Stage:
    """Read what a worker says.

    Raises:
        ProtocolError: it is neither an answer nor a stage.
    """
    data = _object(line)
    if data.keys() != {"number", "stage"}:
        return Answer.from_line(line)
    if type(data["number"]) is not int or not isinstance(data["stage"], str) or not _is_name(data["stage"]):
        raise ProtocolError("not a stage: something is of the wrong type")
    return Stage(**data)


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise ProtocolError(f"a line of more than {LONGEST_LINE} bytes")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {line[:60]!r}") from error
    if not isinstance(data, dict):
        raise ProtocolError(f"not an object: {line[:60]!r}")
    return data


def _one_line(text: str) -> str:
    """A text fit for a terminal, a log and the manifest, whatever the worker wrote."""
    return printable(text)[:LONGEST_REASON]


def _are_stages(stages: object) -> bool:
    return isinstance(stages, dict) and all(_is_name(name) and _is_seconds(value) for name, value in stages.items())


def _is_name(name: str) -> bool:
    return name.isidentifier() and len(name) < 32


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
