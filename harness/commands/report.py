"""`cufft-harness report`: REPORT.md and its pictures from the results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    results: Annotated[Path, typer.Option(help="Folder of the results files.")] = Path("repro/results"),
    output: Annotated[
        Path, typer.Option(help="Where the report goes; its picture lies beside the results' folder.")
    ] = Path("REPORT.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the report is not up to date.")
    ] = False,
) -> int:
    """Write REPORT.md from the results of `nox -s repro-<torch>`, and from nothing else.

    The same results give the same bytes. What was not run is shown as not run, and a results file that is cut off or of
    another schema is named in the report and left out of it.
    """
    from harness.report import document, endurance, picture
    from harness.report import stages as bars
    from harness.report.sections.goals import stages
    from harness.report.sections.resilience import longest

    sources = document.load(results)
    image = results.parent / "matrix.svg"
    text = document.render(sources, Path(os.path.relpath(image, output.parent)).as_posix())
    files = {image: picture.draw(sources.evidence), output: text.encode()}
    if seconds := stages(sources):
        files[image.with_name("stages.svg")] = bars.draw(seconds)
    if run := longest(sources):
        files[image.with_name("endurance.svg")] = endurance.draw(run.content["epochs"])
    for problem in sources.problems:
        typer.echo(f"left out: {problem}", err=True)
    if check:
        stale = [str(path) for path, wanted in files.items() if _bytes(path) != wanted]
        typer.echo(f"not up to date: {', '.join(stale)}; run `nox -s report`" if stale else "up to date")
        return 1 if stale else 0
    for path, content in files.items():
        document.write(path, content)
    typer.echo(f"{output}: {len(sources.runs)} runs, {sum(len(run.outcomes) for run in sources.runs)} outcomes")
    return 0


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
