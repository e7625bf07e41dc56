"""`cufft-harness run`: run any PyTorch program with its FFTs guarded."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from cufft_harness import processes
from cufft_harness.cufft import fault_of
from cufft_harness.errors import UserError
from cufft_harness.launch.process import Caught, LaunchConfig, environment, read_accounts

_MOST_LINES = 20


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--mode",
    type=click.Choice(["guard", "bypass"]),
    default="guard",
    help="guard: cuFFT first, products where it fails. bypass: products only. [default: guard]",
)
@click.option("--device", default="cuda", help="The device whose FFTs are meant: cuda, cuda:1, cpu. [default: cuda]")
@click.option("--verify", is_flag=True, help="Compare the first results of each shape with products (guard only).")
@click.option(
    "--inject",
    default="",
    metavar="FAULT",
    help="Pretend that cuFFT fails so, as CUFFT_INVALID_SIZE; to try it out.",
)
def command(program: tuple[str, ...], mode: str, device: str, verify: bool, inject: str) -> int:
    """Run any PyTorch program with its FFTs guarded against cuFFT's failures.

    PROGRAM comes after `--`: `script.py args…`, `-m module args…`, or a command.
    The program runs unchanged, with its own arguments, exit code and signals; Python processes it starts (data loader
    workers, `accelerate launch`) are guarded too. If anything was caught, a short account follows at the end.

    Examples:

        cufft-harness run -- train.py --epochs 3

        cufft-harness run -- -m whisper speech.wav

        cufft-harness run --mode bypass -- accelerate launch train.py
    """
    if verify and mode == "bypass":
        raise UserError(
            "--verify compares cuFFT with products, and --mode bypass never asks cuFFT.", "Drop one of them."
        )
    arguments = _command_line(program)
    if inject:
        fault_of(inject)
    with tempfile.TemporaryDirectory(prefix="cufft-harness-") as directory:
        orders = LaunchConfig(mode, device, verify, directory, inject)
        returncode = processes.run_in_foreground(arguments, env=environment(orders, os.environ))
        caught, count = read_accounts(Path(directory))
    if caught:
        click.echo(_account(caught, count), err=True)
    if returncode < 0:
        processes.end_by_signal(-returncode)
    return returncode


def _command_line(program: tuple[str, ...]) -> list[str]:
    """The program as a command: a script or module by this Python, a command of its own by its name."""
    first = program[0]
    if first in ("-m", "-c"):
        if len(program) < 2:
            raise UserError(
                f"`{first}` needs a module or code after it.", "As in `cufft-harness run -- -m whisper a.wav`."
            )
        return [sys.executable, *program]
    if first.startswith("-"):
        raise UserError(f"unknown option {first}.", "The program comes after `--`; options of `run` before it.")
    path = Path(first)
    if path.suffix in (".py", ".pyz") or path.is_dir():
        if not path.exists():
            raise UserError(f"there is no script {first}.", f"The current directory is {Path.cwd()}.")
        return [sys.executable, *program]
    found = shutil.which(first)
    if found is None:
        if path.is_file():
            return [sys.executable, *program]
        raise UserError(f"there is no script or command {first}.", "A module is run by `-- -m MODULE`.")
    return [found, *program[1:]]


def _account(caught: Counter[Caught], process_count: int) -> str:
    """The account at the end, as text."""
    times = sum(caught.values())
    codes = ", ".join(sorted({entry.code for entry in caught}))
    where = "one process" if process_count == 1 else f"{process_count} processes"
    lines = [f"cufft-harness run: {codes}: {times} transform{'s' if times != 1 else ''} in {where} saved."]
    for entry, count in caught.most_common(_MOST_LINES):
        kind = f"{entry.operator} of {entry.shape} {entry.dtype} on {entry.device}"
        lines.append(f"  {count:6d} x {kind}: {entry.code}, {entry.outcome}")
    if len(caught) > _MOST_LINES:
        lines.append(f"  and {len(caught) - _MOST_LINES} kinds more")
    lines.append("Run `cufft-harness doctor` to find the cause.")
    return "\n".join(lines)
