"""`nox -s faults`: every trouble befalls real runs, every hostile input is tried, and what was lost is counted.

    python -m faults --seed 1 --minutes 15 --results repro/results

The seed is printed first; the same seed plans the same troubles in the same order (when they strike depends on the
machine's speed, too). Exit status 1 if one promise was broken.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}

from harness.report.store import RunFile

if TYPE_CHECKING:
    from faults.troubles import Trouble

COLUMNS = {"kind": "what happened", "tried": "times", "lost": "lost", "note": "remarks"}
MOUNTS = "FAULTS_MOUNTS"
"""Whether this process may mount small disks that nobody else sees."""

Row = dict[str, object]


@dataclass
class Found:
    """Rows of the results, and every broken promise in one line each."""

    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    """Read the arguments, run everything, write the results."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"), help="Default: a new one.")
    parser.add_argument("--minutes", type=float, default=15.0, help="No round begins that might end later.")
    parser.add_argument(
        "--only",
        default="",
        help="Only troubles named so (parts of names, commas between).",
    )
    parser.add_argument("--results", type=Path, help="Folder for the results file.")
    arguments = parser.parse_args()
    if MOUNTS not in os.environ:
        _begin_again_with_mounts()
    _say(f"seed {arguments.seed}")
    began = time.monotonic()
    found = Found()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        tests = None if arguments.only else _start_bad_inputs(arguments.seed, Path(name))
        _rounds(arguments.seed, arguments.only, began + 60 * arguments.minutes, Path(name), found, tests)
        if tests is not None:
            _finish_bad_inputs(tests, Path(name), found)
    for row in found.rows:
        _say(f"{row['tried']:>6} × {row['kind']}: {row['lost']} lost {row['note']}".rstrip())
    for line in found.wrong:
        _say(f"BROKEN: {line}")
    minutes = (time.monotonic() - began) / 60
    if arguments.results:
        _write(arguments.results, arguments.seed, found.rows, minutes)
    _say(f"seed {arguments.seed}: {len(found.wrong)} promises broken, {minutes:.1f} minutes")
    return 1 if found.wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _begin_again_with_mounts() -> None:
    """Become a process that may mount small disks nobody else sees, where the system allows that."""
    wish = ["unshare", "--user", "--map-root-user", "--mount"]
    allowed = shutil.which("unshare") and not subprocess.run([*wish, "true"], capture_output=True).returncode
    command = [*(wish if allowed else []), sys.executable, "-m", "faults", *sys.argv[1:]]
    environment = os.environ | {MOUNTS: "yes" if allowed else "no"}
    os.execvpe(command[0], command, environment)  # noqa: S606 - a list, no shell


def _rounds(
    seed: int, only: str, deadline: float, folder: Path, found: Found, beside: subprocess.Popen[bytes] | None
) -> None:
    """Round after round until the time is over, kills and failing storage in turn."""
    from faults import children, rounds
    from faults.troubles import TROUBLES
    from harness.xtts.tiny import build

    children.become_reaper()
    children.NO_STRAYS |= {beside.pid} if beside else set()
    rng, mounts, model = random.Random(seed), os.environ[MOUNTS] == "yes", folder / "tiny"
    if children.ended(children.fork(lambda: build(model), folder / "build.log"), 120) != 0:
        raise RuntimeError((folder / "build.log").read_text())
    expected = rounds.reference(model, folder)
    chosen = [trouble for trouble in TROUBLES if any(part in trouble.name for part in only.split(","))]
    plan = _plan([trouble for trouble in chosen if mounts or not trouble.disk], rng)
    tried: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    longest, done = 0.0, 0
    for number, troubles in enumerate(itertools.cycle(plan)):
        began = time.monotonic()
        if number >= len(plan) and (only or began + 1.1 * longest > deadline):  # each kind at least once
            break
        with _disk(folder / f"round-{number}", mounts) as place:
            turns = "always" if rng.random() < 0.5 else "never"
            keep = 0 if troubles[0].storage else 2
            flags = [f"--take-turns={turns}", f"--keep-checkpoints={keep}"]
            result = rounds.run(troubles, model, place, expected, rng, flags)
        longest, done = max(longest, time.monotonic() - began), done + 1
        tried.update(result.tried)
        samples.update(result.samples)
        found.wrong += [f"round {number}: {line}" for line in result.wrong]
        _say(
            f"round {number} ({' '.join(flags)}): {sum(result.tried.values())} troubles in {result.lives} lives, "
            f"{dict(result.samples)}, {len(result.wrong)} broken, {time.monotonic() - began:.0f} s"
        )
        for line in result.wrong:
            _say(f"  {line}")
    for trouble in chosen:
        note = "" if tried[trouble.name] else "not run"
        found.rows.append({"kind": trouble.name, "tried": tried[trouble.name], "lost": 0, "note": note})
    others = [line for line in found.wrong if "are not those" not in line]
    kind = "lives without traceback, stray process, leftover file or wrong exit status?"
    lives, first = sum(tried.values()), others[0][:90] if others else ""
    found.rows.append({"kind": kind, "tried": lives, "lost": len(others), "note": first})
    epochs, outcomes = sum(samples.values()), ", ".join(f"{n} {outcome}" for outcome, n in sorted(samples.items()))
    unequal = sum("are not those" in line for line in found.wrong)
    note = f"{sum(tried.values())} times resumed, {done * rounds.EPOCHS} epochs"
    found.rows.append({"kind": "runs at their end, bit-equal?", "tried": done, "lost": unequal, "note": note})
    lost = done * rounds.EPOCHS - epochs
    found.rows.append({"kind": "samples, made or accounted for?", "tried": epochs, "lost": lost, "note": outcomes})


