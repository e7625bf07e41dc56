"""The command line. Commands are imported when they run, so `--help` and `diagnose` never pay for torch."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from cufft_harness.errors import HarnessError, did_you_mean

# One line each for the overview; the command NAME is the click command `command` of the module cli/NAME.py.
COMMANDS: dict[str, str] = {
    "doctor": "Probe this machine: name the cause of failing FFTs, and the fix.",
    "diagnose": "Name the cause of a cuFFT failure from a pasted log.",
    "train": "Fine-tune XTTS; a sample of every epoch appears by itself.",
    "data": "Show what would be trained on: rows, hours, texts beside their clips.",
    "sample": "Make samples from the checkpoints of a run, after the fact.",
    "check": "One line and an exit status for the health checkers of clusters.",
    "fleet": "What the checks of many machines say together.",
    "run": "Run any PyTorch program with its FFTs guarded.",
}


class _Commands(click.Group):
    """A group that shows one line a command and imports only the command that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cufft_harness.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"there is no command `{name}`.{did_you_mean(name, COMMANDS)}")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from cufft_harness import __version__

        click.echo(f"cufft-harness {__version__}")
        ctx.exit()


@click.group(
    "cufft-harness",
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
`cufft-harness COMMAND --help` explains a command. Completion, for ~/.bashrc:
  eval "$(_CUFFT_HARNESS_COMPLETE=bash_source cufft-harness)"
(zsh_source and fish_source for the other shells)""",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_context
def app(ctx: click.Context, debug: bool) -> None:
    """Find out why cuFFT fails, prove it, and keep training and sampling on the GPU regardless."""
    if debug:
        os.environ["CUFFT_HARNESS_DEBUG"] = "1"
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(2)


def main() -> None:
    """Run the command line; every foreseen error is one line on stderr and an exit code."""
    _replace_closed_streams()
    try:
        status = app(prog_name="cufft-harness", standalone_mode=False)
    except click.ClickException as error:  # wrong use
        message = error.format_message().rstrip(".")
        end = "" if message.endswith("?") else "."
        _leave(f"{message}{end} Try `{_command_meant()} --help`.", error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        _leave("interrupted", getattr(error, "exit_code", 130))  # a run that was ended by another signal says which
    except (HarnessError, OSError) as error:  # OSError: the disk is full, read-only, gone
        if os.environ.get("CUFFT_HARNESS_DEBUG", "0") not in ("", "0"):
            raise
        if isinstance(error, HarnessError):
            _leave(" ".join(filter(None, [error.message, error.advice])), error.exit_code)
        _leave(f"{error}.", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _replace_closed_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr (`2>&-`) some that lead nowhere.

    Python has None in their place; and the next file that is opened would get their number, and whatever a library
    prints there, in the middle of a checkpoint.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.dup(descriptor)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for good


def _command_meant() -> str:
    """The command that the arguments name, which not every error of click's does."""
    return " ".join(["cufft-harness", *(word for word in sys.argv[1:2] if word in COMMANDS)])


def _leave(message: str, exit_code: int) -> NoReturn:
    try:
        click.echo(f"error: {message}", err=True)
    except OSError:  # stderr is a file on a full disk: the exit code is all that can still be said
        sys.stderr = None  # else Python tries once more when it ends, and then leaves with 120
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
