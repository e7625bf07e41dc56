"""Device memory by the CUDA driver's own interface: what an FFT needs, and no more. Standard library only.

Function names, argument types and codes: CUDA driver API, https://docs.nvidia.com/cuda/cuda-driver-api/.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

MEMORY_CODE = 2


class DriverError(RuntimeError):
    """A call of the driver failed; the message names it and its CUresult."""

    def __init__(self, call: str, code: int) -> None:
        self.code = code
        meaning = "CUDA out of memory" if code == MEMORY_CODE else f"CUresult {code}"
        super().__init__(f"{call}: {meaning}")


class Gpu:
    """The primary context of one device, current in this thread: the one that libcufft will use.

    Raises:
        OSError: there is no libcuda.so.1.
        DriverError: no context can be made.
    """

    def __init__(self, ordinal: int) -> None:
        self._cuda = ctypes.CDLL("libcuda.so.1")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), ordinal)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)

    @contextmanager
    def holding(self, values: array[float]) -> Iterator[ctypes.c_void_p]:
        """Device memory with a copy of `values`, for the time of the body."""
        address, (source, count) = ctypes.c_void_p(), values.buffer_info()
        size = ctypes.c_size_t(count * values.itemsize)
        self._call("cuMemAlloc_v2", ctypes.byref(address), size)
        try:
            self._call("cuMemcpyHtoD_v2", address, ctypes.c_void_p(source), size)
            yield address
        finally:
            self._cuda.cuMemFree_v2(address)

    def download(self, address: ctypes.c_void_p, values: array[float]) -> None:
        """Copy from the device to the host, once all work on the device is done."""
        self._call("cuCtxSynchronize")
        target, count = values.buffer_info()
        self._call("cuMemcpyDtoH_v2", ctypes.c_void_p(target), address, ctypes.c_size_t(count * values.itemsize))

    def _call(self, name: str, *arguments: object) -> None:
        if code := int(getattr(self._cuda, name)(*arguments)):
            raise DriverError(name, code)
