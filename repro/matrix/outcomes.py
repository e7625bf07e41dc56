"""The rows of a results file of kind "repro", each kind written and read here alone. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cufft_harness.probes.outcome import Verdict

NOT_RUN = "not run"
SIMULATED = "simulated driver"


@dataclass(frozen=True)
class ScenarioOutcome:
    """How a scenario ended at one place.

    Attributes:
        scenario: its name, such as ``fft.stft``.
        device: "cpu" or "cuda".
        tier: "native" or "bypass".
        verdict: None where it was not run.
        code: the error's name; "" where there is none.
        detail: one line; why, where it was not run.
        relative_error: the largest deviation from the reference; None where nothing was computed.
        seconds: of the scenario itself; None where it was not run.
    """

    scenario: str
    device: str
    tier: str
    verdict: Verdict | None
    code: str = ""
    detail: str = ""
    relative_error: float | None = None
    seconds: float | None = None

    def as_row(self) -> dict[str, Any]:
        """JSON-ready; what is not known is left out."""
        verdict = NOT_RUN if self.verdict is None else self.verdict.value
        row = {"scenario": self.scenario, "device": self.device, "tier": self.tier, "verdict": verdict}
        more = {
            "relative_error": self.relative_error,
            "seconds": self.seconds,
            "detail": self.detail or None,
            "code": self.code or None,
        }
        return {**row, **{name: value for name, value in more.items() if value is not None}}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ScenarioOutcome | None:
        """The outcome that a row holds; None where it is a row of another kind."""
        if row.get("scenario") in (None, SIMULATED):
            return None
        verdict = None if row["verdict"] == NOT_RUN else Verdict(row["verdict"])
        names = ("scenario", "device", "tier", "code", "detail", "relative_error", "seconds")
        return cls(verdict=verdict, **{name: row[name] for name in names if row.get(name) is not None})


class Comparison(str, Enum):
    """A library's answer beside the tabled one."""

    AS_EXPECTED = "as expected"
    CHANGED = "changed"
    NEW = "new"
    """None was ever tabled."""


@dataclass(frozen=True)
class SimulatedOutcome:
    """What the real libcufft answered to one fault of the simulated driver.

    Attributes:
        experiment: fault, shape and device: ``jit_missing/r2c 512/sm_86``.
        answer: ``plan CUFFT_INVALID_SIZE`` or ``ok``.
        expected: the tabled answer; None where there is none.
    """

    experiment: str
    answer: str
    expected: str | None

    @property
    def comparison(self) -> Comparison:
        """Whether it is the tabled answer."""
        if self.expected is None:
            return Comparison.NEW
        return Comparison.AS_EXPECTED if self.answer == self.expected else Comparison.CHANGED

    def as_row(self) -> dict[str, Any]:
        """JSON-ready; the tabled answer only where this one differs."""
        row = {"scenario": SIMULATED, "experiment": self.experiment, "answer": self.answer}
        row["verdict"] = self.comparison.value
        return {**row, "expected": self.expected} if self.comparison is Comparison.CHANGED else row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SimulatedOutcome | None:
        """The outcome that a row holds; None where it is a row of another kind."""
        if row.get("scenario") != SIMULATED:
            return None
        comparison = Comparison(row["verdict"])
        same = row["answer"] if comparison is Comparison.AS_EXPECTED else None
        return cls(row["experiment"], row["answer"], row.get("expected", same))
