"""Speed and error of the matrix-product transforms beside the device's FFT library, length by length.

    python -m repro.benchmarks.fft_table --device cpu --output repro/results/fft-cpu.json

Both are timed in turn in the same loop, and the fastest run of each counts, so that another load on the machine meets
both. Errors are relative (Euclidean norm) to the same transform in float64 on the CPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from cufft_harness.fft import bypass
from torch import Tensor

from repro.store import RunFile

SECONDS_OF_SPEECH = 10
# (n_fft, hop_length, sample rate): Whisper and Kaldi, XTTS's speaker encoder, and the mels of TTS training
SPEECH = [(400, 160, 16000), (512, 160, 16000), (1024, 256, 22050), (1200, 300, 24000), (2048, 512, 22050)]
SPEECH += [(2048, 256, 22050), (4096, 1024, 44100)]
LENGTHS = [256, 400, 512, 1000, 1009, 1024, 2018, 2048, 4096, 4099, 16384, 65536, 2**20]
POINTS = 2**19  # of each r2c, c2r and c2c measurement, over as many rows as fit


def measure(device: str, repeats: int) -> list[dict[str, object]]:
    """All rows of the table; speech first."""
    rows = []
    for n_fft, hop_length, rate in SPEECH:
        x = _noise((1, SECONDS_OF_SPEECH * rate), device)

        def stft(signal: Tensor, n_fft: int = n_fft, hop_length: int = hop_length) -> Tensor:
            window = torch.hann_window(n_fft, dtype=signal.dtype, device=signal.device)
            return torch.stft(signal, n_fft, hop_length, window=window, return_complex=True)

        rows.append({"n": n_fft, "kind": "stft", "hop_length": hop_length, "rate": rate, **_compare(stft, x, repeats)})
    for n in LENGTHS:
        x = _noise((max(1, POINTS // n), n), device)
        spectrum = torch.complex(x, x.flip(1))
        half = torch.fft.rfft(x.cpu()).to(device)
        for kind, function, operand in (
            ("r2c", torch.fft.rfft, x),
            ("c2r", lambda t, n=n: torch.fft.irfft(t, n=n), half),
            ("c2c", torch.fft.fft, spectrum),
        ):
            rows.append({"n": n, "kind": kind, "rows": x.shape[0], **_compare(function, operand, repeats)})
    return rows


def _compare(function: Callable[[Tensor], Tensor], x: Tensor, repeats: int) -> dict[str, float]:
    reference = function(x.cpu().to(torch.complex128 if x.is_complex() else torch.float64))
    native = function(x)
    with bypass(x.device):
        products = function(x)
    native_seconds = products_seconds = float("inf")
    for _ in range(repeats):
        native_seconds = min(native_seconds, _seconds(function, x))
        with bypass(x.device):
            products_seconds = min(products_seconds, _seconds(function, x))
    return {
        "native_seconds": native_seconds,
        "products_seconds": products_seconds,
        "ratio": products_seconds / native_seconds,
        "native_error": _error(native, reference),
        "products_error": _error(products, reference),
    }


def _seconds(function: Callable[[Tensor], Tensor], x: Tensor) -> float:
    _wait(x.device.type)
    began = time.perf_counter()
    function(x)
    _wait(x.device.type)
    return time.perf_counter() - began


def _error(result: Tensor, reference: Tensor) -> float:
    difference = result.cpu().to(reference.dtype) - reference
    return float(torch.linalg.vector_norm(difference) / torch.linalg.vector_norm(reference))


def _noise(shape: tuple[int, ...], device: str) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Write the table as a results file, which the report shows."""
    parser = argparse.ArgumentParser(description="Speed and error of the transforms by matrix products.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    facts = {"torch": torch.__version__, "device": arguments.device, "threads": arguments.threads}
    run = RunFile(arguments.output.parent, arguments.output.stem, "benchmark", describe(facts))
    run.extend(measure(arguments.device, arguments.repeats))
    run.finish()


def describe(facts: dict[str, object]) -> dict[str, object]:
    """What the report prints over the table: title, note and the columns' headings."""
    where = f"{facts['device']}, torch {facts['torch']}" + (
        f", {facts['threads']} thread(s)" if facts["device"] == "cpu" else ""
    )
    columns = {
        "kind": "transform",
        "n": "n",
        "native_seconds": "library, s",
        "products_seconds": "products, s",
        "ratio": "products / library",
        "native_error": "library's error",
        "products_error": "products' error",
    }
    note = f"On {where}. Errors are relative to float64."
    return {"title": f"FFT by matrix products ({facts['device']})", "note": note, "columns": columns, **facts}


if __name__ == "__main__":
    main()
