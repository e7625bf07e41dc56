"""The child that calls libcuda: ``python -m cufft_harness.driver.child RESULT``.

Each step appends one JSON line to RESULT before the next begins, so that whatever ends this process, what it learned
survives, and so does the name of the step it died in. Standard library only; libcuda's own interface by ctypes.
Function names, argument types and codes: CUDA driver API, https://docs.nvidia.com/cuda/cuda-driver-api/.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

WINDOWS = sys.platform == "win32"
LIBCUDA = "nvcuda.dll" if WINDOWS else "libcuda.so.1"
JIT_LIBRARY = "libnvidia-ptxjitcompiler.so.1"
# The smallest kernel there is, for the oldest virtual architecture that CUDA 13 still knows, or for older GPUs the one
# that every driver for them knows. PTX ISA 6.3 came with CUDA 10, so no driver in use is too old for it.
TINY_PTX = ".version 6.3\n.target {target}\n.address_size 64\n.visible .entry probe() {{ ret; }}\n"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


class Writer:
    """Appends one JSON line per step, flushed to the kernel at once."""

    def __init__(self, path: str) -> None:
        self._stream = open(path, "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115 (lives as long as the process)

    def __call__(self, step: str, **values: Any) -> None:
        """Write what `step` gave."""
        self._stream.write(json.dumps({"step": step, **values}) + "\n")


def step(write: Writer, name: str, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run one step: announce it, do it, write what it gave or the error it raised."""
    write("begin", name=name)
    try:
        values = action()
    except (OSError, AttributeError, ValueError) as error:
        values = {"error": str(error)[:300]}
    write(name, **values)
    return values


def main(path: str) -> None:
    """All steps, in the order in which they depend on each other."""
    write = Writer(path)
    if not WINDOWS:  # there it lies in a folder of the driver's own, with a version in its name
        step(write, "jit_library", lambda: {"loaded": bool(ctypes.CDLL(JIT_LIBRARY))})
    libraries: list[ctypes.CDLL] = []

    def load() -> dict[str, Any]:
        libraries.append(ctypes.CDLL(LIBCUDA))
        return {"loaded": True}

    if not step(write, "load", load).get("loaded"):
        return
    cuda = libraries[0]
    step(write, "version", lambda: _driver_version(cuda))
    if step(write, "init", lambda: {"code": int(cuda.cuInit(0))}).get("code") == 0:
        devices = step(write, "devices", lambda: _devices(cuda)).get("devices", [])
        if devices:
            step(write, "ptx", lambda: _load_ptx(cuda, devices[0]["capability"]))
    step(write, "maps", _maps)
    write("end")


def _driver_version(cuda: ctypes.CDLL) -> dict[str, Any]:
    value = ctypes.c_int()
    code = int(cuda.cuDriverGetVersion(ctypes.byref(value)))
    return {"code": code, "version": value.value}


def _devices(cuda: ctypes.CDLL) -> dict[str, Any]:
    count = ctypes.c_int()
    code = int(cuda.cuDeviceGetCount(ctypes.byref(count)))
    devices = []
    for index in range(count.value if code == 0 else 0):
        handle, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        name = ctypes.create_string_buffer(256)
        memory = ctypes.c_size_t()
        uuid = (ctypes.c_ubyte * 16)()
        cuda.cuDeviceGet(ctypes.byref(handle), index)
        cuda.cuDeviceGetName(name, len(name), handle)
        cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, handle)
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, handle)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
        cuda.cuDeviceGetUuid(uuid, handle)
        devices.append(
            {
                "name": name.value.decode(errors="replace"),
                "capability": [major.value, minor.value],
                "memory": memory.value,
                "uuid": _uuid_text(bytes(uuid)),
            }
        )
    return {"code": code, "devices": devices}


def _uuid_text(uuid: bytes) -> str:
    """As nvidia-smi writes it: GPU-8f1c…"""
    digits = uuid.hex()
    return "GPU-" + "-".join(digits[begin:end] for begin, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def _load_ptx(cuda: ctypes.CDLL, capability: list[int]) -> dict[str, Any]:
    """Compile `TINY_PTX`; the caller has switched the compute cache off, so no earlier success hides a failure."""
    handle, context, module = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    cuda.cuDeviceGet(ctypes.byref(handle), 0)
    code = int(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), handle))
    if code:
        return {"context_code": code}
    cuda.cuCtxSetCurrent(context)
    ptx = TINY_PTX.format(target="sm_75" if capability >= [7, 5] else "sm_50")
    code = int(cuda.cuModuleLoadData(ctypes.byref(module), ptx.encode()))
    if code == 0:
        cuda.cuModuleUnload(module)
    return {"code": code}


def _maps() -> dict[str, Any]:
    from cufft_harness.driver.system import mapped_libraries

    return {"libraries": mapped_libraries()}


if __name__ == "__main__":
    main(sys.argv[1])
