"""The libcufft that this environment's torch brings, found without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

DISTRIBUTIONS = ("nvidia-cufft", "nvidia-cufft-cu12", "nvidia-cufft-cu11")


@dataclass(frozen=True)
class Library:
    """An installed cuFFT.

    Attributes:
        version: of the wheel, such as 11.3.3.83: finer than `cufftGetVersion`.
    """

    distribution: str
    version: str
    path: Path


def installed() -> Library | None:
    """The installed cuFFT; None where torch is a CPU build and brings none."""
    for name in DISTRIBUTIONS:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for file in distribution.files or []:
            if file.name.startswith("libcufft.so."):
                return Library(name, distribution.version, Path(str(distribution.locate_file(file))).resolve())
    return None
