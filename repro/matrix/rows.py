"""The rows of versions.toml: what to install for each, what its results are called, which are done. No torch here."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from repro import machine, store

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results"
VERSIONS = tomllib.loads((FOLDER / "versions.toml").read_text())
ROWS = {row["torch"]: row for row in VERSIONS["row"]}
# One environment takes 5 to 6.5 GB. With less than CACHE_GB free, a row's packages go into a cache that is removed with
# the environment, so that the whole matrix needs no more disk than one row; with more, uv keeps them for the next time.
ROW_GB, CACHE_GB = 8, 40
NO_EXTENSION = (
    "import importlib.util, pathlib;"
    "folder = pathlib.Path(importlib.util.find_spec('torchaudio').origin).parent / 'lib';"
    "[file.unlink() for file in folder.glob('_torchaudio*.so')]"
)


@dataclass(frozen=True)
class Options:
    """What may follow ``nox -s repro-2.8.0 --``."""

    cufft: str | None = None
    gpu_only: bool = False
    no_tts: bool = False
    keep: bool = False
    again: bool = False
    pytest: tuple[str, ...] = ()

    def as_arguments(self) -> list[str]:
        """The options as they were written."""
        flags = [
            f"--{name.replace('_', '-')}" for name in ("gpu_only", "no_tts", "keep", "again") if getattr(self, name)
        ]
        return [*(["--cufft", self.cufft] if self.cufft else []), *flags, *self.pytest]


def options(arguments: list[str]) -> Options:
    """Read the words after ``--``; what is not known here is pytest's."""
    parser = argparse.ArgumentParser(
        prog="nox -s repro-<torch> --", description="More is handed to pytest, such as -k."
    )
    parser.add_argument("--cufft", metavar="X", help="put this version of the cuFFT wheel in the place of torch's own")
    parser.add_argument("--gpu-only", action="store_true", help="only what runs on a GPU")
    parser.add_argument("--no-tts", action="store_true", help="without XTTS: torch, numpy and pytest alone")
    parser.add_argument("--keep", action="store_true", help="keep the environment (5 to 6 GB)")
    parser.add_argument("--again", action="store_true", help="with `repro`: run rows that are done, too")
    known, rest = parser.parse_known_args(arguments)
    return Options(**vars(known), pytest=tuple(rest))


def run_name(torch: str, chosen: Options) -> str:
    """The results file's name: release, swapped cuFFT, machine, what was left out."""
    parts = [f"torch-{torch}", f"cufft-{chosen.cufft}" if chosen.cufft else "", machine.label()]
    parts += ["gpu-only" if chosen.gpu_only else "", "no-tts" if chosen.no_tts else ""]
    return "_".join(filter(None, parts))


def is_done(torch: str, chosen: Options) -> bool:
    """Whether this machine's results for the row are there and complete."""
    path = RESULTS / f"{run_name(torch, chosen)}.json"
    try:
        return path.exists() and store.read(path).status == "complete"
    except ValueError:
        return False  # not usable: the row is run again


def packages(row: dict[str, Any], chosen: Options) -> list[str]:
    """What is installed, in one go so that one resolution sees all of it."""
    names = [f"torch=={row['torch']}", f"numpy{row['numpy']}", "pytest>=8"]
    if not chosen.no_tts:
        names += [f"torchaudio=={row['torchaudio']}", row["tts"], f"transformers=={row['transformers']}", *row["extra"]]
    return names


def swapped_cufft(row: dict[str, Any], version: str) -> str:
    """The requirement that replaces torch's own cuFFT; only a version of the same CUDA major has the same soname.

    Raises:
        ValueError: the version is of another major.
    """
    own = row["cufft"]["version"]
    if version.partition(".")[0] != own.partition(".")[0]:
        raise ValueError(
            f"torch {row['torch']} was built for cuFFT {own.partition('.')[0]}.x and cannot load {version}"
        )
    return f"{row['cufft']['distribution']}=={version}"


def free_gb() -> float:
    """Free space where the environments go."""
    return shutil.disk_usage(FOLDER).free / 1e9


def record_failure(torch: str, chosen: Options, reason: str) -> None:
    """Leave a results file that says why the row could not be tested, unless a complete one is there already."""
    if not is_done(torch, chosen):
        facts = {"row": ROWS_AS_JSON[torch], "options": vars(chosen), "machine": machine.facts()}
        store.RunFile(RESULTS, run_name(torch, chosen), "repro", facts).finish("could not be tested", reason=reason)


ROWS_AS_JSON = {torch: {**row, "released": str(row["released"])} for torch, row in ROWS.items()}


def reason_of(log: str) -> str:
    """What went wrong, from an installer's output: its error, and what it says that caused it."""
    lines = [line.strip(" ×╰─▶├│") for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(error|warning: failed|no solution)\b", line, re.IGNORECASE)]
    causes = [line for line in lines if line.lower().startswith(("because", "cause"))]
    return machine.anonymous(" ".join([*errors[:1], *causes[-1:]]) or (lines or ["the installer said nothing"])[-1])
