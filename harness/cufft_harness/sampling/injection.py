"""Failures acted out on purpose, so that what happens then can be seen and tested: `--inject`.

Each item is ``KIND`` or ``KIND@EPOCH``. A cuFFT code makes every FFT on the accelerator fail with PyTorch's own words,
as a broken cuFFT does; the other kinds are what a process can do, and strike the first attempt at a sample only. On a
machine without a GPU the CPU stands in for the accelerator.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cufft_harness.errors import UserError

PROCESS_KINDS = ("raise", "hang", "crash", "garbage", "broken-wav")


class RehearsedError(RuntimeError):
    """The error that `raise` raises."""


@dataclass(frozen=True)
class Rehearsal:
    """One failure to act out.

    Attributes:
        kind: a cuFFT code, or one of `PROCESS_KINDS`.
        epoch: the epoch whose sample it strikes; None strikes every one.
    """

    kind: str
    epoch: int | None = None

    @property
    def is_cufft(self) -> bool:
        """Whether it is a cuFFT code."""
        return self.kind.startswith("CUFFT_")


def parse(text: str) -> tuple[Rehearsal, ...]:
    """Read the `inject` setting.

    Raises:
        UserError: an item is neither a cuFFT code nor a known kind, or its epoch is no number.
    """
    items = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, _, epoch = item.partition("@")
        known = kind in PROCESS_KINDS or kind.startswith("CUFFT_")
        if not known or (epoch and not epoch.isdecimal()):
            raise UserError(
                f"cannot inject `{item}`.",
                f"Give a code such as CUFFT_INVALID_SIZE or one of {', '.join(PROCESS_KINDS)}; @EPOCH may follow.",
            )
        items.append(Rehearsal(kind, int(epoch) if epoch else None))
    return tuple(items)


def for_epoch(rehearsals: tuple[Rehearsal, ...], epoch: int) -> str:
    """The failure that strikes the sample of `epoch`; "" for none."""
    return next((item.kind for item in rehearsals if item.epoch in (None, epoch)), "")


@contextmanager
def before_answer(kind: str, target: Path) -> Iterator[None]:
    """Act out a failure of the process around the making of a sample."""
    if kind == "raise":
        raise RehearsedError("rehearsed: an error while sampling")
    if kind == "hang":
        hang_in_native_code()
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    yield
    if kind == "broken-wav":
        size = target.stat().st_size
        os.truncate(target, size // 2)


def hang_in_native_code() -> NoReturn:
    """Sleep in C while holding Python's lock and ignoring SIGTERM: what a call stuck in a driver looks like."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        ctypes.PyDLL(None).sleep(3600)


def garbage() -> bytes:
    """A line that keeps to no protocol."""
    return b"\x00\xff Segmentation fault (core dumped) {\n"
