"""Rows of the matrix as one array job: ``nox -s repro -- --slurm --partition=gpu --gres=gpu:1``.

Every task of the array is `nox -s repro-<torch>` in this checkout, which all nodes see; each writes its results file as
it goes. Rows that are done are left out, so the same command goes on where jobs were lost.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


class NotSubmitted(Exception):
    """sbatch refused; the message is its last line."""


def script(releases: Sequence[str], flags: Sequence[str]) -> str:
    """The job's script: the task's number chooses the release."""
    nox = shlex.join([sys.executable, "-m", "nox", "--non-interactive", "-s"])
    rows = " ".join(map(shlex.quote, releases))
    return (
        "#!/bin/bash\n"
        f"cd {shlex.quote(str(ROOT))}\n"
        f"rows=({rows})\n"
        f'exec {nox} "repro-${{rows[$SLURM_ARRAY_TASK_ID]}}" -- {shlex.join(flags)}\n'
    )


def submit(releases: Sequence[str], flags: Sequence[str], sbatch: Sequence[str]) -> str:
    """Submit the rows that are wanted; the array job's number.

    Args:
        releases: of torch, one a task.
        flags: for `nox -s repro-<torch> --`.
        sbatch: the user's own options of sbatch, such as ``--partition=gpu``.

    Raises:
        NotSubmitted: there is no sbatch, or it said no.
    """
    command = ["sbatch", "--parsable", "--job-name=cufft-repro", f"--array=0-{len(releases) - 1}", *sbatch]
    try:
        finished = subprocess.run(command, input=script(releases, flags), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotSubmitted("there is no sbatch here") from None
    if finished.returncode:
        raise NotSubmitted((finished.stderr.strip().splitlines() or ["sbatch said nothing"])[-1])
    number = re.match(r"\d+", finished.stdout)
    if number is None:
        raise NotSubmitted(f"sbatch printed no job number: {finished.stdout.strip()[:80]}")
    return number.group()
