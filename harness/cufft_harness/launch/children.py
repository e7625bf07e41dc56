"""Python processes that a guarded program starts without the guard: seen as they are started, and counted.

The guard comes to a child by PYTHONPATH. Python's `-I` and `-E` ignore it, `-S` imports no sitecustomize, and a program
may give its child another environment. No torch and nothing else of the package is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_FILE = "unguarded.jsonl"
_PYTHON = re.compile(r"python(\d(\.\d+)?)?(\.exe)?")
_WITH_VALUE = "cmWX"
"""Options of Python that take a value; the first two end its own options."""


def watch(directory: Path, startup: str) -> None:
    """From now on note each Python process that this one starts without the guard.

    Args:
        directory: where it is noted.
        startup: the folder that has to be on a child's PYTHONPATH.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("subprocess.Popen", "os.exec", "os.posix_spawn"):
            return
        with contextlib.suppress(Exception):  # what is raised here would keep the program from starting its child
            if reason := why_unguarded(arguments[0], arguments[1], arguments[-1], startup):
                _note(directory, reason)

    sys.addaudithook(hook)


def why_unguarded(program: object, arguments: object, environment: object, startup: str) -> str:
    """What keeps the guard from a process that is about to be started; empty for one that has it, or is no Python."""
    try:
        words = [os.fsdecode(arguments)] if isinstance(arguments, (str, bytes)) else [*map(os.fsdecode, arguments)]  # type: ignore[call-overload]
        name = os.path.basename(os.fsdecode(program)) if program else os.path.basename(words[0])  # type: ignore[arg-type]  # noqa: PTH119
    except (TypeError, ValueError, IndexError):  # nothing that could be started, or not as we know it
        return ""
    if not _PYTHON.fullmatch(name):
        return ""
    if flags := sorted(set(_flags(words[1:])) & set("IES")):
        return f"-{flags[0]}"
    given: Mapping[Any, Any] = os.environ if environment is None else environment  # type: ignore[assignment]
    named = {os.fsdecode(name): value for name, value in dict(given).items()}
    path = named.get("PYTHONPATH", "")
    return "" if startup in os.fsdecode(path).split(os.pathsep) else "another PYTHONPATH"


def _flags(words: Sequence[str]) -> str:
    """The letters of Python's own options, up to the script, module or code."""
    letters = ""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):
            continue
        for place, letter in enumerate(word[1:], start=1):
            letters += letter
            if letter in _WITH_VALUE:
                if letter in "cm":
                    return letters
                if place == len(word) - 1:
                    next(rest, None)
                break
    return letters


def _note(directory: Path, reason: str) -> None:
    try:
        with (directory / _FILE).open("a", encoding="utf-8") as stream:  # one short line: written at once, by whomever
            stream.write(json.dumps(reason) + "\n")
    except OSError:
        return


def read(directory: Path) -> Counter[str]:
    """How many processes were noted, by reason."""
    try:
        lines = (directory / _FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return Counter()
    return Counter(json.loads(line) for line in lines)
