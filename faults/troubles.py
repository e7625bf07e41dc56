"""What can befall a run, each as one object: what it does inside the trainer, and what from outside."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.children import children_of, kill, limit_files_to

Inside = Callable[[Path], None]
"""Called in the trainer before it starts, with its output directory."""
Outside = Callable[[int, Path, random.Random], str]
"""Called beside the running trainer with its process id; says what was done, "" if the run was over before."""


@dataclass(frozen=True)
class Trouble:
    """One kind of harm.

    Attributes:
        name: what it is, for the report.
        statuses: exit statuses the trainer may have afterwards; 0 is always right: the run may be over.
        inside: what is armed within the trainer.
        outside: what is done to it.
        terminal: the trainer has a terminal of its own.
        disk: it needs a small disk of its own.
    """

    name: str
    statuses: tuple[int, ...]
    inside: Callable[[random.Random], Inside] = lambda _rng: lambda _output: None
    outside: Outside = lambda _pid, _output, _rng: ""
    terminal: bool = False
    disk: bool = False

    @property
    def storage(self) -> bool:
        """Whether the storage fails: then every checkpoint is kept, so that each sample can still be made."""
        return self.disk or "folder" in self.name or "files" in self.name


def _some_time(rng: random.Random) -> None:
    time.sleep(rng.uniform(0.3, 5.0))


def _kill_trainer(pid: int, _output: Path, rng: random.Random) -> str:
    _some_time(rng)
    return "trainer" if kill(pid) else ""


def _kill_worker(pid: int, _output: Path, rng: random.Random) -> str:
    """The worker, several times; the trainer goes on and is then killed itself, so that no life is long."""
    killed = 0
    for _ in range(3):
        _some_time(rng)
        killed += sum(kill(worker) for worker in children_of(pid))
    kill(pid)
    return f"{killed} workers" if killed else ""


def _kill_both(pid: int, _output: Path, rng: random.Random) -> str:
    _some_time(rng)
    victims = [pid, *children_of(pid)]
    rng.shuffle(victims)
    killed = [kill(victim) for victim in victims]
    return "both" if all(killed) else ""


def _kill_when(pattern: str) -> Outside:
    """Kill the trainer, or both, within milliseconds after a file of this kind appears anew."""

    def outside(pid: int, output: Path, rng: random.Random) -> str:
        seen = set(output.rglob(pattern))
        skip = rng.randrange(4)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z":
            new = set(output.rglob(pattern)) - seen
            if new and skip:
                skip -= 1
                seen |= new
            elif new:
                time.sleep(rng.uniform(0, 0.02))
                return f"at {sorted(path.name for path in new)[0]}" if kill(pid) else ""
            time.sleep(0.001)
        kill(pid)
        return ""

    return outside


def _kill_inside(owner: str, name: str, when: str, concerns: str = "") -> Callable[[random.Random], Inside]:
    """SIGKILL from within, before, after or in the middle of one call of a function.

    Args:
        owner: module and class, such as "pathlib.Path".
        name: of the function.
        when: "before", "after", or "half": after the file it wrote was cut to half its length.
        concerns: only calls whose arguments show this text count.
    """

    def prepare(rng: random.Random) -> Inside:
        number = rng.randrange(1, 5)

        def inside(output: Path) -> None:
            holder = _find(owner)
            original = getattr(holder, name)
            calls = itertools.count(1)

            def deadly(*arguments: Any, **named: Any) -> Any:
                paths = [str(argument) for argument in arguments if isinstance(argument, (str, Path))]
                shown = " ".join(paths)
                counts = str(output) in shown and concerns in shown if concerns else True
                mine = counts and next(calls) == number
                if mine and when == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                result = original(*arguments, **named)
                if mine and when == "half":
                    size = Path(paths[0]).stat().st_size
                    lost = rng.randrange(1, 40) if paths[0].endswith(".jsonl") else rng.randrange(1, size)
                    os.truncate(paths[0], size - lost)
                if mine:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            setattr(holder, name, deadly)

        return inside

    return prepare


def _find(owner: str) -> Any:
    import importlib

    module, _, attribute = owner.partition(":")
    found: Any = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def _signals(*numbers: signal.Signals) -> Outside:
    def outside(pid: int, _output: Path, rng: random.Random) -> str:
        _some_time(rng)
        for number in numbers:
            if not kill(pid, number):
                return ""
            time.sleep(rng.uniform(0, 0.2) if len(numbers) > 1 else 0)
        return " ".join(number.name for number in numbers)

    return outside


def _clock_goes_back(rng: random.Random) -> Inside:
    """Every question for the time gets an earlier answer, and all files are of another day."""
    seed = rng.random()

    def inside(output: Path) -> None:
        start, steps = time.time(), itertools.count()
        time.time = lambda: start - 3600 * next(steps)
        days = random.Random(seed)
        for path in output.rglob("*"):
            moment = start + days.uniform(-1, 1) * 1e7
            if path.is_file():
                os.utime(path, (moment, moment))

    return inside


def _file_limit(rng: random.Random) -> Inside:
    """A size limit that strikes some writes: the log (its length), features, samples or checkpoints."""
    size = int(10 ** rng.uniform(3, 7.3))
    return lambda _output: limit_files_to(size)


def _fill_disk(pid: int, output: Path, rng: random.Random) -> str:
    """Fill the disk while the run is writing; room is made again when the trainer is gone."""
    _some_time(rng)
    with (output.parent / "filler").open("wb", buffering=0) as filler:
        block = bytes(1 << 20)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
            try:
                filler.write(block)
            except OSError:
                block = block[: max(1, len(block) // 2)]
                time.sleep(0.001 if len(block) > 1 else 0.02)
    return "filled"


def _read_only(pid: int, output: Path, rng: random.Random) -> str:
    import subprocess

    _some_time(rng)
    # files that are open for writing keep a whole file system writable, so the folder is mounted over itself
    folder = output / rng.choice(["checkpoints", "samples"])
    if not folder.is_dir():
        return ""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    time.sleep(4)
    kill(pid, signal.SIGTERM)
    return folder.name


def _vanishing(pid: int, output: Path, rng: random.Random) -> str:
    """A folder of the run is gone for a while; the rest of what happens is the run's."""
    _some_time(rng)
    folder = output / rng.choice(["checkpoints", "samples", "cache", "tensorboard"])
    if not folder.is_dir():
        return ""
    folder.rename(output.parent / f"gone-{folder.name}")
    time.sleep(3)
    kill(pid, signal.SIGTERM)
    return folder.name


