"""Does the install that the README names train? What `nox -s install` runs, and what it writes down.

The wheel is installed without any constraint into a clean environment; the commands of the README are then run in a
folder of their own, with nothing of the checkout on the path. Standard library only: this runs in nox's own Python.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import machine, store

RESULTS = Path(__file__).parent / "results"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ENVIRONMENT_GB = 8
KIND = "install"
# Run in the environment that is tried: size and times of each file tell whether it was touched; 6 GB are not read.
PACKAGES = """
import hashlib, json, os
from importlib import metadata

found = {}
for one in metadata.distributions():
    paths = sorted(str(path.locate()) for path in one.files or [] if path.suffix != ".pyc")
    states = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths if os.path.exists(path)]
    found[one.metadata["Name"]] = one.version + " " + hashlib.sha256(repr(states).encode()).hexdigest()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Step:
    """One command of the README.

    Attributes:
        title: the heading of its column in the report.
        command: as a user types it, without what the shell would take apart.
        limit: seconds; generous, for a machine that has other work too.
        succeeds: exit codes; doctor's say what it found, and finding nothing to test is no failure of the install.
        leaves: a file that must be there afterwards.
    """

    title: str
    command: tuple[str, ...]
    limit: float
    succeeds: tuple[int, ...] = (0,)
    leaves: str = ""


STEPS = (
    Step("--help", ("cufft-harness", "--help"), 60),
    Step("doctor", ("cufft-harness", "doctor", "--quick"), 600, (0, 3, 4, 5)),
    Step(
        "train",
        ("cufft-harness", "train", "--model", "tiny", "--num-epochs", "1", "--output", "first-run"),
        1200,
        leaves="first-run/samples/epoch_1_output.wav",
    ),
    Step(
        "sample",
        ("cufft-harness", "sample", "--checkpoint", "first-run", "--text", "Bom dia."),
        900,
        leaves="first-run/samples-later/epoch_1_output.wav",
    ),
)


@dataclass(frozen=True)
class Options:
    """What may follow ``nox -s install --``.

    Attributes:
        first: packages that a user has already, installed before; they must stay as they are.
        keep: leave the environment (6 GB).
    """

    first: tuple[str, ...] = ()
    keep: bool = False


def options(arguments: Sequence[str]) -> Options:
    """Read the words after ``--``."""
    parser = argparse.ArgumentParser(prog="nox -s install --", description="Install as a user does, and train.")
    parser.add_argument("--first", nargs="+", metavar="PACKAGE", default=[], help="packages that are there before")
    parser.add_argument("--keep", action="store_true", help="keep the environment (6 GB)")
    given = parser.parse_args(arguments)
    return Options(tuple(given.first), given.keep)


def run_name(python: str, installer: str, chosen: Options) -> str:
    """The results file's name: Python, what was there before, the installer if it is not uv, and the machine."""
    parts = [f"install-{python}", *(one.replace("==", "-") for one in chosen.first)]
    return "_".join([*parts, *([] if installer == "uv" else [installer]), machine.label()])


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a user's shell: none that constrains an installation, or puts the checkout on the path."""
    unwanted = re.compile(r"PYTHONPATH|PYTHONHOME|(PIP|UV)_(CONSTRAINT|BUILD_CONSTRAINT|OVERRIDE)|CUFFT_HARNESS_\w+")
    return {name: value for name, value in environment.items() if not unwanted.fullmatch(name)}


class Trial:
    """A clean environment in which the wheel is tried, and what came of it, in a results file.

    Args:
        name: the results file's name.
        facts: what is known before: Python, installer, what was there first.
        binaries: the environment's folder of commands.
        folder: where the commands run; made, outside of the checkout.
    """

    def __init__(self, name: str, facts: Mapping[str, Any], binaries: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._binaries, self._folder = binaries, folder
        self._environment = {**outside(os.environ), "PATH": os.pathsep.join([str(binaries), os.environ["PATH"]])}
        self._run = store.RunFile(RESULTS, name, KIND, {**facts, "machine": machine.facts()})
        self._before: dict[str, str] = {}
        self.problems: list[str] = []

    def note_what_is_there(self) -> None:
        """Take down the packages that the user has already."""
        self._before = self._installed()

    def installed(self, seconds: float) -> None:
        """The wheel has been installed: check that it is what runs, and that what was there is as it was."""
        now = self._installed()
        versions = {name: what.partition(" ")[0] for name, what in now.items()}
        self._run.note(packages=[f"{name}=={version}" for name, version in sorted(versions.items())])
        changed = [name for name, what in self._before.items() if now.get(name) != what]
        self._add("install", f"changed: {', '.join(changed)}" if changed else "", seconds)
        path = self._python("import cufft_harness; print(cufft_harness.__file__)")
        study = self._python("import importlib.util; print(importlib.util.find_spec('repro') or '')")
        at_home = path.startswith(str(self._binaries.parent)) and not study
        self._add("from the wheel alone", "" if at_home else "the checkout is imported", 0.0)

    def perform(self, step: Step) -> None:
        """Run a command and write down how it went."""
        began = time.monotonic()
        problem = self._problem(step)
        self._add(step.title, problem, time.monotonic() - began)

    def fail(self, reason: str) -> None:
        """Nothing could be tried; the reason in one line."""
        self.problems.append(reason)
        self._run.finish("could not be tested", reason=reason)

    def finish(self) -> None:
        """All commands have been run."""
        self._run.finish()

    def _add(self, step: str, problem: str, seconds: float) -> None:
        verdict = "failed" if problem else "pass"
        self._run.add({"step": step, "verdict": verdict, "seconds": round(seconds, 1), "detail": problem})
        if problem:
            self.problems.append(f"{step}: {problem}")

    def _problem(self, step: Step) -> str:
        """Why a command failed, in one line; empty if it did not."""
        command = [str(self._binaries / step.command[0]), *step.command[1:]]
        log = self._folder / f"{step.title.strip('-')}.log"
        try:
            with log.open("wb") as output:
                done = subprocess.run(
                    command,
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=step.limit,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return f"no end within {step.limit:.0f} s"
        if done.returncode not in step.succeeds:
            lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
            return machine.anonymous(f"exit code {done.returncode}: {lines[-1]}")
        if step.leaves and not (self._folder / step.leaves).is_file():
            return f"{step.leaves} is not there"
        return ""

    def _installed(self) -> dict[str, str]:
        """Each package with its version and a digest of what its files are like."""
        found: dict[str, str] = json.loads(self._python(PACKAGES))
        return found

    def _python(self, code: str) -> str:
        command = [str(self._binaries / "python"), "-c", code]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
