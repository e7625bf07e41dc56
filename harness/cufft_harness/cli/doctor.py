"""`cufft-harness doctor`: examine this machine and name the cause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cufft_harness.cli import only_one
from cufft_harness.kinds import PathName

if TYPE_CHECKING:
    from cufft_harness.doctor.examination import Examination
    from cufft_harness.interpreter import Interpreter
    from cufft_harness.library.copies import Copy


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Only the control and the STFTs: seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown for an issue tracker.")
@click.option(
    "--issue",
    type=PathName(),
    metavar="DIR",
    help="Also write issue.md, environment.json and a self-contained repro.py there.",
)
@click.option(
    "--python",
    metavar="PATH",
    help="Examine the PyTorch of another Python: its path, or the folder of its environment.",
)
@click.option(
    "--library",
    type=PathName(),
    metavar="PATH",
    help="Try this libcufft by itself, without PyTorch: a file, or the folder it lies in.",
)
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Try the libcufft that this program has loaded.")
@click.option("--verify", is_flag=True, help="After a fix: what changed since FFTs failed, and whether it is cured.")
def command(
    quick: bool,
    as_json: bool,
    as_markdown: bool,
    issue: Path | None,
    python: str | None,
    library: Path | None,
    pid: int | None,
    verify: bool,
) -> int:
    """Examine this machine: driver, libraries, FFTs; name the cause of what fails, and the fix.

    Every experiment runs in a child process with a time limit, so a hang or a crash is a result. Without PyTorch the
    machine's own libcufft is tried by itself, as CuPy, JAX, OpenMM or RELION would load it.

    Exit codes: 0 healthy; 3 cuFFT is broken but matrix products work, so there is a fallback on the GPU; 4 broken;
    5 could not be tested (no usable GPU, or no cuFFT); 2 wrong use.
    """
    from cufft_harness.doctor import history
    from cufft_harness.doctor.issue import refuse_unfit, write_issue
    from cufft_harness.interpreter import find_interpreter
    from cufft_harness.library import copies

    only_one(json=as_json, markdown=as_markdown)
    only_one(library=library is not None, pid=pid is not None, python=python is not None)
    if issue is not None:
        refuse_unfit(issue)
    copy = copies.at(library) if library else copies.mapped_by(pid)[0] if pid else None
    before = history.last_failure() if verify else None
    examination = _examine(quick, as_json or as_markdown, find_interpreter(python) if python else None, copy)
    history.remember(examination)
    if as_json:
        import json

        from cufft_harness.doctor.report import as_json as to_json

        click.echo(json.dumps(to_json(examination), indent=2))
    elif as_markdown:
        from cufft_harness.doctor.report import markdown
        from cufft_harness.redaction import Redaction

        click.echo(Redaction.of_this_machine().text(markdown(examination)))
    else:
        from rich.console import Console

        from cufft_harness.doctor.report import show

        show(examination, Console())
    if verify:
        for line in history.compare(before, examination):
            click.echo(line, err=as_json or as_markdown)
    if issue is not None:
        written = write_issue(examination, issue)
        click.echo(f"written: {', '.join(map(str, written))}", err=True)
        names = [path.name for path in written]
        click.echo(
            f"Home, user, host and private paths were taken out; look through {', '.join(names[:-1])} and {names[-1]} "
            "before you publish them.",
            err=True,
        )
    return examination.status.exit_code


def _examine(quick: bool, quiet: bool, python: Interpreter | None, library: Copy | None) -> Examination:
    """Examine with a line on stderr that says what has just been found."""
    from rich.console import Console

    from cufft_harness.doctor.examination import examine

    console = Console(stderr=True, quiet=quiet)
    with console.status("asking the driver, starting PyTorch ...") as status:
        return examine(
            quick=quick,
            python=python,
            library=library,
            on_outcome=lambda probe, outcome: status.update(f"{probe.title}: {outcome.verdict}; going on ..."),
        )
