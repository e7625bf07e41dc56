"""REPORT.md from the results: the same bytes for the same input. One module a section, one template a module."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from cufft_harness.errors import MachineError, UserError
from cufft_harness.files import write_atomically

from repro import store
from repro.report.runs import Evidence, listed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# In the order of the report. A section is `repro/report/sections/NAME.py` with a function
# `data(sources) -> dict | None` (None: the section is left out) and `repro/report/templates/NAME.md.j2`.
SECTIONS = (
    "question",
    "verdict",
    "matrix",
    "faults",
    "consequences",
    "explanations",
    "truth",
    "goals",
    "scale",
    "benchmarks",
    "training",
    "resilience",
    "installs",
    "environments",
    "repeat",
)


@dataclass(frozen=True)
class Sources:
    """All a section may use.

    Attributes:
        runs: every run that could be read, of every kind, by file name.
        problems: one line for every file that could not.
        evidence: the runs of kind "repro", ready to ask.
    """

    runs: tuple[store.Run, ...]
    problems: tuple[str, ...]
    evidence: Evidence

    def of_kind(self, kind: str) -> list[store.Run]:
        """The runs meant for one section, in the order of their names."""
        return [run for run in self.runs if run.kind == kind]


def load(results: Path) -> Sources:
    """Read all results, and the rows of `matrix/versions.toml` beside the folder, if it is there.

    Raises:
        UserError: there is no such folder.
    """
    if not results.is_dir():
        raise UserError(f"no results: {results} is not a folder.", "Run `nox -s repro-2.11.0` first.")
    runs, problems = store.read_all(results)
    versions = results.parent / "matrix" / "versions.toml"
    rows: list[dict[str, Any]] = _toml(versions)["row"] if versions.exists() else []
    repro = tuple(run for run in runs if run.kind == "repro")
    return Sources(tuple(runs), tuple(problems), Evidence(repro, tuple(rows)))


def render(sources: Sources, picture: str) -> str:
    """The report's Markdown.

    Args:
        sources: what `load` read.
        picture: where the matrix's picture lies, seen from the report.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("repro.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown, from our own results
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["listed"] = listed
    templates.filters["cell"] = escape
    parts = []
    for name in SECTIONS:
        data: Mapping[str, Any] | None = importlib.import_module(f"repro.report.sections.{name}").data(sources)
        if data is not None:
            parts.append(templates.get_template(f"{name}.md.j2").render(**data, picture=picture).strip())
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"


def write(path: Path, content: bytes) -> None:
    """Replace a file in one step.

    Raises:
        MachineError: it cannot be written; the old one stays.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}.", "The old report is unchanged.") from None


def escape(text: str) -> str:
    """Text fit for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