KILLED = (-signal.SIGKILL,)
# A signal that comes before the run has begun simply ends it, as it ends any program: there is nothing to save yet.
STOPPED = (1, 2, 128 + signal.SIGTERM, -signal.SIGTERM)
TROUBLES = (
    Trouble("SIGKILL of the trainer, any time", KILLED, outside=_kill_trainer),
    Trouble("SIGKILL of the worker, any time", KILLED, outside=_kill_worker),
    Trouble("SIGKILL of both, any time", KILLED, outside=_kill_both),
    Trouble("SIGKILL while a checkpoint is written", KILLED, outside=_kill_when(".checkpoint_*.partial")),
    Trouble("SIGKILL while a sample is written", KILLED, outside=_kill_when(".epoch_*.partial")),
    Trouble("SIGKILL once a checkpoint has its name", KILLED, outside=_kill_when("checkpoint_epoch_*.pt")),
    Trouble("SIGKILL with a checkpoint half written", KILLED, _kill_inside("torch", "save", "half", ".checkpoint_")),
    Trouble("SIGKILL before a rename", KILLED, _kill_inside("pathlib:Path", "replace", "before", ".pt")),
    Trouble("SIGKILL after a rename", KILLED, _kill_inside("pathlib:Path", "replace", "after", ".pt")),
    Trouble("SIGKILL in marking the best", KILLED, _kill_inside("os", "link", "after", ".best_model")),
    Trouble("SIGKILL in pruning", KILLED, _kill_inside("pathlib:Path", "unlink", "after", "checkpoint_epoch_")),
    Trouble(
        "SIGKILL in the hand-over",
        KILLED,
        _kill_inside("harness.sampling.supervisor:Supervisor", "order", "before"),
    ),
    Trouble(
        "SIGKILL with half a line in the manifest",
        KILLED,
        _kill_inside("harness.sampling.supervisor", "append_json_line", "half"),
    ),
    Trouble("SIGTERM", (128 + signal.SIGTERM, -signal.SIGTERM), outside=_signals(signal.SIGTERM)),
    Trouble("SIGHUP", (128 + signal.SIGHUP, -signal.SIGHUP), outside=_signals(signal.SIGHUP)),
    # coqui's Xtts.load_checkpoint takes a KeyboardInterrupt for a model of another version: status 2
    Trouble("Ctrl-C twice", (128 + signal.SIGINT, -signal.SIGINT, 2), outside=_signals(signal.SIGINT, signal.SIGINT)),
    Trouble("the terminal is gone", (128 + signal.SIGHUP, -signal.SIGHUP), terminal=True),
    Trouble("the clock goes back, then SIGKILL", KILLED, _clock_goes_back, _kill_trainer),
    Trouble("files limited in size", (*STOPPED, *KILLED), _file_limit, _kill_trainer),
    Trouble("the disk is full", STOPPED, outside=_fill_disk, disk=True),
    Trouble("a folder turns read-only", STOPPED, outside=_read_only, disk=True),
    Trouble("a folder vanishes", STOPPED, outside=_vanishing),
)
