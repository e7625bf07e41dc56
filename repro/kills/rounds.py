"""One round: a run of the tiny model that meets one trouble after another, and what is left of it at the end."""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cufft_harness.checkpoints import BEST, INTERRUPTED, CheckpointFolder, load
from cufft_harness.files import read_json_lines
from cufft_harness.sampling.artefacts import BrokenSample, SampleFolder, examine

from repro.kills.children import ended, fork, kill, strays, train
from repro.kills.load import Broken
from repro.kills.troubles import Harm

EPOCHS = 24
MOST_LIVES = {"kills": 30, "storage": 7}
MOST_TRIES = 3
"""Lives in a row that one trouble gets to come up; then it waits for its next turn."""
LIFE_LIMIT = 60.0
"""Seconds a life may take to end by itself after what was done to it."""


@dataclass
class Round:
    """What came of one round.

    Attributes:
        tried: how often each trouble really happened.
        kills: SIGKILLs, counted in instants: of trainer and worker at once, they are one.
        samples: how many epochs' samples were made, failed or dropped.
        wrong: every broken promise, in one line each.
        ends: rounds that this is the sum of.
    """

    tried: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lives: int = 0
    kills: int = 0
    ends: int = 0

    def add(self, other: Round) -> None:
        """Count another round in."""
        self.tried.update(other.tried)
        self.samples.update(other.samples)
        self.wrong += other.wrong
        self.lives += other.lives
        self.kills += other.kills
        self.ends += 1


@dataclass(frozen=True)
class Reference:
    """The uninterrupted run: its losses and weights."""

    losses: list[dict[str, float]]
    weights_sha256: str
    best: int


def flags(model: Path, output: Path, *more: str) -> list[str]:
    """The command line of a run of 24 epochs of three steps."""
    return [
        f"--model={model}",
        f"--output={output}",
        "--device=cpu",
        f"--num-epochs={EPOCHS}",
        "--batch-size=2",
        "--max-train-samples=6",
        "--max-val-samples=2",
        "--learning-rate=1e-3",
        "--no-sample-base-model",
        "--sample-text=Olá, teste.",
        "--sample-max-seconds=0.3",
        "--sample-time-limit=30",
        *more,
    ]


def reference(model: Path, folder: Path) -> Reference:
    """Train once with nothing in the way, without samples, into `folder`/reference."""
    output = folder / "reference"
    status = ended(fork(train(flags(model, output, "--no-samples")), folder / "reference.log"), 300)
    if status != 0:
        raise RuntimeError(f"the undisturbed run ended with {status}: {(folder / 'reference.log').read_text()[-2000:]}")
    return state(output)


def state(output: Path) -> Reference:
    """Where a run stands, by its newest valid checkpoint."""
    newest = CheckpointFolder(output / "checkpoints", make=False).newest()
    if newest is None:
        return Reference([], "", 0)
    checkpoint = load(newest)
    losses = [asdict(epoch) for epoch in checkpoint.history]
    best = min(checkpoint.history, key=lambda epoch: epoch.validation).epoch
    return Reference(losses, checkpoint.weights_sha256, best)


class Queue:
    """Harms in the order of the seed; one that could not come up is tried again in the next lives."""

    def __init__(self, kinds: Sequence[Harm], rng: random.Random) -> None:
        self._kinds, self._rng = kinds, rng
        self.most_lives = MOST_LIVES["storage" if kinds[0].storage else "kills"]
        self._waiting: deque[Harm] = deque()
        self._tries: Counter[str] = Counter()

    def next(self) -> Harm:
        """The next one; all come equally often."""
        if not self._waiting:
            self._waiting += self._rng.sample(self._kinds, len(self._kinds))
        return self._waiting.popleft()

    def settle(self, trouble: Harm, happened: bool) -> None:
        """Tell whether it came up."""
        self._tries[trouble.name] = 0 if happened else (self._tries[trouble.name] + 1) % MOST_TRIES
        if self._tries[trouble.name]:
            self._waiting.appendleft(trouble)


def run(
    troubles: Queue,
    model: Path,
    folder: Path,
    expected: Reference,
    rng: random.Random,
    more: list[str],
    until: float,
    say: Callable[[str], object],
) -> Round:
    """Let troubles befall one run, resume it after each, let it end in peace, and look at what there is.

    Args:
        troubles: the next is taken for each life, until the run is over or has lived often enough.
        folder: of the round; with its own small file system where a trouble needs one.
        more: further flags of the run.
        until: when to let it be, in the seconds of `time.monotonic`.
        say: gets a line for each life.
    """
    result = Round()
    output = folder / "output"
    command = flags(model, output, *more)
    over = False
    while result.lives < troubles.most_lives and not over and time.monotonic() < until:
        log = folder.parent / f"{folder.name}-{result.lives}.log"
        began, broken, trouble = time.monotonic(), len(result.wrong), troubles.next()
        status, happened = _live(trouble, command, output, log, rng, result)
        troubles.settle(trouble, happened)
        over = status == 0
        result.lives += 1
        kept = "" if happened else ", did not come up"
        say(f"  {trouble.name}: exit status {status}{kept}, {time.monotonic() - began:.1f} s")
        if len(result.wrong) > broken:
            say(_all_of(log))
    log = folder.parent / f"{folder.name}-end.log"
    # taking turns, every sample left would be waited for: that is slow, and seen in the lives before
    status = ended(fork(train([*command, "--take-turns=never"]), log), 240)
    if status != 0:
        result.wrong.append(f"the last, undisturbed life ended with {status}: {_last_line(log)}")
        say(_all_of(log))
    result.wrong += [f"{left} stray processes at the end"] if (left := strays()) else []
    _examine(output, expected, result)
    return result


