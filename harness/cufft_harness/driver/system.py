"""What the system shows without touching libcuda: kernel module, container, mounts, variables, installed packages."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# The libraries whose origin decides: the driver's, and those of the toolkit that PyTorch brings.
_CUDA_LIBRARY = re.compile(
    r"/(lib(?:cufftw?|nvJitLink|cudart|cuda|nvidia-[\w-]+|cublas(?:Lt)?|cusparse|nvrtc|cudnn|amdhip64|hipfft|zluda\w*))\.so[\w.\-]*$"
)
_JIT_VARIABLES = (
    "CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT", "CUDA_FORCE_PTX_JIT", "CUDA_FORCE_JIT", "CUDA_CACHE_DISABLE",
    "CUDA_CACHE_PATH", "CUDA_MODULE_LOADING",
)  # fmt: skip
_OTHER_VARIABLES = (
    "LD_LIBRARY_PATH", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "CUDA_LAUNCH_BLOCKING", "PYTORCH_CUDA_ALLOC_CONF", "HSA_OVERRIDE_GFX_VERSION", "HIP_VISIBLE_DEVICES", "ZLUDA_PATH",
)  # fmt: skip
_MODULE = re.compile(r"Kernel Module(?: for \S+)?\s+(\d{3}(?:\.\d{1,3}){1,2})")
_DRIVER_FILE = re.compile(r"lib(?:cuda|nvidia-|nvcuvid)")


@dataclass(frozen=True)
class SystemReport:
    """Facts that need no CUDA call.

    Attributes:
        kernel_module: version of the NVIDIA kernel module, None without one.
        container: ``docker``, ``podman``, ``lxc``, ``kubernetes``, ``wsl`` or None.
        driver_mounts: driver libraries that are mounted one by one into this container.
        variables: those set of the environment variables that matter.
        torch: installed PyTorch, as its package metadata says; None if it is not installed.
        pinned_cufft: the cuFFT version this PyTorch asks for; None if it carries cuFFT inside or asks for none.
    """

    kernel_module: str | None = None
    container: str | None = None
    driver_mounts: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    torch: str | None = None
    pinned_cufft: str | None = None

    @property
    def jit_disabled_by(self) -> str | None:
        """The variable that switches the JIT compiler off, if one does."""
        off = ("CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT")
        return next((name for name, value in self.variables if name in off and value not in ("", "0")), None)


def read_system(
    root: Path = Path("/"), environ: Mapping[str, str] | None = None, path: Sequence[str] | None = None
) -> SystemReport:
    """Read the system under `root` (another one in tests), the environment variables, and what is installed on `path`.

    Args:
        root: directory that `proc` lies in.
        environ: by default this process's.
        path: where the Python in question looks for packages; by default this one's.
    """
    environ = os.environ if environ is None else environ
    mounts = _read(root / "proc/self/mountinfo")
    names = (*_JIT_VARIABLES, *_OTHER_VARIABLES)
    torch, cufft = _installed(sys.path if path is None else path)
    module = _MODULE.search(_read(root / "proc/driver/nvidia/version"))
    return SystemReport(
        kernel_module=module.group(1) if module else None,
        container=_container(root, mounts),
        driver_mounts=_driver_mounts(mounts),
        variables=tuple((name, environ[name]) for name in names if environ.get(name)),
        torch=torch,
        pinned_cufft=cufft,
    )


def mapped_libraries(maps: str | None = None) -> dict[str, list[str]]:
    """CUDA libraries mapped into this process, by name without version: ``{"libcufft": ["/path/libcufft.so.11"]}``.

    Args:
        maps: text in the form of /proc/PID/maps; by default this process's own.
    """
    text = _read(Path("/proc/self/maps")) if maps is None else maps
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        path = line.split(maxsplit=5)[-1]
        match = _CUDA_LIBRARY.search(path)
        if match and path not in found.setdefault(match.group(1), []):
            found[match.group(1)].append(path)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _container(root: Path, mounts: str) -> str | None:
    """The kind of container, by the marks each leaves."""
    if "microsoft" in _read(root / "proc/sys/kernel/osrelease").lower():
        return "wsl"
    cgroup = _read(root / "proc/self/cgroup") + _read(root / "proc/1/cgroup")
    systemd = _read(root / "run/systemd/container").strip() + _read(root / "proc/1/environ").replace("\0", "\n")
    if "lxc" in systemd or "/lxc" in cgroup or " - fuse.lxcfs " in mounts:
        return "lxc"
    if "kubepods" in cgroup:
        return "kubernetes"
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists() or "docker" in cgroup:
        return "docker"
    return None


def _driver_mounts(mounts: str) -> tuple[str, ...]:
    """Mount points that are single driver libraries; the fifth field of a mountinfo line is the mount point."""
    points = (line.split()[4] for line in mounts.splitlines() if len(line.split()) > 4)
    return tuple(sorted({Path(point).name for point in points if _DRIVER_FILE.match(Path(point).name)}))


def _installed(path: Sequence[str]) -> tuple[str | None, str | None]:
    """PyTorch's version and its pin of cuFFT, from package metadata: nothing is imported."""
    torch = _distribution("torch", path)
    if torch is None:
        return None, None
    # Since 2.11 the pins come through the package cuda-toolkit.
    for package in filter(None, (torch, _distribution("cuda-toolkit", path))):
        for requirement in package.requires or []:
            match = re.match(r"nvidia-cufft(?:-cu\d\d)?\s*\(?==\s*(\d+(?:\.\d+)*)", requirement)
            if match:
                return torch.version, match.group(1)
    return torch.version, None


def _distribution(name: str, path: Sequence[str]) -> metadata.Distribution | None:
    return next(iter(metadata.distributions(name=name, path=list(path))), None)
