"""`cufft-harness run`: run any PyTorch program with its FFTs guarded."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from cufft_harness.cufft import fault_of
from cufft_harness.errors import UserError
from cufft_harness.interpreter import Interpreter, find_interpreter
from cufft_harness.launch.folder import accounts_folder
from cufft_harness.launch.foreground import end_by_signal, run_in_foreground
from cufft_harness.launch.process import Accounts, LaunchConfig, environment, read_accounts

_MOST_LINES = 20
_DEVICE = re.compile(r"(cpu|cuda|xpu|mps)(:\d{1,3})?")  # any that PyTorch computes FFTs on


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
@click.option(
    "--python",
    metavar="PATH",
    help="Run the program by another Python: its path, or the folder of its environment. Default: this one.",
)
def command(program: tuple[str, ...], mode: str, device: str, verify: bool, inject: str, python: str | None) -> int:
    """Run any PyTorch program with its FFTs guarded against cuFFT's failures.

    PROGRAM comes after `--`: `script.py ARGS`, `-m MODULE ARGS`, or a command.

    The program runs unchanged, with its own arguments, exit code and signals; Python processes it starts (data loader
    workers, `accelerate launch`) are guarded too. If anything was caught, a short account follows at the end.

    Not guarded are Python processes that are told to ignore the environment (`python -I`, `-E`, `-S`) or are given
    another one, and FFTs of programs that have no Python in them; the account names those it sees started.

    Examples:

        cufft-harness run -- train.py --epochs 3

        cufft-harness run -- -m whisper speech.wav

        cufft-harness run --mode bypass -- accelerate launch train.py
    """
    _refuse_contradictions(mode, device, verify, inject)
    arguments = _command_line(program, find_interpreter(python) if python else None)
    with accounts_folder() as directory:
        orders = LaunchConfig(mode, device, verify, str(directory), inject)
        returncode = run_in_foreground(arguments, env=environment(orders, os.environ))
        accounts = read_accounts(directory)
    if accounts.caught:
        click.echo(_account(accounts), err=True)
    elif inject and (nothing := _why_nothing(accounts, device)):
        click.echo(f"cufft-harness run: nothing was guarded: {nothing}", err=True)
    for line in _unguarded(accounts):
        click.echo(line, err=True)
    if returncode and arguments[0] == sys.executable and find_spec("torch") is None:
        click.echo(
            f"cufft-harness run: {sys.executable} has no PyTorch; --python PATH runs the program by another Python.",
            err=True,
        )
    if returncode < 0:
        end_by_signal(-returncode)
    return returncode


def _refuse_contradictions(mode: str, device: str, verify: bool, inject: str) -> None:
    if not _DEVICE.fullmatch(device):
        raise UserError(f"`{device}` is no device whose FFTs can be guarded.", "Give cuda, cuda:1 or cpu.")
    if inject:
        fault_of(inject)
    for flag, given in (("--verify", verify), ("--inject", inject)):
        if given and mode == "bypass":
            raise UserError(f"{flag} is about cuFFT, and --mode bypass never asks cuFFT.", "Drop one of them.")


def _command_line(program: tuple[str, ...], python: Interpreter | None) -> list[str]:
    """The program as a command: a script or module by `python`, by default this one, else a command by its name."""
    first = program[0]
    own = python.executable if python else sys.executable
    if first in ("-m", "-c"):
        if len(program) < 2:
            raise UserError(
                f"`{first}` needs a module or code after it.", "As in `cufft-harness run -- -m whisper a.wav`."
            )
        return [own, *program]
    if first.startswith("-"):
        raise UserError(f"unknown option {first}.", "The program comes after `--`; options of `run` before it.")
    path = Path(first)
    if path.suffix in (".py", ".pyz") or path.is_dir():
        if not path.exists():
            raise UserError(f"there is no script {first}.", f"The current directory is {Path.cwd()}.")
        return [own, *program]
    # the commands of that Python's environment, such as `accelerate`, before those of the same name elsewhere
    places = [str(Path(own).parent)] if python else []
    found = shutil.which(first, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath)]))
    if found is None:
        if path.is_file():
            return [own, *program]
        raise UserError(f"there is no script or command {first}.", "A module is run by `-- -m MODULE`.")
    return [found, *program[1:]]


def _why_nothing(accounts: Accounts, device: str) -> str:
    """Why a fault that was to be played never was; empty if it was, or nobody can say."""
    if not accounts.guarded:
        return "no Python process of the program imported PyTorch."
    if accounts.without_device == accounts.guarded:
        return f"PyTorch finds no device `{device}` here. Give --device cpu to try things out on the CPU."
    if accounts.without_device + accounts.idle == accounts.guarded:
        return f"no FFT ran on `{device}`."
    return ""


def _unguarded(accounts: Accounts) -> list[str]:
    """Python processes that were started without the guard, by reason."""
    return [
        "cufft-harness run: "
        + ("one Python process was" if count == 1 else f"{count} Python processes were")
        + f" not guarded: started with {reason}."
        for reason, count in accounts.unguarded.most_common()
    ]


def _account(accounts: Accounts) -> str:
    """The account at the end, as text."""
    caught = accounts.caught
    times = sum(caught.values())
    codes = ", ".join(sorted({entry.code for entry in caught}))
    where = "one process" if accounts.saved == 1 else f"{accounts.saved} processes"
    lines = [f"cufft-harness run: {codes}: {times} transform{'s' if times != 1 else ''} in {where} saved."]
    for entry, count in caught.most_common(_MOST_LINES):
        kind = f"{entry.operator} of {entry.shape} {entry.dtype} on {entry.device}"
        lines.append(f"  {count:6d} x {kind}: {entry.code}, {entry.outcome}")
    if len(caught) > _MOST_LINES:
        lines.append(f"  and {len(caught) - _MOST_LINES} kinds more")
    lines.append("Run `cufft-harness doctor` to find the cause.")
    return "\n".join(lines)
