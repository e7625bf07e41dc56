"""The errors a user may see: each carries its exit code and one line of advice.

The command line prints ``error: MESSAGE ADVICE`` as one line on stderr and leaves with the code; `--debug` shows the
traceback.
"""

from __future__ import annotations


class HarnessError(Exception):
    """Base of all errors with a message meant for the user.

    Args:
        message: what is wrong, in one line.
        advice: what to do about it, in one line; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class UserError(HarnessError):
    """The input is wrong: a flag, a setting, a file, a data set. Nothing was changed. Exit code 2."""

    exit_code = 2


class MachineError(HarnessError):
    """The machine failed us: disk, driver, memory, a missing package. Says what was saved. Exit code 1."""

    exit_code = 1