def _live(
    trouble: Harm, command: list[str], output: Path, log: Path, rng: random.Random, result: Round
) -> tuple[int | None, bool]:
    """One life of the run, ended by one trouble or by its own end: its exit status, and whether the trouble came up."""
    inside = trouble.inside(rng)
    if trouble.terminal:
        master, slave = pty.openpty()
        pid = fork(train(command, lambda: inside(output)), log, os.ttyname(slave))
        os.close(slave)
        _watch(master, rng.uniform(1, 6))
        os.close(master)
        struck = 1
    else:
        pid = fork(train(command, lambda: inside(output)), log)
        try:
            struck = trouble.outside(pid, output, rng)
        except Broken as promise:
            result.wrong.append(f"{trouble.name}: {promise}")
            kill(pid, signal.SIGTERM)
            struck = 1
    status = ended(pid, LIFE_LIMIT)
    if status is None:
        result.wrong.append(f"{trouble.name}: still running after {LIFE_LIMIT:.0f} s")
    _put_right(output)
    if left := strays():
        result.wrong.append(f"{trouble.name}: {left} stray processes")
    if status not in (0, None, *trouble.statuses):
        result.wrong.append(f"{trouble.name}: exit status {status}: {_last_line(log)}")
    if "Traceback (most recent call last)" in log.read_text(errors="replace"):
        result.wrong.append(f"{trouble.name}: a traceback: {_last_line(log)}")
    may_survive = trouble.statuses[0] != -signal.SIGKILL
    happened = struck > 0 and (status in trouble.statuses or (status == 0 and may_survive))
    result.tried[trouble.name] += happened
    if status == -signal.SIGKILL:
        result.kills += max(struck, 1)
    return status, happened


def _watch(master: int, seconds: float) -> None:
    """Read what a terminal shows, for a while."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            try:
                os.read(master, 1 << 16)
            except OSError:  # nobody has it open
                time.sleep(0.05)


def _put_right(output: Path) -> None:
    """Undo what was done to the disk, as a user would."""
    (output.parent / "filler").unlink(missing_ok=True)
    for name in ("checkpoints", "samples"):
        while subprocess.run(["umount", str(output / name)], capture_output=True).returncode == 0:
            continue
    for gone in output.parent.glob("gone-*"):
        back = output / gone.name.removeprefix("gone-")
        for path in [path for path in gone.rglob("*") if path.is_file()]:
            target = back / path.relative_to(gone)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                path.rename(target)
        subprocess.run(["rm", "-r", str(gone)], check=True)


def _examine(output: Path, expected: Reference, result: Round) -> None:
    """Compare the end of a troubled run with the uninterrupted one."""
    found = state(output)
    if found.losses != expected.losses:
        result.wrong.append("the losses are not those of the uninterrupted run")
    if found.weights_sha256 != expected.weights_sha256:
        result.wrong.append("the weights are not those of the uninterrupted run")
    folder = CheckpointFolder(output / "checkpoints", make=False)
    with suppress(FileNotFoundError):
        if load(folder.folder / BEST).complete_epochs != expected.best:
            result.wrong.append("best_model.pt is not the best epoch's")
    leftovers = [str(path.relative_to(output)) for path in output.rglob(".*.partial")]
    if (folder.folder / INTERRUPTED).exists():
        leftovers.append(INTERRUPTED)
    result.wrong += [f"left behind: {name}" for name in leftovers]
    samples = SampleFolder(output / "samples")
    outcomes: dict[int, str] = {}
    for line in read_json_lines(samples.manifest):
        if outcomes.get(line["epoch"]) != "made":
            outcomes[line["epoch"]] = line["outcome"]
    result.samples.update(outcomes.values())
    for epoch in range(1, EPOCHS + 1):
        if epoch not in outcomes:
            result.wrong.append(f"nothing is known of the sample of epoch {epoch}")
        elif outcomes[epoch] == "made":
            try:
                examine(samples.output(epoch))
            except BrokenSample as problem:
                result.wrong.append(f"the sample of epoch {epoch} is said to be made, but {problem}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing was said"


def _all_of(log: Path) -> str:
    """What a life that broke a promise wrote, for whoever has to find out why."""
    return "".join(f"    | {line}\n" for line in log.read_text(errors="replace").splitlines()[-80:])
