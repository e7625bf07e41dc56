"""`python -m repro.report`: REPORT.md and its pictures from the results."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cufft_harness.errors import HarnessError

from repro.report import document, endurance, picture
from repro.report import stages as bars
from repro.report.sections.goals import stages
from repro.report.sections.resilience import longest


def write_report(results: Path, output: Path, check: bool = False) -> int:
    """Write REPORT.md from the results of `nox -s repro-<torch>`, and from nothing else.

    The same results give the same bytes. What was not run is shown as not run, and a results file that is cut off or of
    another schema is named in the report and left out of it.

    Args:
        results: folder of the results files; the pictures lie beside it.
        output: the report.
        check: write nothing.

    Returns:
        The exit code: 0, or 1 if `check` finds that the report is not up to date.

    Raises:
        UserError: no results, or a place that cannot be written to.
    """
    sources = document.load(results)
    image = results.parent / "matrix.svg"
    text = document.render(sources, Path(os.path.relpath(image, output.parent)).as_posix())
    files = {image: picture.draw(sources.evidence), output: text.encode()}
    if seconds := stages(sources):
        files[image.with_name("stages.svg")] = bars.draw(seconds)
    if run := longest(sources):
        files[image.with_name("endurance.svg")] = endurance.draw(run.content["epochs"])
    for problem in sources.problems:
        print(f"left out: {problem}", file=sys.stderr)
    if check:
        stale = [str(path) for path, wanted in files.items() if _bytes(path) != wanted]
        print(f"not up to date: {', '.join(stale)}; run `nox -s report`" if stale else "up to date")
        return 1 if stale else 0
    for path, content in files.items():
        document.write(path, content)
    print(f"{output}: {len(sources.runs)} runs, {sum(len(run.outcomes) for run in sources.runs)} outcomes")
    return 0


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    """Read the command line and write the report, or check it."""
    parser = argparse.ArgumentParser(prog="python -m repro.report", description="REPORT.md from the results.")
    parser.add_argument("--results", type=Path, default=Path("repro/results"), help="folder of the results files")
    parser.add_argument("--output", type=Path, default=Path("REPORT.md"), help="where the report goes")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if it is not up to date")
    given = parser.parse_args()
    try:
        return write_report(given.results, given.output, given.check)
    except HarnessError as error:
        parser.exit(error.exit_code, f"error: {error.message} {error.advice}\n")


if __name__ == "__main__":
    sys.exit(main())
