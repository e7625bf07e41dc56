"""`nox -s endurance`: one long run of the tiny model, watched from outside, and what of it grows.

    python -m repro.kills.endurance --epochs 300 --results repro/results

The run is the real command in a process of its own, with the real worker. At the end of each epoch memory, open files
and threads of both are read from /proc, and the sizes of the files that get longer are taken. Exit status 1 if
something grows that should not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from cufft_harness import processes
from cufft_harness.files import PARTIAL, read_json_lines
from scipy import stats

from repro.kills.rounds import flags
from repro.store import RunFile

COLUMNS = {"what": "what", "first": "first third", "last": "last third", "growth": "growth", "verdict": "verdict"}
FLAT, GROWS, UNCLEAR, DESIGN = "flat", "grows", "not settled", "by design"
NO_HIGHER, ALL, LOST = "no higher than in the first third", "all accounted for", "lost"
EPOCH_LIMIT = 20.0
"""Seconds an epoch may take on average; after that many for each the run is ended."""
BLOCKS = 10
"""Neighbouring epochs are alike (what malloc holds, it holds), so a line is fitted to medians of so many blocks."""
TOLERATED_KIB = 16.0
"""KiB an epoch that are no leak: the trainer keeps each epoch's losses and each sample's record."""
TOLERATED_TIME = 1.15
BY_DESIGN = {
    "manifest": "a line a sample",
    "train.log": "rotated at 10 MiB, three older ones kept",
    "sampler.log": "put aside at 10 MiB, one older one kept",
    "tensorboard": "three values a step, five and a sample an epoch",
    "checkpoints": "each epoch's losses in every file kept",
    "samples": "two WAV files an epoch, and each best one's",
}
"""Files that get longer with the run, and why."""
_EPOCH = re.compile(r" epoch (\d+)/\d+: loss ")

Numbers = list[float]
Row = dict[str, Any]


@dataclass
class Series:
    """What was seen at the end of each epoch; lists of one number an epoch.

    Attributes:
        seconds: since the end of the epoch before; 0 for the first.
        trainer: "memory" (resident, not shared with files; KiB), "handles", "threads", and "processor" (seconds used
            since it began).
        worker: the same of the worker; of the one before while there is none.
        files: KiB of what gets longer.
        lines: what the run printed.
        workers: how many there were.
    """

    seconds: Numbers = field(default_factory=list)
    trainer: dict[str, Numbers] = field(default_factory=dict)
    worker: dict[str, Numbers] = field(default_factory=dict)
    files: dict[str, Numbers] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    workers: set[int] = field(default_factory=set)


def main() -> int:
    """Read the arguments, watch the run, write the results."""
    parser = argparse.ArgumentParser(prog="python -m repro.kills.endurance", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--epochs", type=int, default=300, help="Length of the run, 150 at least: memory settles in the first hundred."
    )
    parser.add_argument("--take-turns", default="always", help="`always` makes every sample; `never` drops some.")
    parser.add_argument("--results", type=Path, help="Folder for the results file.")
    arguments = parser.parse_args()
    if arguments.epochs < 150:
        parser.error("too short to tell growth from warming up; 150 epochs at least.")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="endurance-") as name:
        output, temporary = Path(name) / "output", Path(name) / "temporary"
        more = [f"--num-epochs={arguments.epochs}", f"--take-turns={arguments.take_turns}"]
        series = watch(flags(Path("tiny"), output, *more), output, temporary, EPOCH_LIMIT * arguments.epochs)
        rows = [*judge(series), *left_behind(output, temporary), accounted_for(output, arguments.epochs)]
    for row in rows:
        sys.stdout.write(f"{row['verdict']:>11}  {row['what']}: {row['first']} -> {row['last']}; {row['growth']}\n")
    if arguments.results:
        _write(arguments.results, arguments, series, rows, (time.monotonic() - began) / 60)
    return 1 if any(row["verdict"] in (GROWS, LOST) for row in rows) else 0


def watch(command: Sequence[str], output: Path, temporary: Path, time_limit: float) -> Series:
    """Run `cufft-harness train` to its end and look at it once an epoch.

    Args:
        command: its flags.
        output: what they name as output.
        temporary: a new folder for the run's temporary files.
        time_limit: seconds after which the run is ended.

    Raises:
        RuntimeError: the run failed or took too long.
    """
    temporary.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(temporary)}
    series = Series()
    run = processes.start(
        [sys.executable, "-u", "-m", "cufft_harness", "train", *command], env=environment, stderr=subprocess.STDOUT
    )
    limit = threading.Timer(time_limit, processes.end, [run])
    limit.start()
    try:
        trainer, before = psutil.Process(run.pid), 0.0
        assert run.stdout is not None
        for raw in run.stdout:
            line = raw.decode(errors="replace").rstrip()
            series.lines.append(line)
            if _EPOCH.search(line):
                now = time.monotonic()
                series.seconds.append(round(now - before, 4) if before else 0.0)
                _look(trainer, output, series)
                before = now
                if len(series.seconds) % 25 == 0:
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.flush()
        if status := run.wait(60):
            raise RuntimeError(f"the run ended with {status}: {series.lines[-1]}")
    finally:
        limit.cancel()
        processes.end(run)
    return series


def _look(trainer: psutil.Process, output: Path, series: Series) -> None:
    """Take all the numbers of this moment."""
    _measure(trainer, series.trainer)
    worker = next((child for child in trainer.children() if "cufft_harness.sampling" in child.cmdline()), None)
    if worker is not None:
        series.workers.add(worker.pid)
        _measure(worker, series.worker)
    else:
        for numbers in series.worker.values():
            numbers.append(numbers[-1])
    places = {"manifest": "samples/manifest.jsonl"} | {name: name for name in BY_DESIGN if name != "manifest"}
    for name, place in places.items():
        series.files.setdefault(name, []).append(round(_size(output / place) / 1024, 1))


def _measure(process: psutil.Process, numbers: dict[str, Numbers]) -> None:
    with process.oneshot():
        memory = process.memory_info()
        found = {
            "memory": (memory.rss - memory.shared) / 1024,
            "handles": process.num_fds(),
            "threads": process.num_threads(),
            "processor": round(sum(process.cpu_times()[:2]), 2),
        }
    for name, value in found.items():
        numbers.setdefault(name, []).append(value)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder, each name counted: two names of one file are two."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def judge(series: Series) -> list[Row]:
    """A row for each thing that might grow."""
    rows = []
    for name, seen in (("trainer", series.trainer), ("worker", series.worker)):
        rows.append(_memory(f"{name}: memory, MiB", seen["memory"]))
        rows += [_count(f"{name}: {what}", seen[what]) for what in ("handles", "threads")]
        used = [after - before for before, after in pairwise(seen["processor"])]
        rows.append(_time(f"{name}: processor seconds an epoch, median", used, GROWS))
    rows.append(_time("seconds an epoch, median", series.seconds[1:], UNCLEAR))
    rows.append(_row("workers started", 1, len(series.workers), "", GROWS if len(series.workers) > 1 else FLAT))
    for name, sizes in series.files.items():
        first, last = (median(part) for part in _thirds(sizes))
        growth = (last - first) / (len(sizes) - len(sizes) // 3)  # from the middle of one third to that of the other
        rows.append(
            _row(f"file: {name}, KiB", first, last, f"{growth:.2f} KiB an epoch", f"{DESIGN}: {BY_DESIGN[name]}")
        )
    return rows


def slope(values: Sequence[float]) -> tuple[float, float]:
    """(growth an epoch, half width of its 95 % interval) of the last two thirds of a series.

    Least squares through the medians of `BLOCKS` blocks of neighbouring epochs; the interval is Student's.
    """
    start = len(values) // 3
    length = (len(values) - start) // BLOCKS
    starts = range(len(values) - BLOCKS * length, len(values), length)
    middles = [begin + (length - 1) / 2 for begin in starts]
    fit = stats.linregress(middles, [median(values[begin : begin + length]) for begin in starts])
    return float(fit.slope), float(fit.stderr * stats.t.ppf(0.975, BLOCKS - 2))


def _memory(what: str, values: Sequence[float]) -> Row:
    """Flat is said only where the whole interval says so.

    What malloc and the kernel take back at once makes steps, and steps make the interval wide: then what can be said is
    whether the run ever needed more than it did at first.
    """
    start, end = _thirds(values)
    growth, half = slope(values)
    if growth - half > TOLERATED_KIB:
        verdict = GROWS
    elif growth + half <= TOLERATED_KIB:
        verdict = FLAT
    else:
        verdict = NO_HIGHER if max(end) <= max(start) else UNCLEAR
    text = f"{growth:+.1f} ± {half:.1f} KiB an epoch; at most {max(start) / 1024:.0f}, then {max(end) / 1024:.0f} MiB"
    return _row(what, median(start) / 1024, median(end) / 1024, text, verdict)


def _count(what: str, values: Sequence[float]) -> Row:
    """Handles and threads: what is usual must not get more; one more for a moment is a file being written."""
    first, last = (median(part) for part in _thirds(values))
    return _row(what, first, last, f"{last - first:+.0f}, at most {max(values):.0f}", GROWS if last > first else FLAT)


def _time(what: str, values: Sequence[float], otherwise: str) -> Row:
    first, last = (median(part) for part in _thirds(values))
    return _row(what, first, last, f"× {last / first:.3f}", FLAT if last <= TOLERATED_TIME * first else otherwise)


def _thirds(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The first and the last third."""
    third = len(values) // 3
    return values[:third], values[-third:]


