"""What may have happened to a GPU before the FFT: little memory left, an out-of-memory error, other threads at work."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import torch

MB = 1 << 20


@contextmanager
def little_memory(free_mb):
    """Take device memory until about `free_mb` MB are left, and keep it.

    It has to be the device's memory, not PyTorch's pool alone: cuFFT and cuBLAS load kernels and tables past the pool.
    """
    taken = []
    torch.cuda.empty_cache()
    while True:
        free, _ = torch.cuda.mem_get_info()
        spare = free - free_mb * MB
        if spare < 4 * MB:
            break
        try:
            taken.append(torch.empty(min(spare, 8 << 30) // MB * MB, dtype=torch.uint8, device="cuda"))
        except torch.cuda.OutOfMemoryError:
            break
    try:
        yield torch.cuda.mem_get_info()[0] // MB
    finally:
        taken.clear()
        torch.cuda.empty_cache()


def out_of_memory():
    """Run out of device memory and recover from it, as a training loop does that halves its batch."""
    _, total = torch.cuda.mem_get_info()
    try:
        torch.empty(2 * total, dtype=torch.uint8, device="cuda")
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return
    raise RuntimeError("twice the device's memory could be allocated: this is no out-of-memory test")


def in_threads(work, count=4):
    """Call ``work(number)`` in `count` threads at once and return the results; the first error is raised."""
    results, errors = [None] * count, []
    start = threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            results[number] = work(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
