"""Result files: one JSON per run, written as the run goes, read back with every fault of a file named in one line.

A file in the making is ``NAME.partial.json``; it becomes ``NAME.json`` when the run is over, so that an interrupted run
never takes the place of a complete one. No package is needed: the reproduction suite writes these inside every
PyTorch environment. `kind` says what a file holds ("repro", "benchmark", ...); the report has one section a kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cufft_harness.files import make_folder, write_atomically

SCHEMA = 1
PARTIAL = ".partial.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class RunFile:
    """Writes one run's results; after every `add` the file on disk is whole and up to date.

    Args:
        folder: where results lie; made if absent.
        name: the file's name without ending, such as ``torch-2.8.0_cpu``.
        kind: which section of the report it is for.
        facts: what is known at the start: the row, options, environment, machine.

    Raises:
        OSError: the disk is full or not writable; what was written before stays.
    """

    def __init__(self, folder: Path, name: str, kind: str, facts: Mapping[str, Any]) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a results file")
        make_folder(folder)
        self.partial, self.path = folder / f"{name}{PARTIAL}", folder / f"{name}.json"
        self._content: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": kind,
            "name": name,
            "status": "running",
            "started": _now(),
            **facts,
            "outcomes": [],
        }
        self._write()

    def add(self, outcome: Mapping[str, Any]) -> None:
        """Append one outcome."""
        self._content["outcomes"].append(dict(outcome))
        self._write()

    def extend(self, outcomes: list[dict[str, Any]]) -> None:
        """Append many outcomes at once."""
        self._content["outcomes"].extend(outcomes)
        self._write()

    def facts(self, name: str) -> Any:
        """One of the facts written so far."""
        return self._content[name]

    def note(self, **facts: Any) -> None:
        """Set facts that became known during the run."""
        self._content.update(facts)
        self._write()

    def finish(self, status: str = "complete", **facts: Any) -> Path:
        """Give the file its final name: "complete", or "could not be tested" with a `reason`."""
        self._content.update(status=status, finished=_now(), **facts)
        self._write()
        self.partial.replace(self.path)
        return self.path

    def _write(self) -> None:
        write_atomically(self.partial, _dump(self._content))


@dataclass(frozen=True)
class Run:
    """One results file that could be read.

    Attributes:
        file: its name, for messages and links.
        kind: which section it is for.
        status: "complete", "running" (interrupted, as nothing runs while a report is made) or "could not be tested".
        content: everything in it.
    """

    file: str
    kind: str
    status: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """The run's name without endings."""
        return str(self.content["name"])

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """The outcomes, in the order they were measured."""
        outcomes: list[dict[str, Any]] = self.content["outcomes"]
        return outcomes


def read_all(folder: Path) -> tuple[list[Run], list[str]]:
    """All runs in `folder` and below, by file name, and one line for every file that could not be used.

    A partial file is left out where the complete run is there too.
    """
    runs, problems = [], []
    for path in sorted(folder.rglob("*.json")):
        if path.name.endswith(PARTIAL) and path.with_name(path.name.replace(PARTIAL, ".json")).exists():
            continue
        try:
            runs.append(read(path))
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
    return runs, problems


def read(path: Path) -> Run:
    """Read one file.

    Raises:
        ValueError: it is cut off, no JSON, or of another schema; the message is one line.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"cut off or no JSON (line {error.lineno}: {error.msg})") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"cannot be read ({type(error).__name__})") from None
    if not isinstance(content, dict) or "schema" not in content:
        raise ValueError("not a results file: it names no schema")
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']}, but this version reads schema {SCHEMA}")
    expected = {"kind": str, "name": str, "status": str, "outcomes": list}
    for field, type_ in expected.items():
        if not isinstance(content.get(field), type_):
            raise ValueError(f"the field {field!r} is missing or not a {type_.__name__}")
    if not all(isinstance(outcome, dict) for outcome in content["outcomes"]):
        raise ValueError("the field 'outcomes' holds something that is no outcome")
    return Run(path.name, content["kind"], content["status"], content)


def _dump(content: Mapping[str, Any]) -> str:
    """JSON with one line a fact and one line an outcome: a change of one outcome is a change of one line."""
    facts = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in content.items() if name != "outcomes"]
    outcomes = ",\n".join("  " + json.dumps(outcome) for outcome in content["outcomes"])
    facts.append(f' "outcomes": [\n{outcomes}\n ]' if outcomes else ' "outcomes": []')
    return "{\n" + ",\n".join(facts) + "\n}\n"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
