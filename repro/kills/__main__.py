"""`nox -s faults`: every trouble befalls real runs, every hostile input is tried, and what was lost is counted.

    python -m repro.kills --seed 1 --results repro/results

The seed is printed first; the same seed plans the same troubles in the same order (when they strike depends on the
machine's speed, too). Exit status 1 if one promise was broken, or if a session of full length killed too seldom.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}

from repro.store import RunFile

if TYPE_CHECKING:
    from repro.kills import rounds

COLUMNS = {"kind": "what happened", "tried": "times", "lost": "lost", "note": "remarks"}
FULL_MINUTES = 14.0
"""A session of full length, all in all."""
ENOUGH_KILLS = 50
"""SIGKILLs that a session of full length has to deliver, each at an instant of its own."""
MOUNTS = "FAULTS_MOUNTS"
"""Whether this process may mount small disks that nobody else sees."""

Row = dict[str, object]


@dataclass
class Found:
    """Rows of the results, every broken promise in one line each, and what a full session should have done."""

    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    kills: int = 0


def main() -> int:
    """Read the arguments, run everything, write the results."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m repro.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"), help="Default: a new one.")
    parser.add_argument("--minutes", type=float, default=FULL_MINUTES, help=f"All in all. Default: {FULL_MINUTES:g}.")
    parser.add_argument(
        "--only", default="", help="Only troubles named so (parts of names, commas between), and no bad input."
    )
    parser.add_argument("--results", type=Path, help="Folder for the results file.")
    arguments = parser.parse_args()
    if MOUNTS not in os.environ:
        _begin_again_with_mounts()
    _say(f"seed {arguments.seed}")
    full = arguments.minutes >= FULL_MINUTES and not arguments.only
    found = Found()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        _session(arguments.seed, arguments.only, began + 60 * arguments.minutes, Path(name), found)
    for row in found.rows:
        _say(f"{row['tried']:>6} × {row['kind']}: {row['lost']} lost {row['note']}".rstrip())
    for line in found.wrong:
        _say(f"BROKEN: {line}")
    if full and found.kills < ENOUGH_KILLS:
        found.missing.append(f"{found.kills} SIGKILLs, but {ENOUGH_KILLS} are wanted: the machine is too slow")
    for line in found.missing if full else []:
        _say(f"NOT PASSED: {line}")
    passed = not found.wrong and not (full and found.missing)
    minutes = (time.monotonic() - began) / 60
    if arguments.results:
        _write(arguments.results, arguments.seed, found, minutes, full and passed)
    _say(
        f"seed {arguments.seed}: {found.kills} SIGKILLs, {len(found.wrong)} promises broken, {minutes:.1f} minutes: "
        + ("passed" if passed else "not passed")
    )
    return 0 if passed else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _begin_again_with_mounts() -> None:
    """Become a process that may mount small disks nobody else sees, where the system allows that."""
    wish = ["unshare", "--user", "--map-root-user", "--mount"]
    allowed = shutil.which("unshare") and not subprocess.run([*wish, "true"], capture_output=True).returncode
    command = [*(wish if allowed else []), sys.executable, "-m", "repro.kills", *sys.argv[1:]]
    environment = os.environ | {MOUNTS: "yes" if allowed else "no"}
    os.execvpe(command[0], command, environment)  # noqa: S606 - a list, no shell


def _session(seed: int, only: str, deadline: float, folder: Path, found: Found) -> None:
    """Round after round until the time is over, most with kills, some with failing storage; bad input beside them."""
    from cufft_harness.xtts.tiny import build

    from repro.kills import children, rounds
    from repro.kills.troubles import TROUBLES

    children.become_reaper()
    rng, mounts, model = random.Random(seed), os.environ[MOUNTS] == "yes", folder / "tiny"
    if children.ended(children.fork(lambda: build(model), folder / "build.log"), 120) != 0:
        raise RuntimeError((folder / "build.log").read_text())
    began = time.monotonic()
    expected = rounds.reference(model, folder)
    to_end = 2 * (time.monotonic() - began) + 15  # the last life, which trains what is left and makes the last samples
    tests = None if only else _start_bad_inputs(seed, folder)
    children.NO_STRAYS |= {tests.pid} if tests else set()
    chosen = [trouble for trouble in TROUBLES if any(part in trouble.name for part in only.split(","))]
    possible = [trouble for trouble in chosen if mounts or not trouble.disk]
    kills = [trouble for trouble in possible if not trouble.storage]
    storage = [trouble for trouble in possible if trouble.storage]
    queues = [rounds.Queue(kinds, rng) for kinds in (kills, storage) if kinds]
    whole = rounds.Round()
    for number, troubles in enumerate(itertools.cycle([queues[0], *queues, queues[0]])):  # one round in four of storage
        until = deadline - to_end
        if time.monotonic() > until - 15 or (only and number > len(queues)):
            break
        began = time.monotonic()
        with _disk(folder / f"round-{number}", mounts) as place:
            turns = "always" if number % 4 == 3 else "never"
            keep = 2 if troubles is queues[0] and kills else 0
            flags = [f"--take-turns={turns}", f"--keep-checkpoints={keep}"]
            result = rounds.run(troubles, model, place, expected, rng, flags, until, _say)
        whole.add(result)
        found.wrong += [f"round {number}: {line}" for line in result.wrong]
        _say(
            f"round {number} ({' '.join(flags)}): {sum(result.tried.values())} troubles in {result.lives} lives, "
            f"{dict(result.samples)}, {len(result.wrong)} broken, {time.monotonic() - began:.0f} s; "
            f"{whole.kills} SIGKILLs so far, {(deadline - time.monotonic()) / 60:.1f} minutes left"
        )
        for line in result.wrong:
            _say(f"  {line}")
    for trouble in chosen:
        note = trouble.remark if whole.tried[trouble.name] else "not run"
        found.rows.append({"kind": trouble.name, "tried": whole.tried[trouble.name], "lost": 0, "note": note})
    found.missing += [f"{one.name}: did not come up" for one in possible if not whole.tried[one.name]]
    found.kills = whole.kills
    _count(whole, found)
    if tests is not None:
        _finish_bad_inputs(tests, folder, found, deadline)


