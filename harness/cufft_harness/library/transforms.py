"""The transforms that are tried with a bare libcufft, and what they should give: sums over some frequencies.

Standard library only, and no FFT: the reference of a bin is the transform's definition, X[k] = sum over t of
x[t] exp(-2 pi i k t / n). Only some bins of two rows are summed: a wrong plan does not spare just those.
"""

from __future__ import annotations

import cmath
import random
from array import array
from dataclasses import dataclass

BINS = 12


@dataclass(frozen=True)
class Transform:
    """`batch` rows of `length` points, dense.

    Attributes:
        name: of its probe.
        title: one line for the table.
        kind: "r2c" (float32), "c2c" (complex64, forward) or "d2z" (float64).
        length: points of a row.
    """

    name: str
    title: str
    kind: str
    length: int
    batch: int = 16

    @property
    def real(self) -> bool:
        """Real signals, of whose spectrum the first half is computed."""
        return self.kind != "c2c"

    @property
    def type_code(self) -> str:
        """Of the array that holds the numbers: single or double precision."""
        return "d" if self.kind == "d2z" else "f"

    @property
    def bins(self) -> int:
        """Complex numbers of a row of the spectrum."""
        return self.length // 2 + 1 if self.real else self.length

    @property
    def tolerance(self) -> float:
        """Largest accepted deviation, relative to the largest of the reference: 100 roundings and more."""
        return 1e-10 if self.kind == "d2z" else 1e-4

    def signal(self) -> array[float]:
        """White noise; complex numbers are pairs."""
        noise = random.Random(self.length)
        count = self.batch * self.length * (1 if self.real else 2)
        return array(self.type_code, (noise.uniform(-1, 1) for _ in range(count)))

    def spectrum(self) -> array[float]:
        """Room for the result; NaN, so that numbers that were never written are not taken for zeros."""
        return array(self.type_code, [float("nan")]) * (2 * self.batch * self.bins)

    def relative_error(self, signal: array[float], spectrum: array[float]) -> float:
        """The largest deviation at the bins that are summed; infinite if one is not finite."""
        chosen = sorted({0, 1, self.bins - 1, *random.Random(0).sample(range(self.bins), min(BINS, self.bins))})
        deviation = largest = 0.0
        for row in {0, self.batch - 1}:
            points = self._row(signal, row)
            for k in chosen:
                exact = sum(x * cmath.exp(-2j * cmath.pi * (k * t % self.length) / self.length) for t, x in points)
                place = 2 * (row * self.bins + k)
                error = abs(complex(spectrum[place], spectrum[place + 1]) - exact)
                if error != error:
                    return float("inf")
                deviation, largest = max(deviation, error), max(largest, abs(exact))
        return deviation / largest

    def _row(self, signal: array[float], row: int) -> list[tuple[int, complex]]:
        if self.real:
            begin = row * self.length
            return list(enumerate(map(complex, signal[begin : begin + self.length])))
        begin = 2 * row * self.length
        pairs = signal[begin : begin + 2 * self.length]
        return [(t, complex(pairs[2 * t], pairs[2 * t + 1])) for t in range(self.length)]


TRANSFORMS = (
    Transform("library_512", "cuFFT alone: 512 points, real", "r2c", 512),
    Transform("library_400", "cuFFT alone: 400 points, real", "r2c", 400),
    Transform("library_1024", "cuFFT alone: 1024 points, real", "r2c", 1024),
    Transform("library_2048", "cuFFT alone: 2048 points, real", "r2c", 2048),
    Transform("library_4096", "cuFFT alone: 4096 points, real", "r2c", 4096),
    Transform("library_complex", "cuFFT alone: 512 points, complex", "c2c", 512),
    Transform("library_double", "cuFFT alone: 512 points, real, double precision", "d2z", 512),
    Transform("library_prime", "cuFFT alone: 1009 points, real", "r2c", 1009),
)
