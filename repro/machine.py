"""Facts about the machine, without torch and without anything that names it or its owner."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from typing import Any


def gpu() -> tuple[str, str] | None:
    """(name, CUDA version of the driver such as "13.0") of the first GPU, or None: by the driver itself."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(100)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetName(name, 100, device):
        return None
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return name.value.decode(errors="replace"), f"{version.value // 1000}.{version.value % 1000 // 10}"


def label() -> str:
    """``no-gpu`` or the GPU's name fit for a file name, ``nvidia-h200``."""
    found = gpu()
    return "no-gpu" if found is None else re.sub(r"[^a-z0-9]+", "-", found[0].lower()).strip("-")


def anonymous(text: str) -> str:
    """An error's text in one line, without addresses and without the folders of this machine."""
    text = re.sub(r"\w+://[^\s'\"`)]+", "(address)", " ".join(text.split()))
    return re.sub(r"(?<![\w.])(?:/[\w.+@~-]+)+/(?=[\w.+-])", "", text)[:300]


def facts() -> dict[str, Any]:
    """System, processor, memory, GPU and driver, for a results file."""
    with open("/proc/meminfo") as memory:
        total_kb = int(memory.readline().split()[1])
    found = gpu()
    return {
        "system": f"{platform.system()} {platform.machine()}, glibc {platform.libc_ver()[1]}",
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(total_kb / 1e6),
        "gpu": found[0] if found else None,
        "driver_cuda": found[1] if found else None,
        "driver": _kernel_driver(),
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _kernel_driver() -> str | None:
    try:
        with open("/proc/driver/nvidia/version") as lines:
            found = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", lines.readline())
    except OSError:
        return None
    return found.group(1) if found else None
