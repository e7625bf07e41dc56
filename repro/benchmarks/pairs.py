"""Two sides of a comparison, measured in turn in the same run, and what may be said of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

WIDEST = 1.6
"""Pairs whose ratios differ by more than this factor say nothing about either side."""
COLUMNS = {
    "what": "what",
    "ratio": "baseline / ours",
    "baseline": "baseline",
    "ours": "ours",
    "unit": "unit",
    "pairs": "pairs",
    "spread": "lowest to highest ratio",
    "remark": "remark",
}


@dataclass
class Pair:
    """One comparison.

    Attributes:
        what: what was measured.
        unit: of the values: "s", "GB".
        goal: name of the goal in REPORT.md it decides, if any.
        different: why the two sides did not do the same work; empty if they did.
        remark: what a reader should know.
        least: pairs wanted; memory, unlike time, does not vary with the load of the machine.
        baseline: values of the baseline, one a pair.
        ours: values of this project, measured right after or before.
    """

    what: str
    unit: str = "s"
    goal: str = ""
    different: str = ""
    remark: str = ""
    least: int = 2
    baseline: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    def add(self, baseline: float, ours: float) -> None:
        """Note one pair of values."""
        self.baseline.append(baseline)
        self.ours.append(ours)

    def outcome(self) -> dict[str, object]:
        """One row of a results file: the ratio, or why there is none."""
        ratios = [first / second for first, second in zip(self.baseline, self.ours, strict=True)]
        row = {"what": self.what, "unit": self.unit, "goal": self.goal, "pairs": len(ratios), "remark": self.remark}
        problem = self.different and f"the two sides did different work: {self.different}"
        if not problem and len(ratios) < self.least:
            problem = "too few pairs"
        if not problem and max(ratios) > WIDEST * min(ratios):
            problem = f"the pairs are too far apart ({min(ratios):.3g} to {max(ratios):.3g})"
        if problem:
            return {**row, "remark": f"no figure: {problem}", "values": [self.baseline, self.ours]}
        return {
            **row,
            "ratio": round(median(ratios), 4),
            "baseline": round(median(self.baseline), 4),
            "ours": round(median(self.ours), 4),
            "spread": f"{min(ratios):.3g} to {max(ratios):.3g}",
        }
