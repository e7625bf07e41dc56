"""The errors a user may see: each carries its exit code and one line of advice.

The command line prints ``error: MESSAGE ADVICE`` as one line on stderr and leaves with the code; `--debug` shows the
traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """One line that steers no terminal, of a text from outside: line ends become spaces, control characters "?"."""
    return "".join(one if one.isprintable() else " " if one in "\r\n\t" else "?" for one in text)


def first_line(error: BaseException, limit: int = 300) -> str:
    """What an error of a library says, in one line; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:limit]


class HarnessError(Exception):
    """Base of all errors with a message meant for the user.

    Args:
        message: what is wrong, in one line; may quote what came from outside.
        advice: what to do about it, in one line; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        self.message, self.advice = printable(message), printable(advice)
        super().__init__(self.message)


class UserError(HarnessError):
    """The input is wrong: a flag, a setting, a file, a data set. Nothing was changed. Exit code 2."""

    exit_code = 2


class MachineError(HarnessError):
    """The machine failed us: disk, driver, memory, a missing package. Says what was saved. Exit code 1."""

    exit_code = 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean `X`?" for the nearest known word; empty if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""