def _row(what: str, first: float, last: float, growth: str, verdict: str) -> Row:
    first, last = (round(value) if value >= 1000 else round(value, 2) for value in (first, last))
    return {"what": what, "first": first, "last": last, "growth": growth, "verdict": verdict}


def left_behind(output: Path, temporary: Path) -> list[Row]:
    """Files that should be gone once the run is over."""
    half_written = list(output.rglob(f".*{PARTIAL}"))
    others = [path for path in temporary.rglob("*") if path.is_file()]
    found = (("half-written files at the end", half_written), ("files in the temporary folder at the end", others))
    return [_row(what, 0, len(paths), f"{len(paths):+d}", GROWS if paths else FLAT) for what, paths in found]


def accounted_for(output: Path, epochs: int) -> Row:
    """What the manifest says of the epochs' samples."""
    outcomes = {line["epoch"]: line["outcome"] for line in read_json_lines(output / "samples" / "manifest.jsonl")}
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes.values()).most_common())
    return _row(
        "epochs, and samples in the manifest", epochs, len(outcomes), counts, ALL if len(outcomes) == epochs else LOST
    )


def _write(folder: Path, arguments: argparse.Namespace, series: Series, rows: list[Row], minutes: float) -> None:
    note = (
        f"`nox -s endurance -- --epochs {arguments.epochs} --take-turns {arguments.take_turns}`: the command "
        "`cufft-harness train --model tiny` in a process of its own, with its worker, three steps and a sample of 0.3 "
        f"s an epoch (CPU, torch {importlib.metadata.version('torch')}), in {minutes:.1f} minutes. Read at the "
        "end of each epoch. Memory is what is resident and not shared with files; its growth is a line fitted by least "
        f"squares to the last two thirds of the run, to the medians of {BLOCKS} blocks of neighbouring epochs, with "
        f"its 95 % interval; flat means that the whole interval is below {TOLERATED_KIB:.0f} KiB an epoch. Other "
        "figures are medians of each third. Seconds pass faster or slower with what else the machine does; the "
        "processors' own seconds, which count, hardly do."
    )
    seen = {"seconds": series.seconds, "trainer": series.trainer, "worker": series.worker}
    facts = {"title": f"{arguments.epochs} epochs in one go", "note": note, "columns": COLUMNS, "epochs": seen}
    file = RunFile(folder, f"resilience-endurance-{arguments.epochs}", "resilience", facts)
    file.extend(rows)
    file.finish()


if __name__ == "__main__":
    sys.exit(main())
