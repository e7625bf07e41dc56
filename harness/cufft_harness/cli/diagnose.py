"""`cufft-harness diagnose`: name the cause from a pasted log."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    log: Annotated[str, typer.Argument(metavar="LOG", help="The log, a file, or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: `causes`, best first.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for an issue tracker.")] = False,
) -> int:
    """Name the likeliest cause of a cuFFT failure from what was pasted, without a GPU.

    Give it all you have: the traceback, the output of `python -m torch.utils.collect_env`, of nvidia-smi and
    pip freeze, and what you observed (always? also on the CPU? since when?). Nothing in the log is executed.

    Example: python train.py 2>&1 | tee log.txt; cufft-harness diagnose log.txt
    """
    import sys

    from cufft_harness.diagnosis import render
    from cufft_harness.diagnosis.from_text import read_log
    from cufft_harness.diagnosis.log_input import open_log, read
    from cufft_harness.diagnosis.rules import rank

    if log == "-" and sys.stdin.isatty():
        typer.echo("Paste the log, then press Ctrl-D on an empty line.", err=True)
    with open_log(log) as stream:
        evidence = read_log(read(stream))
    findings = rank(evidence)
    if as_json:
        import json

        typer.echo(json.dumps(render.as_dict(findings, evidence), indent=2, ensure_ascii=True))
    elif as_markdown:
        typer.echo(render.markdown(findings, evidence))
    else:
        from rich.console import Console

        render.show(findings, evidence, Console())
    return 0
