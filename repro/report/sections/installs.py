"""Whether what the README says to install trains, for each Python: results of kind "install"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.install import KIND, PYTHONS, STEPS

if TYPE_CHECKING:
    from repro.report.document import Sources
    from repro.store import Run

CHECKS = ("install", "from the wheel alone", *(step.title for step in STEPS))
SHOWN = ("torch", "torchaudio", "transformers", "coqui-tts", "numpy")


def data(sources: Sources) -> dict[str, Any]:
    """A row for each run, and one that says "not run" for each Python without."""
    runs = sources.of_kind(KIND)
    rows = [_row(run) for run in runs]
    done = {row["python"] for row in rows}
    rows += [{"python": python, "cells": ["not run"] * len(CHECKS)} for python in PYTHONS if python not in done]
    failures = [
        f"Python {run.content['python']}, {one['step']}: {one['detail']}"
        for run in runs
        for one in run.outcomes
        if one["verdict"] != "pass"
    ]
    rows.sort(key=lambda row: PYTHONS.index(row["python"]))
    return {"rows": rows, "checks": CHECKS, "failures": failures, "commands": [" ".join(one.command) for one in STEPS]}


def _row(run: Run) -> dict[str, Any]:
    versions = dict(one.split("==", 1) for one in run.content.get("packages", []))
    outcomes = {one["step"]: f"{one['verdict']}, {one['seconds']:.0f} s" for one in run.outcomes}
    return {
        "python": run.content["python"],
        "first": ", ".join(run.content["first"]) or "nothing",
        "installer": run.content["installer"],
        "versions": ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions),
        "cells": [outcomes.get(check, run.content.get("reason", "not run")) for check in CHECKS],
        "date": run.content["started"][:10],
    }
