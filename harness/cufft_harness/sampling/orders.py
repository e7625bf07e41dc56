"""What a sample is ordered with, and what becomes of an order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings are checked by `mismatch`, without numpy and soundfile
    from cufft_harness.sampling.artefacts import Examination


@dataclass(frozen=True)
class Spec:
    """What all samples of a run have in common.

    Attributes:
        max_seconds: a sample is cut there.
        time_limit: seconds a sample may take at one placement, not counting those it waits for a processor.
        fast: on the CPU, use what is faster there at less than float32.
    """

    seed: int
    max_seconds: float
    time_limit: float
    fast: bool = False


@dataclass(frozen=True)
class Utterance:
    """One of the things said with each checkpoint.

    Attributes:
        number: 1 for the first; part of the file's name from 2 on.
        reference: the clip whose voice to use.
    """

    number: int
    text: str
    language: str
    reference: Path


def utterances(texts: tuple[str, ...], languages: tuple[str, ...], voices: tuple[Path, ...]) -> tuple[Utterance, ...]:
    """Every text in every voice, text by text.

    Args:
        texts: what to say.
        languages: one for all texts, or one for each; or several for the one text.
        voices: clips to speak after.

    Raises:
        ValueError: texts and languages do not go together.
    """
    if problem := mismatch(texts, languages):
        raise ValueError(problem)
    count = max(len(texts), len(languages))
    said = zip(texts * (count // len(texts)), languages * (count // len(languages)), strict=True)
    every = [(text, language, voice) for text, language in said for voice in voices]
    return tuple(Utterance(number, *one) for number, one in enumerate(every, start=1))


def mismatch(texts: tuple[str, ...], languages: tuple[str, ...]) -> str:
    """Why texts and languages do not go together; "" where they do."""
    if 1 in (len(texts), len(languages)) or len(texts) == len(languages):
        return ""
    return f"{len(texts)} texts, but {len(languages)} languages: give one for all, or one for each"


@dataclass(frozen=True)
class Order:
    """One checkpoint to be heard.

    Attributes:
        epoch: 0 for the base model.
        checkpoint: the file whose weights are to speak; None: the base model's own.
        in_epochs: wanted among the epochs' samples.
        in_best: wanted in `best`.
        replaceable: the file may be another epoch's before it is read; that one is not to be heard.
        on_cpu: leave the accelerator to the trainer.
        unload: seconds the trainer spent making room on the accelerator, where it did. It then waits: the worker leaves
            the accelerator when done, and the trainer says by `Supervisor.came_back` how long its return took.
    """

    epoch: int
    checkpoint: Path | None
    utterances: tuple[Utterance, ...]
    in_epochs: bool = True
    in_best: bool = False
    replaceable: bool = False
    on_cpu: bool = False
    unload: float | None = None


@dataclass(frozen=True)
class Left:
    """What is still to be made.

    Attributes:
        samples: after the one under way.
        seconds: until all are made, going by those made so far; None where there were none.
    """

    samples: int = 0
    seconds: float | None = None

    def __str__(self) -> str:
        more = f"; {self.samples} more to come" if self.samples else ""
        return more + (f"; about {self.seconds:.0f} s left" if self.seconds is not None else "")


@dataclass(frozen=True)
class Begun:
    """A sample is being made from now on.

    Attributes:
        count: utterances of its order.
        left: what is still to be made.
    """

    epoch: int
    utterance: Utterance
    count: int
    left: Left

    def __str__(self) -> str:
        part = f" ({self.utterance.number} of {self.count})" if self.count > 1 else ""
        text = self.utterance.text if len(self.utterance.text) <= 40 else f"{self.utterance.text[:39]}…"
        voice = f"{self.utterance.language}, {self.utterance.reference.name}"
        return f"{title(self.epoch)}{part} begins: “{text}”, {voice}{self.left}"


@dataclass(frozen=True)
class Record:
    """What became of a sample; one line of the manifest.

    Attributes:
        outcome: "made", "failed" or "dropped".
        number: of the utterance.
        why: each placement that was given up, and the reason.
        stages: seconds of each; "start" where the worker had to be started, "unload" and "reload" where the trainer
            made room.
        waited: of these, seconds the worker wanted a processor and had none.
        real_time_factor: seconds of the worker's stages per second of speech; its start is not among them.
        stopped_by_itself: the model ended the speech; False: it was cut at `max_seconds` or at the model's own limit.
        sentences: parts the text was split into.
        precision: "float32", or what was computed with less.
    """

    epoch: int
    outcome: str
    number: int = 1
    tier: str | None = None
    device: str | None = None
    why: tuple[dict[str, str], ...] = ()
    files: tuple[str, ...] = ()
    weights_sha256: str | None = None
    stages: dict[str, float] = field(default_factory=dict)
    waited: float = 0.0
    audio_seconds: float = 0.0
    real_time_factor: float | None = None
    stopped_by_itself: bool | None = None
    sentences: int = 1
    precision: str = ""
    examination: Examination | None = None

    def __str__(self) -> str:
        if self.outcome != "made":
            reason = self.why[-1]["reason"] if self.why else "no reason is known"
            part = f" ({self.number})" if self.number > 1 else ""
            return f"{title(self.epoch)}{part} {self.outcome}: {reason}"
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.stages.items() if seconds >= 0.05)
        waited = f", of these {self.waited:.0f} s waiting for the processor" if self.waited >= 1 else ""
        remarks = self.examination.remarks() if self.examination else []
        if self.stopped_by_itself is False:
            remarks.append("did not stop by itself")
        less = f" with {self.precision}" if self.precision not in ("", "float32") else ""
        return (
            f"{title(self.epoch)}: {self.files[0]} ({', '.join([f'{self.audio_seconds:.1f} s', *remarks])}; "
            f"tier {self.tier}{less}; {times}{waited}; real-time factor {self.real_time_factor:.2f})"
        )


def not_made(order: Order, outcome: str, reason: str) -> list[Record]:
    """The records of an order of which nothing was made, for one reason."""
    why = ({"placement": "", "reason": reason},)
    return [Record(order.epoch, outcome, utterance.number, why=why) for utterance in order.utterances]


def title(epoch: int) -> str:
    """How the user is told which sample is meant."""
    return f"sample of epoch {epoch}" if epoch else "sample of the base model"
