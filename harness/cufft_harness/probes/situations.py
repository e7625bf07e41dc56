"""What may have happened to a GPU before the FFT: little memory left, an out-of-memory error, other threads at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

MIB = 1 << 20
_AT_ONCE = 8 << 30
_GRAIN = 4 * MIB

Result = TypeVar("Result")


@contextmanager
def little_memory(device: str, free_bytes: int) -> Iterator[int]:
    """Take device memory until about `free_bytes` are left, for the time of the body.

    It has to be the device's memory, not PyTorch's pool alone: what PyTorch has cached is not free for cuFFT
    (https://github.com/pytorch/pytorch/issues/119420), which loads kernels and tables past the pool.

    Yields:
        bytes that are free then.
    """
    taken: list[torch.Tensor] = []
    torch.cuda.empty_cache()
    while (spare := torch.cuda.mem_get_info(device)[0] - free_bytes) >= _GRAIN:
        try:
            taken.append(torch.empty(min(spare, _AT_ONCE) // MIB * MIB, dtype=torch.uint8, device=device))
        except torch.cuda.OutOfMemoryError:
            break
    try:
        yield torch.cuda.mem_get_info(device)[0]
    finally:
        taken.clear()
        torch.cuda.empty_cache()


def out_of_memory(device: str) -> None:
    """Run out of device memory and recover from it, as a training loop does that halves its batch.

    Raises:
        RuntimeError: the device gave more memory than it has.
    """
    total = torch.cuda.mem_get_info(device)[1]
    try:
        torch.empty(2 * total, dtype=torch.uint8, device=device)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return
    raise RuntimeError("twice the device's memory could be allocated: this is no out-of-memory test")


def in_threads(work: Callable[[int], Result], count: int) -> list[Result]:
    """Call ``work(number)`` in `count` threads at the same moment; their results, or the first one's error."""
    results: dict[int, Result] = {}
    errors: list[Exception] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
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
    return [results[number] for number in range(count)]
