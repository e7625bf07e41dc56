"""The goals of speed and memory, each with what the full-size benchmarks on a CPU and on a GPU measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.report.document import Sources

NOT_RUN = "not run"
NO_FIGURE = "no figure"


@dataclass(frozen=True)
class Goal:
    """One goal: a ratio of two sides of the same run.

    Attributes:
        name: how outcomes of kind "benchmark" refer to it.
        what: what is compared.
        target: the ratio wanted.
        at_most: the ratio shall be no higher than `target`; otherwise no lower.
        devices: where it can be measured.
        short: why it falls short where it does, by device.
    """

    name: str
    what: str
    target: float
    at_most: bool
    devices: tuple[str, ...]
    short: dict[str, str]

    def wanted(self) -> str:
        """The target in words."""
        return f"at most {self.target:g}" if self.at_most else f"{self.target:g} times"

    def met_by(self, ratio: float) -> bool:
        """Whether a measured ratio reaches the target."""
        return ratio <= self.target if self.at_most else ratio >= self.target


BOTH, CPU, CUDA = ("cpu", "cuda"), ("cpu",), ("cuda",)
GOALS = (
    Goal("standstill", "training stands still for a sample: original flow over ours", 100, False, BOTH, {}),
    Goal("epoch", "epoch time with a sample over without", 1.02, True, CUDA, {}),
    Goal("cpu sample", "CPU tier, whole sample: stock TTS over our warm worker, fast path", 3, False, CPU, {
        "cpu": "What remains is the choice of codes, which memory bounds, and the hand-over of the checkpoint's "
        "weights with their digest.",
    }),
    Goal("cpu speech", "CPU tier, decode + vocode: stock TTS over our fast path", 2, False, CPU, {
        "cpu": "Codes are chosen with 8-bit weights one at a time, as fast as memory is; the rest is arithmetic.",
    }),
    Goal("gpu speech", "GPU tier, decode + vocode: stock TTS over ours", 3, False, CUDA, {
        "cuda": "On a GPU the decoder is coqui's own, as yet without a static cache or CUDA graphs.",
    }),
    Goal("bypass", "GPU, whole sample: tier bypass over tier native", 1.02, True, CUDA, {}),
    Goal("step", "training step: GPTTrainer over ours", 1.5, False, BOTH, {
        "cpu": "The step is the GPT's own arithmetic, equal on both sides. Saved are mels and codes, whose share the "
        "table below names, and all passes but one of the weights' update, which counts for less as batches grow.",
    }),
    Goal("memory", "peak memory: trainer and worker over the original flow", 1.3, True, BOTH, {}),
)  # fmt: skip


def data(sources: Sources) -> dict[str, Any] | None:
    """The table, and a sentence for each goal that is missed; None while nobody measured the full-size model."""
    runs = [run for run in sources.of_kind("benchmark") if run.content.get("size") == "full"]
    if not runs:
        return None
    found = {
        (str(one["goal"]), str(run.content["device"])): one for run in runs for one in run.outcomes if one.get("goal")
    }
    rows = []
    missed = []
    for goal in GOALS:
        cells = {device: _cell(goal, device, found.get((goal.name, device))) for device in BOTH}
        rows.append([goal.what, goal.wanted(), cells["cpu"], cells["cuda"]])
        for device in goal.devices:
            ratio = found.get((goal.name, device), {}).get("ratio")
            if ratio is not None and not goal.met_by(ratio):
                missed.append((goal.what, goal.short.get(device, "No reason is known.")))
    return {"rows": rows, "missed": missed, "files": [run.file for run in runs], "stages": stages(sources)}


def _cell(goal: Goal, device: str, outcome: dict[str, Any] | None) -> str:
    if device not in goal.devices:
        return ""
    if outcome is None:
        return NOT_RUN
    if outcome.get("ratio") is None:
        why = str(outcome.get("remark") or NO_FIGURE)
        ratios = apart(outcome)
        # pairs that differ a thousandfold from the goal need not agree among themselves to say that it is met
        return f"{why}; every pair: met" if ratios and all(map(goal.met_by, ratios)) else why
    verdict = "met" if goal.met_by(outcome["ratio"]) else "**missed**"
    unit = outcome["unit"]
    values = f"{outcome['baseline']:.3g} {unit} / {outcome['ours']:.3g} {unit}"
    return f"{outcome['ratio']:.3g} ({outcome['spread']}); {values}: {verdict}"


def apart(outcome: dict[str, Any]) -> list[float]:
    """The ratios of pairs that were too far apart for one figure; none where there was another reason."""
    if "too far apart" not in str(outcome.get("remark")):
        return []
    return [baseline / ours for baseline, ours in zip(*outcome["values"], strict=True)]


def stages(sources: Sources) -> dict[str, dict[str, float]]:
    """Seconds of each stage of a sample by side, from the full-size runs: the picture's content.

    Stock TTS is measured beside each of our sides; the first of these measurements is shown.
    """
    sides: dict[str, dict[str, float]] = {}
    for run in sources.of_kind("benchmark"):
        if run.content.get("size") != "full":
            continue
        for one in run.outcomes:
            if one.get("stage") in ("load", "condition", "decode", "vocode", "write"):
                for side, seconds in zip(one["sides"], one["seconds"], strict=True):
                    sides.setdefault(side, {}).setdefault(one["stage"], seconds)
    return sides
