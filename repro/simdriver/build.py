"""Compile the simulated driver with the system's C compiler."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cufft_harness import processes

SOURCES = Path(__file__).parent / "src"
LIBRARY = "libcuda.so.1"


class CannotBuild(Exception):
    """There is no compiler, or it failed; the message is one line."""


def find_compiler() -> str:
    """$CC, else cc, gcc or clang.

    Raises:
        CannotBuild: none of them is installed.
    """
    for name in filter(None, [os.environ.get("CC"), "cc", "gcc", "clang"]):
        if path := shutil.which(name):
            return path
    raise CannotBuild("no C compiler found (cc, gcc or clang); on Debian or Ubuntu: apt install gcc libc6-dev")


def build(folder: Path, *flags: str) -> Path:
    """Build ``folder/libcuda.so.1``; the folder then goes first on LD_LIBRARY_PATH of what is to be fooled.

    Args:
        folder: gets the library.
        flags: more for the compiler, such as ``-DWITHOUT_DRIVER_VERSION``.

    Raises:
        CannotBuild: no compiler, or it gave an error.
    """
    library = folder / LIBRARY
    command = [find_compiler(), "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags]
    command += ["-Wl,-soname," + LIBRARY, "-o", str(library), *map(str, sorted(SOURCES.glob("*.c")))]
    finished = processes.run(command, timeout_s=120)
    if finished.returncode != 0:
        lines = finished.stderr.strip().splitlines() or ["no message"]
        raise CannotBuild(f"{Path(command[0]).name} failed to build the simulated driver: {lines[0]}")
    return library
