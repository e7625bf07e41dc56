"""One module per subcommand: its options, and the call that does the work. Heavy imports stay inside `command`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cufft_harness.errors import MachineError, UserError
from cufft_harness.processes import has_directory


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports that need the packages of an extra; warns of those of `train` that do not fit together.

    Raises:
        MachineError: one of them is not installed, or two of them do not fit together.
        UserError: the current directory is gone, without which some of them cannot be imported.
    """
    if not has_directory():
        raise UserError("the current directory has been removed.", "Change to one that is there, `cd ~` say.")
    from cufft_harness.doctor.packages import Harm, misfits, read_installed

    for misfit in misfits(read_installed()) if name == "train" else ():
        if misfit.harm is Harm.TRAINING:
            click.echo(f"warning: {misfit.problem}; {misfit.fix}", err=True)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # 5.x warns at each model that ours has few tokens
    try:
        yield
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name:  # transformers raises it without a name for any error
            raise MachineError(f"{error.name} is not installed.", f"pip install 'cufft-harness[{name}]'") from error
        raise MachineError(f"{error}.", "`cufft-harness doctor` says which packages do not fit together.") from error


def only_one(**flags: bool) -> None:
    """Refuse flags that ask for different things at once, by their names without the dashes.

    Raises:
        UserError: more than one was given.
    """
    given = [f"--{name}" for name, value in flags.items() if value]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} ask for different things.", "Give one of them.")


def refuse_windows(command: str) -> None:
    """Say what does work where locks, process groups and signals are missing.

    Raises:
        MachineError: this is Windows itself.
    """
    from cufft_harness.processes import POSIX

    if not POSIX:
        raise MachineError(
            f"`{command}` does not run on Windows itself; doctor, diagnose, data and run do.",
            "It runs in WSL: `wsl --install`, then install and start it there.",
        )


def say_loading() -> None:
    """Say why nothing happens for some seconds."""
    click.echo("loading PyTorch and TTS ...", err=True)
