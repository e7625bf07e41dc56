"""The conclusion about a machine's FFTs. The exit codes are a contract: programs may rely on them."""

from __future__ import annotations

from enum import Enum


class Status(str, Enum):
    """What an examination came to."""

    HEALTHY = "healthy"
    FALLBACK = "broken-with-fallback"
    BROKEN = "broken"
    NOT_TESTED = "could-not-test"

    def __str__(self) -> str:
        return self.value

    @property
    def exit_code(self) -> int:
        """0 healthy, 3 cuFFT is broken but the GPU is not, 4 broken, 5 there was no GPU to test."""
        return {Status.HEALTHY: 0, Status.FALLBACK: 3, Status.BROKEN: 4, Status.NOT_TESTED: 5}[self]

    @property
    def words(self) -> str:
        """The conclusion in a sentence."""
        return {
            Status.HEALTHY: "cuFFT works on this machine.",
            Status.FALLBACK: "cuFFT is broken, the GPU is not: FFTs by matrix products keep the work on the GPU.",
            Status.BROKEN: "This cannot be used as it is, with or without cuFFT.",
            Status.NOT_TESTED: "cuFFT could not be tested here.",
        }[self]
