"""Release by scenario: without a GPU, and on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.matrix.outcomes import NOT_RUN
from repro.report.runs import CANNOT, PLACES, Cell, Evidence, Release, span

if TYPE_CHECKING:
    from repro.report.document import Sources

MARKS = {"pass": "pass", "not run": "–", CANNOT: "n/t"}


def data(sources: Sources) -> dict[str, Any]:
    """Two tables, and the reasons behind their gaps."""
    evidence = sources.evidence
    everywhere = [(name, title) for name, title, gpu_only in evidence.scenarios if not gpu_only]
    gpu = [(name, title) for name, title, _ in evidence.scenarios]
    empty = evidence.measured("cpu", "native", ["fft.empty_batch"])
    return {
        "cpu": _table(evidence, everywhere, "cpu"),
        "gpu": _table(evidence, gpu, "cuda"),
        "gpu_measured": bool(evidence.measured("cuda", "native", [name for name, _ in gpu])),
        "empty_batch": _releases_by_verdict(empty),
        "untested": [(release.torch, release.why_not) for release in evidence.releases if not release.tested],
        "reasons": _reasons(evidence, [name for name, _ in gpu]),
        "swapped": _swapped(evidence),
    }


def _releases_by_verdict(cells: list[tuple[Release, str, Cell]]) -> dict[str, str]:
    """Verdict -> the releases that have it."""
    found: dict[str, list[str]] = {}
    for release, _, cell in cells:
        found.setdefault(cell.verdict, []).append(release.torch)
    return {verdict: span(torches) for verdict, torches in found.items()}


def _table(evidence: Evidence, scenarios: list[tuple[str, str]], device: str) -> dict[str, Any]:
    rows = []
    for release in evidence.releases:
        cells = [(release.cell(name, device, "native"), release.cell(name, device, "bypass")) for name, _ in scenarios]
        rows.append({"release": release, "cells": [mark(native, bypass) for native, bypass in cells]})
    return {"titles": [title for _, title in scenarios], "rows": rows}


def mark(native: Cell, bypass: Cell) -> str:
    """``pass / –``: the transform of the device, and the bypass; one word where both are the same."""
    first, second = (MARKS.get(cell.verdict, "") or short(cell.text) for cell in (native, bypass))
    return first if first == second else f"{first} / {second}"


def short(code: str) -> str:
    """A code without its prefix, as tables are wide enough."""
    return code.removeprefix("CUFFT_")


def _reasons(evidence: Evidence, names: list[str]) -> list[str]:
    """Every reason why something did not pass, was not run or not testable, with the releases it was the reason for."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for release in evidence.releases:
        for name in names:
            for (device, tier), place in PLACES.items():
                cell = release.cell(name, device, tier)
                if cell.why and cell.verdict != "pass":
                    found.setdefault((cell.verdict, place, cell.why), []).append(release.torch)
    return [
        f"{verdict} ({place}; {len(torches)} times, torch {span(list(dict.fromkeys(torches)))}): {why}"
        for (verdict, place, why), torches in sorted(found.items())
    ]


def _swapped(evidence: Evidence) -> list[str]:
    """Runs with another cuFFT than torch's own."""
    lines = []
    for run in evidence.runs:
        if run.content.get("options", {}).get("cufft"):
            verdicts = [one["verdict"] for one in run.outcomes if one.get("tier") == "native"]
            measured = [verdict for verdict in verdicts if verdict not in (NOT_RUN, CANNOT)]
            who = f"torch {run.content['torch']} with cuFFT {run.content['options']['cufft']}"
            lines.append(f"{who}: {measured.count('pass')} of {len(measured)} scenarios pass (`{run.file}`)")
    return lines
