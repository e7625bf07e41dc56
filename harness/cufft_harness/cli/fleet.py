"""`cufft-harness fleet`: what the documents of many machines say together."""

from __future__ import annotations

import click


@click.command("fleet")
@click.argument("source", metavar="DIR|FILE|-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: str, as_json: bool) -> int:
    """Group the GPUs of a fleet by how they fail, and name the fewest facts that separate them from the healthy ones.

    Reads what `cufft-harness check --json` printed on each machine: files below a folder, one file, or standard input.
    Damaged documents are counted and left out; of several of one GPU the latest counts.

    Leaves with 0 where every GPU is healthy, 3 where one is not, 1 where nothing could be read.

    Example: srun -N 100 --ntasks-per-node 1 cufft-harness check --json | cufft-harness fleet -
    """
    import sys

    from cufft_harness.fleet import groups, reading, render

    fleet = reading.read(source, sys.stdin)
    picture = groups.picture(fleet.documents.values())
    if as_json:
        import json

        click.echo(json.dumps(render.as_dict(picture, fleet), indent=2))
    else:
        from rich.console import Console

        render.show(picture, fleet, Console())
    if not picture.gpus:
        return 1
    return 0 if picture.healthy == picture.gpus else 3
