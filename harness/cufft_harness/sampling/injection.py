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

from cufft_harness.cufft import FAULTS, CufftResult
from cufft_harness.errors import UserError, did_you_mean

PROCESS_KINDS = ("raise", "hang", "crash", "garbage", "broken-wav")
_KINDS = (*PROCESS_KINDS, *(name for name, fault in FAULTS.items() if isinstance(fault, CufftResult)))


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
        UserError: an item is neither a cuFFT code nor a known kind, its epoch is no number, or has two kinds.
    """
    items: dict[int | None, Rehearsal] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, at, epoch = item.partition("@")
        if at and not (epoch.isdecimal() and int(epoch)):
            raise UserError(f"cannot inject `{item}`: after @ comes the number of an epoch, from 1.", "As in hang@2.")
        if kind not in _KINDS:
            raise UserError(
                f"cannot inject `{item}`.{did_you_mean(kind, _KINDS)}",
                f"Give one of {', '.join(_KINDS)}; @EPOCH may follow.",
            )
        struck = int(epoch) if at else None
        if struck in items:
            where = "every epoch" if struck is None else f"epoch {struck}"
            raise UserError(f"cannot inject both `{items[struck].kind}` and `{kind}` in {where}.", "Give one of them.")
        items[struck] = Rehearsal(kind, struck)
    return tuple(items.values())


def for_epoch(rehearsals: tuple[Rehearsal, ...], epoch: int) -> str:
    """The failure that strikes the sample of `epoch`, one named for it before one for all; "" for none."""
    kinds = {item.epoch: item.kind for item in rehearsals}
    return kinds.get(epoch, kinds.get(None, ""))


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
