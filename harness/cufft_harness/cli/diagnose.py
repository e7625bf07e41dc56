"""`cufft-harness diagnose`: name the cause from a pasted log."""

from __future__ import annotations

import click

from cufft_harness.cli import only_one


@click.command("diagnose")
@click.argument("log", type=click.Path(readable=False, allow_dash=True), default="-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: `causes`, best first.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown for an issue tracker.")
def command(log: str, as_json: bool, as_markdown: bool) -> int:
    """Name the likeliest cause of a cuFFT failure from what was pasted, without a GPU.

    LOG is a file; without it, or as -, standard input is read. Give it all you have: the traceback, the output of
    `python -m torch.utils.collect_env`, of nvidia-smi and pip freeze, and what you observed (always? also on the CPU?
    since when?). Nothing in the log is executed.

    Exit codes: 0 a cause was found; 1 none; 2 the log is empty or not there, or wrong use.

    Example: python train.py 2>&1 | tee log.txt; cufft-harness diagnose log.txt
    """
    only_one(json=as_json, markdown=as_markdown)
    import sys

    from cufft_harness.diagnosis import render
    from cufft_harness.diagnosis.from_text import read_log
    from cufft_harness.diagnosis.log_input import open_log, read
    from cufft_harness.diagnosis.rules import UNDETERMINED, rank
    from cufft_harness.redaction import Redaction

    if log == "-" and sys.stdin.isatty():
        click.echo("Paste the log, then press Ctrl-D on an empty line.", err=True)
    with open_log(log) as stream:
        source = read(stream)
    evidence = read_log(source)
    findings = rank(evidence)
    if as_json:
        import json

        click.echo(json.dumps(render.as_dict(findings, evidence), indent=2, ensure_ascii=True))
    elif as_markdown:
        click.echo(Redaction.of_this_machine().text(render.markdown(findings, evidence)))
    else:
        from rich.console import Console

        render.show(findings, evidence, Console())
    if not source.text.strip():
        return 2
    return 1 if findings[0].cause.id == UNDETERMINED else 0
