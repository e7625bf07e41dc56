"""The command line. Commands are imported when they run, so `--help` and `diagnose` never pay for torch."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from cufft_harness.errors import HarnessError, MachineError

# name -> (module with a function `command`, one line for the overview)
COMMANDS: dict[str, tuple[str, str]] = {
    "doctor": ("cufft_harness.cli.doctor", "Probe this machine: name the cause of failing FFTs, and the fix."),
    "diagnose": ("cufft_harness.cli.diagnose", "Name the cause of a cuFFT failure from a pasted log."),
    "train": ("cufft_harness.cli.train", "Fine-tune XTTS; a sample of every epoch appears by itself."),
    "sample": ("cufft_harness.cli.sample", "Make samples from the checkpoints of a run, after the fact."),
    "run": ("cufft_harness.cli.run", "Run any PyTorch program with its FFTs guarded."),
}


def _load(name: str) -> Any:
    """Import the command's module and build its click command."""
    one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    try:
        function = importlib.import_module(COMMANDS[name][0]).command
    except ModuleNotFoundError as error:
        advice = "pip install 'cufft-harness[train]'"
        raise MachineError(f"`{name}` needs {error.name}, which is not installed.", advice) from error
    settings = getattr(function, "command_settings", {})
    one.command(name=name, **settings)(function)
    return typer.main.get_command(one)


class _LazyGroup(TyperGroup):
    """A group that shows one line per command and imports only the command that is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, (_load(name) if name in COMMANDS else command), rest


app = typer.Typer(
    name="cufft-harness",
    cls=_LazyGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help costs a quarter of a second for frames around the same words
    help="Find out why cuFFT fails, prove it, and keep training and sampling on the GPU regardless.",
)


def _show_version(value: bool) -> None:
    if value:
        from cufft_harness import __version__

        typer.echo(f"cufft-harness {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    if debug:
        os.environ["CUFFT_HARNESS_DEBUG"] = "1"


def _register(name: str, summary: str) -> None:
    def stub() -> None:
        """Stand in for the command in the overview; `_LazyGroup` puts the real one in its place."""

    app.command(name, help=summary)(stub)


for _name, (_module, _summary) in COMMANDS.items():
    _register(_name, _summary)


def main() -> None:
    """Run the command line; every foreseen error is one line on stderr and an exit code."""
    try:
        status = app(standalone_mode=False)
    except HarnessError as error:
        if os.environ.get("CUFFT_HARNESS_DEBUG"):
            raise
        _leave(" ".join(filter(None, [error.message, error.advice])), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _leave("interrupted", 130)
    except OSError as error:  # the disk: full, read-only, gone
        if os.environ.get("CUFFT_HARNESS_DEBUG"):
            raise
        _leave(f"{error}.", 1)
    except Exception as error:
        # click's own usage errors; recent typer carries click inside itself, so they are known by what they can do
        if not hasattr(error, "format_message"):
            raise
        _leave(f"{error.format_message()} Try `cufft-harness --help`.", getattr(error, "exit_code", 2))
    sys.exit(status if isinstance(status, int) else 0)


def _leave(message: str, exit_code: int) -> NoReturn:
    try:
        typer.echo(f"error: {message}", err=True)
    except OSError:  # stderr is a file on a full disk: the exit code is all that can still be said
        sys.stderr = None  # else Python tries once more when it ends, and then leaves with 120
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
