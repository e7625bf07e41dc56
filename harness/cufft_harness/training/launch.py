"""`accelerate launch --cpu --num_processes 2` means two processes, and accelerate starts one.

On GPUs it starts all of them itself, by torchrun. On the CPU it starts a single one and expects the others of an MPI
(`accelerate.commands.launch.simple_launcher`), without a word where there is none: every process count but one then
trains alone, on all the data. torchrun can start them here too, with gloo.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from cufft_harness import processes
from cufft_harness.errors import UserError

WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where a launcher that started all processes says how many; the names are accelerate's."""


def start_all_processes() -> None:
    """Become torchrun with as many processes as accelerate was asked for, if it started this one instead of them.

    Raises:
        UserError: it cannot be found out how many were asked for.
    """
    alone = not any(name in os.environ for name in WORLD_SIZES)
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    if not (alone and on_cpu and "MASTER_PORT" in os.environ):  # accelerate sets the port where it means several
        return
    wanted = re.search(r"--num[_-]processes[=\0](\d+)\0", _command_line(os.getppid()))
    if wanted is None:
        raise UserError(
            "accelerate was asked for several processes and started one: on the CPU it needs an MPI for the others.",
            "Use `torchrun --standalone --nproc-per-node N -m cufft_harness train ...` instead.",
        )
    each = processes.python_module("cufft_harness", *sys.argv[1:])
    count = ["--standalone", "--nproc-per-node", wanted[1]]
    torchrun = processes.python_module("torch.distributed.run", *count, "--no-python", *each)
    os.execve(torchrun[0], torchrun, processes.python_environment())  # noqa: S606 - a list, as everywhere


def _command_line(pid: int) -> str:
    """Arguments of a process, each followed by a NUL; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
