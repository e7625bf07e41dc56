"""`python -m repro.benchmarks`: the sides of every goal beside each other, as results files for the report.

python -m repro.benchmarks --size full --device cpu --output repro/results
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from repro import machine
from repro.benchmarks import flow, model, quality, sample, step
from repro.benchmarks.pairs import COLUMNS
from repro.store import RunFile

NEEDED_GB = {"tiny": 2, "full": 10}
Measure = Callable[[Path, Path], Iterator[dict[str, object]]]


def main() -> int:
    """Measure what was asked for; what has a complete results file is left out unless `--again`."""
    given = _arguments()
    free = shutil.disk_usage(tempfile.gettempdir() if given.work is None else given.work.parent).free / 1e9
    if free < NEEDED_GB[given.size]:
        print(f"{free:.0f} GB of disk free, {NEEDED_GB[given.size]} GB needed for the {given.size} model")
        return 1
    # coqui's trainer package sets one thread when it is imported; the sides that are processes read the variable
    threads = given.threads or int(os.environ.get("OMP_NUM_THREADS", "0")) or len(os.sched_getaffinity(0))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        work = given.work or Path(temporary)
        measures = _measures(given)
        wanted = given.only.split(",") if given.only else list(measures)
        for name in wanted:
            _write(given, name, *measures[name], work)
    return 0


def _measures(given: argparse.Namespace) -> dict[str, tuple[str, str, Measure]]:
    """Name -> title, note, and what yields the rows."""
    tokens, device, size, repeats = given.tokens, given.device, given.size, given.repeats
    return {
        "sample": (
            f"A sample of {tokens} audio codes: stock TTS, a new model each time, against the warm worker",
            "The worker's load is the hand-over of a checkpoint's weights, its condition includes the probe.",
            lambda directory, work: sample.measure(directory, work, device, tokens, repeats),
        ),
        "quality": (
            "What the fast path of the CPU tier costs in exactness",
            "Teacher-forced: both paths are given the same codes.",
            lambda directory, work: quality.measure(directory, tokens),
        ),
        "flow": (
            "The original's synchronous flow against training beside the worker",
            "Each side in a process of its own, in turn.",
            lambda directory, work: flow.measure(directory, work, device, tokens, max(1, repeats - 1)),
        ),
        "step": (
            "A training step: coqui's GPTTrainer against this project",
            "Both warm, in turn, in one process.",
            lambda directory, work: step.measure(directory, work, device, size, repeats),
        ),
    }


def _write(given: argparse.Namespace, name: str, title: str, note: str, measure: Measure, work: Path) -> None:
    """One results file."""
    file = f"bench-{name}-{given.size}-{given.device}"
    if (given.output / f"{file}.json").exists() and not given.again:
        print(f"{file}: done before, left out (--again measures it again)")
        return
    facts = machine.facts()
    where = facts["gpu"] if given.device == "cuda" else f"{facts['processor']}, {torch.get_num_threads()} thread(s)"
    # both sides of a pair meet another load alike, but a reader should know of it
    others = f"load average {os.getloadavg()[0]:.1f} before the start"
    columns = {"what": "what", "value": "value", "unit": "unit"} if name == "quality" else COLUMNS
    run = RunFile(
        given.output,
        file,
        "benchmark",
        {
            "title": f"{title} ({given.size}-size model, {given.device})",
            "note": f"On {where}, torch {torch.__version__}, random weights; {others}. {note}",
            "columns": columns,
            "size": given.size,
            "device": given.device,
            "machine": facts,
        },
    )
    for row in measure(model.prepare(work, given.size), work):
        run.add(row)
        print({key: value for key, value in row.items() if value not in ("", None)}, flush=True)
    run.finish()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m repro.benchmarks", description=__doc__)
    parser.add_argument("--size", choices=list(model.SIZES), default="tiny", help="full: 8 GB of memory and 10 of disk")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", help="sample, quality, flow, step; several with commas (default: all)")
    parser.add_argument("--tokens", type=int, default=40, help="audio codes of a sample, 21.5 a second")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of each comparison")
    parser.add_argument("--threads", type=int, help="of the CPU (default: OMP_NUM_THREADS, or one a core)")
    parser.add_argument("--output", type=Path, default=Path("repro/results"), help="folder of the results files")
    parser.add_argument("--work", type=Path, help="where models are kept for the next time (default: removed)")
    parser.add_argument("--again", action="store_true", help="measure what has a results file, too")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
