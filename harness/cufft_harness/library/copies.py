"""Where copies of libcufft lie, and which of them a program would get. Nothing is loaded here.

The order is the dynamic loader's (ld.so(8)): the RPATH of the library that asks, LD_LIBRARY_PATH, the loader's cache.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cufft_harness import processes
from cufft_harness.driver.system import mapped_libraries
from cufft_harness.errors import UserError

_NAME = re.compile(r"libcufft\.so(\.\d+)*")
_IN_WHEELS = ("nvidia/cufft/lib", "nvidia/cu13/lib", "torch/lib")
_CACHE_LINE = re.compile(r"^\s*libcufft\.so\S* .*=> (?P<path>/.+)$", re.MULTILINE)
_WHERE = "import sysconfig; print(sysconfig.get_path('purelib')); print(sysconfig.get_path('platlib'))"


@dataclass(frozen=True)
class Copy:
    """One libcufft.

    Attributes:
        path: of the file, links resolved.
        found_by: why a program would load this one.
    """

    path: Path
    found_by: str


def at(path: Path) -> Copy:
    """The copy that the user names: a file, or a folder that holds one.

    Raises:
        UserError: there is none.
    """
    files = _in_folder(path) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise UserError(f"no libcufft at {path}.", "Give a file such as /usr/local/cuda/lib64/libcufft.so.11.")
    return Copy(files[0].resolve(), "as given")


def mapped_by(process_id: int) -> list[Copy]:
    """The copies that a running program has loaded.

    Raises:
        UserError: there is no such process, it may not be looked into, or it has loaded none.
    """
    try:
        maps = Path(f"/proc/{process_id}/maps").read_text(errors="replace")
    except OSError as error:
        raise UserError(f"process {process_id} cannot be looked into: {error.strerror}.") from error
    paths = mapped_libraries(maps).get("libcufft", [])
    if not paths:
        raise UserError(
            f"process {process_id} has loaded no libcufft.", "Most programs load it with their first FFT, not before."
        )
    return [Copy(Path(path), f"loaded by process {process_id}") for path in paths]


def found(environ: Mapping[str, str] | None = None, python: str | None = None) -> list[Copy]:
    """All copies on this machine's usual ways, each once, in the order in which programs come upon them.

    Args:
        environ: environment variables; this process's own by default.
        python: the interpreter whose packages are looked through.
    """
    environ = os.environ if environ is None else environ
    copies: dict[Path, Copy] = {}
    for file, reason in _candidates(environ, python):
        path = file.resolve()
        copies.setdefault(path, Copy(path, reason))
    return list(copies.values())


def _candidates(environ: Mapping[str, str], python: str | None) -> Iterator[tuple[Path, str]]:
    for site in _site_packages(python):
        for folder in _IN_WHEELS:
            for file in _in_folder(site / folder):
                yield file, "a package of this Python: wheels of PyTorch, JAX and CuPy load it by its place (RPATH)"
    for entry in filter(None, environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)):
        for file in _in_folder(Path(entry)):
            yield file, f"LD_LIBRARY_PATH names {entry}, which comes before the system's own"
    if prefix := environ.get("CONDA_PREFIX"):
        for file in _in_folder(Path(prefix, "lib")):
            yield file, "the active conda environment: its programs load it by its place (RPATH)"
    for path in _loader_cache():
        yield path, "the loader's cache (ldconfig): what a program gets that names no place"
    roots = [environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    for root in [*map(Path, filter(None, roots)), *sorted(Path("/usr/local").glob("cuda*"), reverse=True)]:
        for folder in ("lib64", "targets/x86_64-linux/lib"):
            for file in _in_folder(root / folder):
                yield file, f"a CUDA toolkit in {root}: what programs compiled with it load"


def _site_packages(python: str | None) -> list[Path]:
    """Folders of installed packages of an interpreter; empty where it cannot be asked."""
    if python is None:
        import sysconfig

        return [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    finished = processes.run([python, "-I", "-c", _WHERE], timeout_s=20)
    return [Path(line) for line in finished.stdout.splitlines()] if finished.returncode == 0 else []


def _loader_cache() -> list[Path]:
    command = shutil.which("ldconfig", path=os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"]))
    if command is None:
        return []
    listing = processes.run([command, "-p"], timeout_s=10).stdout
    return [Path(match["path"]) for match in _CACHE_LINE.finditer(listing)]


def _in_folder(folder: Path) -> list[Path]:
    """Files and links that are libcufft (not libcufftw), the shortest name first: the one that programs ask for."""
    try:
        names = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
    except OSError:
        return []
    versioned = [path for path in names if path.name != "libcufft.so"] or names
    return sorted(versioned, key=lambda path: (len(path.name), path.name))
