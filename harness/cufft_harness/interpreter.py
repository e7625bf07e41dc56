"""A Python to run experiments or programs in: this one, or another that this package need not be installed in."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cufft_harness import processes
from cufft_harness.errors import UserError

OLDEST = (3, 10)
"""The oldest Python that the package runs in."""
_PACKAGE = Path(__file__).resolve().parent
# Neither of the two imports anything from the current directory, which `python -c` puts first.
_ASK = """
import sys
sys.path[:] = filter(None, sys.path)
import json
print(json.dumps([sys.version_info[:3], sys.executable, sys.path]))
"""
# Runs a module of the package whose folder is the first argument, as `python -P -m` runs an installed one. Only that
# package is added: what lies beside it belongs to this Python, and must not hide what the other one has.
_RUN_BY_PATH = """
import sys
sys.path[:] = filter(None, sys.path)
import importlib.util, runpy
folder = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location(
    "cufft_harness", folder + "/__init__.py", submodule_search_locations=[folder])
package = importlib.util.module_from_spec(spec)
sys.modules["cufft_harness"] = package
spec.loader.exec_module(package)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python.

    Attributes:
        executable: its path.
        version: the first three numbers.
        path: where it looks for modules.
    """

    executable: str
    version: tuple[int, int, int]
    path: tuple[str, ...]

    @property
    def is_this_one(self) -> bool:
        """Whether this process runs in it."""
        return self.executable == sys.executable

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} ({self.executable})"

    def module(self, name: str, *arguments: str) -> list[str]:
        """The command that runs a module of this package in it."""
        if self.is_this_one:
            return processes.python_module(name, *arguments)
        return [self.executable, "-c", _RUN_BY_PATH, str(_PACKAGE), name, *arguments]


def this_interpreter() -> Interpreter:
    """The Python that runs this."""
    return Interpreter(sys.executable, sys.version_info[:3], tuple(sys.path))


def find_interpreter(name: str) -> Interpreter:
    """Ask the Python of a name what it is.

    Args:
        name: a path, a command such as ``python3.11``, or the folder of a virtual environment.

    Raises:
        UserError: there is none, it is no Python, or it is too old.
    """
    folder = Path(name).expanduser()
    inside = [folder / "bin" / "python", folder / "Scripts" / "python.exe"]
    place = next((str(path) for path in inside if path.exists()), None) if folder.is_dir() else shutil.which(folder)
    if place is None:
        raise UserError(f"there is no Python at {name}.", "Give --python its path, or the folder of its environment.")
    try:
        answer = processes.run([place, "-c", _ASK], timeout_s=30, env=processes.python_environment())
        version, executable, path = json.loads(answer.stdout)
    except (OSError, ValueError) as error:
        raise UserError(f"{name} does not answer as a Python does.") from error
    if tuple(version) < OLDEST:
        found, wanted = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
        raise UserError(f"{name} is Python {found}, and {wanted} is the oldest that can be used.")
    return Interpreter(executable, (version[0], version[1], version[2]), tuple(path))
