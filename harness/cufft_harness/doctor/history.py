"""The last examination that found something wrong, kept for the time after the fix.

It lies in the user's state folder ($XDG_STATE_HOME, else ~/.local/state) and holds what `doctor --json` prints.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cufft_harness.doctor.examination import Examination
from cufft_harness.doctor.report import as_json, machine_rows
from cufft_harness.errors import printable
from cufft_harness.files import atomic_path
from cufft_harness.status import Status

_FAILED = (Status.BROKEN, Status.FALLBACK)


def file() -> Path:
    """Where it is kept."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "cufft-harness" / "last-failure.json"


def remember(examination: Examination) -> None:
    """Keep an examination that found something wrong; a folder that cannot be written to costs the comparison alone."""
    if examination.status not in _FAILED:
        return
    content = {"rows": dict(machine_rows(examination)), **as_json(examination)}
    try:
        file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file()) as path:
            path.write_text(json.dumps(content, default=str), encoding="utf-8")
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return


def last_failure() -> Mapping[str, Any] | None:
    """What was kept; None where there is nothing, or nothing that can be read."""
    try:
        content = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return None
    whole = isinstance(content, dict) and all(isinstance(content.get(name), dict) for name in ("rows", "probes"))
    return content if whole else None


def compare(before: Mapping[str, Any] | None, now: Examination) -> Iterator[str]:
    """What is different since then, and whether it is cured, in lines."""
    if before is None:
        yield "No examination that failed is kept for this user, so there is nothing to compare with."
        return
    rows = dict(machine_rows(now))
    for name in dict.fromkeys([*before["rows"], *rows]):
        old, new = str(before["rows"].get(name, "none")), rows.get(name, "none")
        if old != new:
            yield f"changed: {name}: {printable(old)} -> {new}"
    for name, outcome in now.results.outcomes.items():
        entry = before["probes"].get(name)
        old = str(entry.get("verdict", "")) if isinstance(entry, dict) else ""
        if old and old != outcome.verdict.value:
            yield f"changed: experiment {name}: {printable(old)} -> {outcome.verdict}"
    yield {
        Status.HEALTHY: "Cured: what failed then passes now.",
        Status.NOT_TESTED: "Not known: cuFFT could not be tested this time.",
    }.get(now.status, f"Not cured: {now.status.words}")
