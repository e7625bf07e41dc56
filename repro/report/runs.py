"""The reproduction runs as the report asks for them: by release and scenario, by cuFFT version and fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cufft_harness.probes.outcome import Verdict

from repro.matrix.outcomes import NOT_RUN, Comparison, ScenarioOutcome, SimulatedOutcome
from repro.store import Run

CANNOT = Verdict.NOT_TESTED.value
PLACES = {
    ("cpu", "native"): "CPU",
    ("cpu", "bypass"): "CPU, bypass",
    ("cuda", "native"): "GPU",
    ("cuda", "bypass"): "GPU, bypass",
}


def version_key(version: str) -> list[int]:
    """Sorts 2.10.0 after 2.9.1."""
    return [int(part) for part in version.split(".") if part.isdigit()]


@dataclass(frozen=True)
class Cell:
    """One outcome in a table.

    Attributes:
        verdict: as in the results file; `NOT_RUN` where nothing is there.
        code: the error's name, if any.
        why: the reason or the error's text.
    """

    verdict: str = NOT_RUN
    code: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """For a table: ``pass``, ``CUFFT_INVALID_SIZE``, ``wrong numbers``, ``not run``."""
        return self.code or self.verdict

    @property
    def known(self) -> bool:
        """Something was measured."""
        return self.verdict not in (NOT_RUN, CANNOT)


@dataclass(frozen=True)
class Release:
    """One PyTorch release: what it brings, and the runs of it with its own cuFFT.

    Attributes:
        row: its row of versions.toml.
    """

    torch: str
    row: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def cufft(self) -> str:
        """The version of the cuFFT wheel it pins."""
        return str(self.row["cufft"]["version"])

    @property
    def tested(self) -> bool:
        """At least one run measured something."""
        return any(run.status != CANNOT for run in self.runs)

    @property
    def why_not(self) -> str:
        """Why nothing was measured; empty if something was."""
        if self.tested:
            return ""
        return next((f"{CANNOT}: {run.content.get('reason', '')}" for run in self.runs), NOT_RUN)

    def cell(self, scenario: str, device: str, tier: str) -> Cell:
        """The outcome of a scenario; where several runs have one, that which measured something and is not a pass."""
        cells = [
            Cell(NOT_RUN if one.verdict is None else one.verdict.value, one.code, one.detail)
            for run in self.runs
            for one in map(ScenarioOutcome.from_row, run.outcomes)
            if one and (one.scenario, one.device, one.tier) == (scenario, device, tier)
        ]
        return max(cells, key=lambda cell: (cell.known, cell.verdict != "pass", cell.verdict == CANNOT), default=Cell())


@dataclass(frozen=True)
class Evidence:
    """All reproduction runs.

    Attributes:
        rows: the rows of versions.toml, so that releases nobody ran are shown, too.
    """

    runs: tuple[Run, ...]
    rows: tuple[Mapping[str, Any], ...]

    @cached_property
    def releases(self) -> list[Release]:
        """Every release of the rows and of the runs, oldest first; runs with a swapped cuFFT are not among theirs."""
        rows = {str(row["torch"]): row for row in self.rows}
        rows |= {str(run.content["row"]["torch"]): run.content["row"] for run in self.runs if run.content.get("row")}
        return [
            Release(torch, rows[torch], tuple(run for run in self._own_cufft if run.content["row"]["torch"] == torch))
            for torch in sorted(rows, key=version_key)
        ]

    @property
    def _own_cufft(self) -> list[Run]:
        return [run for run in self.runs if run.content.get("row") and not run.content["options"].get("cufft")]

    @cached_property
    def scenarios(self) -> list[tuple[str, str, bool]]:
        """(name, title, whether it says something on a GPU only) of all scenarios, in the suite's order."""
        found: dict[str, tuple[str, str, bool]] = {}
        for run in self.runs:
            for name, title, gpu_only in run.content.get("scenarios", []):
                found[name] = (name, title, gpu_only)
        return list(found.values())

    @cached_property
    def answers(self) -> dict[str, dict[str, str]]:
        """cuFFT version -> experiment under the simulated driver -> answer, oldest cuFFT first."""
        found: dict[str, dict[str, str]] = {}
        for run in self.runs:
            for one in map(SimulatedOutcome.from_row, run.outcomes):
                if one and "cufft" in run.content:
                    found.setdefault(run.content["cufft"]["version"], {})[one.experiment] = one.answer
        return dict(sorted(found.items(), key=lambda pair: version_key(pair[0])))

    @cached_property
    def not_simulated(self) -> dict[str, str]:
        """cuFFT version -> why it has no table, for those seen without one."""
        return {
            run.content["cufft"]["version"]: run.content["simulated"]["reason"]
            for run in self.runs
            if "cufft" in run.content and run.content.get("simulated", {}).get("status") == CANNOT
        }

    @cached_property
    def changed_answers(self) -> list[str]:
        """One line for every answer that is not the tabled one: a finding."""
        return sorted(
            f"cuFFT {run.content['cufft']['version']}, {one.experiment}: {one.expected} then, {one.answer} now"
            for run in self.runs
            for one in map(SimulatedOutcome.from_row, run.outcomes)
            if one and one.comparison is Comparison.CHANGED
        )

    @cached_property
    def releases_of(self) -> dict[str, str]:
        """cuFFT version -> the torch releases that bring it, as ``2.8 to 2.10``."""
        groups: dict[str, list[str]] = {}
        for release in self.releases:
            groups.setdefault(release.cufft, []).append(release.torch.rpartition(".")[0])
        return {version: span(minors) for version, minors in groups.items()}

    @cached_property
    def gpus(self) -> list[str]:
        """The GPUs something was measured on."""
        return sorted({run.content["machine"]["gpu"] for run in self.runs if run.content.get("machine", {}).get("gpu")})

    def facts(self, name: str) -> dict[str, str]:
        """The explanations that runs carry of their faults or retries."""
        found: dict[str, str] = {}
        for run in self.runs:
            found.update(run.content.get("simulated", {}).get(name, {}))
        return found

    def measured(self, device: str, tier: str, scenarios: Iterable[str]) -> list[tuple[Release, str, Cell]]:
        """What was measured at one place, over all releases."""
        cells = [(release, name, release.cell(name, device, tier)) for release in self.releases for name in scenarios]
        return [one for one in cells if one[2].known]


def span(items: list[str]) -> str:
    """``2.1 to 2.4`` of neighbours, ``2.5`` of one."""
    return items[0] if len(items) == 1 else f"{items[0]} to {items[-1]}"


def listed(items: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    parts = list(items)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}" if parts else ""