def _plan(troubles: Sequence[Trouble], rng: random.Random) -> list[deque[Trouble]]:
    """Two queues, of kills and of failing storage; all of one come equally often, in the order of the seed."""
    plan = []
    for part in ([one for one in troubles if not one.storage], [one for one in troubles if one.storage]):
        queue: deque[Trouble] = deque()
        for _ in range(200):
            queue += rng.sample(part, len(part))
        plan.append(queue)
    return [queue for queue in plan if queue]


@contextmanager
def _disk(folder: Path, mounts: bool) -> Iterator[Path]:
    """A folder for a round: a small disk of its own, where one may be mounted."""
    folder.mkdir()
    if mounts:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        if mounts:
            subprocess.run(["umount", "--recursive", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _start_bad_inputs(seed: int, folder: Path) -> subprocess.Popen[bytes]:
    """The tests of bad input, with more examples than in the test suite, beside the rounds: there are two cores."""
    tests = [str(path) for path in sorted(Path("tests").glob("test_faults_*.py"))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    command += [f"--report-log={folder / 'inputs.jsonl'}", *tests]
    with (folder / "inputs.log").open("wb") as output:
        return subprocess.Popen(
            command, env=os.environ | {"HYPOTHESIS_PROFILE": "faults"}, stdout=output, stderr=output
        )


def _finish_bad_inputs(tests: subprocess.Popen[bytes], folder: Path, found: Found) -> None:
    """Wait for them and count; each says how many inputs it tried."""
    tests.wait()
    log = folder / "inputs.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    counts: dict[str, Counter[str]] = {}
    for event in events:
        if event.get("$report_type") != "TestReport" or (event["when"] != "call" and event["outcome"] == "passed"):
            continue
        module = event["nodeid"].partition("::")[0]
        count = counts.setdefault(Path(module).stem.removeprefix("test_faults_").replace("_", " "), Counter())
        count[event["outcome"]] += 1
        if event["outcome"] == "passed":
            count["tried"] += int(dict(event["user_properties"]).get("tried", 1))
        elif event["outcome"] == "failed":
            found.wrong.append(f"{event['nodeid']}: {str(event['longrepr'])[-300:]!r}")
    if not counts:
        found.wrong.append(f"the tests of bad input could not run: {(folder / 'inputs.log').read_text()[-300:]!r}")
    for kind, count in counts.items():
        note = f"{count['passed'] + count['failed']} tests" + (f", {count['skipped']} not run" * bool(count["skipped"]))
        row: Row = {"kind": f"bad input: {kind}", "tried": count["tried"], "lost": count["failed"], "note": note}
        found.rows.insert(0, row)
        _say(f"{row['kind']}: {row['tried']} tried, {row['lost']} broken")


def _write(folder: Path, seed: int, rows: list[Row], minutes: float) -> None:
    tried = sum(int(str(row["tried"])) for row in rows[:-3])
    note = (
        f"`nox -s faults -- --seed {seed}`: {tried} harms done to real runs of the tiny model (CPU, torch "
        f"{importlib.metadata.version('torch')}) and to the files they read, in {minutes:.1f} minutes. What the kills "
        "cost is counted where it would show, at the end of each run, in the last three rows."
    )
    facts = {"title": f"Nothing lost, seed {seed}", "note": note, "columns": COLUMNS}
    file = RunFile(folder, f"resilience-seed-{seed}", "resilience", facts)
    file.extend(rows)
    file.finish()


if __name__ == "__main__":
    sys.exit(main())
