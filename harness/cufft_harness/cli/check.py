"""`cufft-harness check`: one line and an exit status for the health checkers of clusters."""

from __future__ import annotations

from pathlib import Path

import click

from cufft_harness.errors import UserError
from cufft_harness.fleet.styles import Style
from cufft_harness.kinds import PathName


@click.command("check")
@click.option("--level", type=click.IntRange(1, 3), default=1, show_default=True, help="1: seconds; 3: everything.")
@click.option("--gpu", "gpus", type=click.IntRange(0), multiple=True, help="Only this GPU, by its number; repeat.")
@click.option("--library", type=PathName(), metavar="PATH", help="The libcufft to try: file or folder.")
@click.option(
    "--style",
    type=click.Choice([style.value for style in Style]),
    default=Style.PLAIN.value,
    show_default=True,
    help="Who calls: decides the line and the exit status.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document a GPU, for `cufft-harness fleet`.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A fact for them, as rack=7; repeat.")
@click.option("--limit", "limit_s", type=click.FloatRange(1), help="Seconds for all. Default: 10, 60, 300 by level.")
def command(
    level: int,
    gpus: tuple[int, ...],
    library: Path | None,
    style: str,
    as_json: bool,
    labels: tuple[str, ...],
    limit_s: float | None,
) -> int:
    """Check whether cuFFT works on this machine's GPUs: one line, an exit status, never a hang. No PyTorch is needed.

    A node can pass every other health check and fail every FFT: none of them executes one, or notices a driver without
    its PTX compiler. This plans and executes the usual sizes with the libcufft that programs come upon first, in a
    child process that is ended when its time is over, and checks the numbers. Nothing stays on the GPU.

    Exit statuses: plain 0 healthy, 3 or 4 broken, 5 not tested; nagios 0, 2, 3; nhc and slurm 0 or 1; npd 0, 1, 2.
    """
    import json
    import time

    from cufft_harness.fleet.check import check
    from cufft_harness.fleet.styles import answer

    began = time.monotonic()
    documents = check(level, gpus, dict(map(_label, labels)), limit_s, library)
    result = answer(Style(style), documents, time.monotonic() - began)
    if as_json:
        for document in documents:
            click.echo(json.dumps(document.as_dict()))
    elif result.line:
        click.echo(result.line)
    return result.exit_code


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"--label {text} is not NAME=VALUE.", "As in --label rack=7.")
    return name, value