def _count(whole: rounds.Round, found: Found) -> None:
    """The rows in which a loss would show."""
    from repro.kills.rounds import EPOCHS

    unequal = sum("are not those" in line for line in whole.wrong)
    others = [line for line in whole.wrong if "are not those" not in line]
    kind = "lives without traceback, stray process, leftover file or wrong exit status?"
    note = f"{whole.kills} SIGKILLs" + (f"; {others[0][:90]}" if others else "")
    found.rows.append({"kind": kind, "tried": whole.lives, "lost": len(others), "note": note})
    note = f"{whole.lives} times resumed, {whole.ends * EPOCHS} epochs"
    found.rows.append({"kind": "runs at their end, bit-equal?", "tried": whole.ends, "lost": unequal, "note": note})
    known = sum(whole.samples.values())
    note = ", ".join(f"{number} {outcome}" for outcome, number in sorted(whole.samples.items()))
    lost = whole.ends * EPOCHS - known
    found.rows.append({"kind": "samples, made or accounted for?", "tried": known, "lost": lost, "note": note})


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
    """The sampler's ladder, then bad input with more examples than in the test suite, beside the rounds."""
    tests = ["repro/kills/test_ladder.py", *map(str, sorted(Path("tests").rglob("test_faults_*.py")))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    command += [f"--report-log={folder / 'inputs.jsonl'}", *tests]
    with (folder / "inputs.log").open("wb") as output:
        environment = {"HYPOTHESIS_PROFILE": "faults", "FAULTS_SEED": str(seed), "FAULTS_FOLDER": str(folder)}
        return subprocess.Popen(
            command, env=os.environ | environment, stdout=output, stderr=output, start_new_session=True
        )


def _finish_bad_inputs(tests: subprocess.Popen[bytes], folder: Path, found: Found, deadline: float) -> None:
    """Wait for them and count; each says how many inputs it tried."""
    try:
        tests.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(tests.pid, signal.SIGKILL)
        tests.wait()
        found.missing.append("the tests of bad input did not end in time")
    log = folder / "inputs.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    counts: dict[str, Counter[str]] = {}
    for event in events:
        if event.get("$report_type") != "TestReport" or (event["when"] != "call" and event["outcome"] == "passed"):
            continue
        module = event["nodeid"].partition("::")[0]
        name = Path(module).stem.removeprefix("test_")
        kind = f"bad input: {name.removeprefix('faults_')}" if name.startswith("faults_") else f"real worker: {name}"
        count = counts.setdefault(kind, Counter())
        count[event["outcome"]] += 1
        if event["outcome"] == "passed":
            count["tried"] += int(dict(event["user_properties"]).get("tried", 1))
        elif event["outcome"] == "failed":
            found.wrong.append(f"{event['nodeid']}: {str(event['longrepr'])[-300:]!r}")
    if not counts:
        found.wrong.append(f"the tests of bad input could not run: {(folder / 'inputs.log').read_text()[-300:]!r}")
    for kind, count in counts.items():
        note = f"{count['passed'] + count['failed']} tests" + (f", {count['skipped']} not run" * bool(count["skipped"]))
        row: Row = {"kind": kind, "tried": count["tried"], "lost": count["failed"], "note": note}
        found.rows.insert(0, row)
        _say(f"{row['kind']}: {row['tried']} tried, {row['lost']} broken")


def _write(folder: Path, seed: int, found: Found, minutes: float, full: bool) -> None:
    tried = sum(int(str(row["tried"])) for row in found.rows[:-3])
    note = (
        f"`nox -s faults -- --seed {seed}`: {found.kills} SIGKILLs among {tried} harms done to real runs of the tiny "
        f"model (CPU, torch {importlib.metadata.version('torch')}) and to the files they read, in {minutes:.1f} "
        "minutes. What the kills cost is counted where it would show, at the end of each run, in the last three rows."
    )
    if not full:
        note += " Not a full session, or not passed."
    facts = {"title": f"Nothing lost, seed {seed}", "note": note, "columns": COLUMNS}
    file = RunFile(folder, f"resilience-seed-{seed}", "resilience", facts)
    file.extend(found.rows)
    file.finish()


if __name__ == "__main__":
    sys.exit(main())
