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
from typing import Any, TypeVar

from repro.kills import load
from repro.kills.children import children_of, is_alive, kill, limit_files_to

T = TypeVar("T")
Inside = Callable[[Path], None]
"""Called in the trainer before it starts, with its output directory."""
Outside = Callable[[int, Path, random.Random], int]
"""Called beside the running trainer with its process id; says at how many instants it struck, 0 if it could not."""


@dataclass(frozen=True)
class Harm:
    """One kind of harm.

    Attributes:
        name: what it is, for the report.
        statuses: exit statuses the trainer may have afterwards; 0 is always right: the run may be over.
        inside: what is armed within the trainer.
        outside: what is done to it.
        storage: the storage fails; every checkpoint is then kept, so that each sample can still be made.
        disk: it needs a small disk of its own.
        terminal: the trainer has a terminal of its own.
        remark: what to know about it, for the report.
    """

    name: str
    statuses: tuple[int, ...]
    inside: Callable[[random.Random], Inside] = lambda _rng: lambda _output: None
    outside: Outside = lambda _pid, _output, _rng: 1
    storage: bool = False
    disk: bool = False
    terminal: bool = False
    remark: str = ""


def _some_time(rng: random.Random) -> None:
    time.sleep(rng.uniform(0.3, 5.0))


def _kill_trainer(pid: int, _output: Path, rng: random.Random) -> int:
    _some_time(rng)
    return int(kill(pid))


def _kill_worker(pid: int, _output: Path, rng: random.Random) -> int:
    """The worker, at several instants; at the last the trainer, too, so that no life is long."""
    struck = 0
    for _ in range(rng.randrange(4, 8)):
        _some_time(rng)
        workers = [kill(worker) for worker in children_of(pid)]
        struck += any(workers)
    kill(pid)
    return struck


def _kill_both(pid: int, _output: Path, rng: random.Random) -> int:
    """Trainer and worker within microseconds, in any order, as soon as there are both."""
    _some_time(rng)
    victims = [pid, *(_wait_until(lambda: children_of(pid), pid) or [])]
    rng.shuffle(victims)
    for victim in victims:
        kill(victim)
    return int(len(victims) > 1)


def _kill_when(pattern: str) -> Outside:
    """Kill the trainer within milliseconds after a file of this kind appears anew, the first or the next."""

    def outside(pid: int, output: Path, rng: random.Random) -> int:
        seen = set(output.rglob(pattern))
        new = _wait_until(lambda: set(output.rglob(pattern)) - seen, pid)
        if new and rng.random() < 0.5:
            seen |= new
            new = _wait_until(lambda: set(output.rglob(pattern)) - seen, pid)
        time.sleep(rng.uniform(0, 0.02))
        return int(kill(pid) and bool(new))

    return outside


def _wait_until(condition: Callable[[], T], pid: int, seconds: float = 10.0) -> T | None:
    """Wait until something is so, and give it; None if the trainer, or the time, is over first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and is_alive(pid):
        if found := condition():
            return found
        time.sleep(0.001)
    return None


def _kill_inside(owner: str, name: str, when: str, concerns: str = "") -> Callable[[random.Random], Inside]:
    """SIGKILL from within, before, after or in the middle of one call of a function.

    Args:
        owner: module and class, such as "pathlib.Path".
        name: of the function.
        when: "before", "after", or "half": after the file it wrote was cut to half its length.
        concerns: only calls whose arguments show this text count.
    """

    def prepare(rng: random.Random) -> Inside:
        number = rng.randrange(1, 4)

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
    def outside(pid: int, _output: Path, rng: random.Random) -> int:
        _some_time(rng)
        for number in numbers:
            if not kill(pid, number):
                return 0
            time.sleep(rng.uniform(0, 0.2) if len(numbers) > 1 else 0)
        return 1

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


def _slow_disk(rng: random.Random) -> Inside:
    """Whatever is flushed, and each checkpoint that is written, takes seconds longer, half of them with it half there.

    No system call slows a disk down, so it is done to the functions that write, in the trainer and its worker.
    """
    delay = rng.uniform(0.3, 1.0)

    def inside(_output: Path) -> None:
        import torch

        sync, save = os.fsync, torch.save

        def slow_sync(descriptor: int) -> None:
            time.sleep(delay)
            sync(descriptor)

        def slow_save(content: object, path: Path) -> None:
            time.sleep(delay)
            save(content, path)
            whole = path.read_bytes()
            os.truncate(path, len(whole) // 2)
            time.sleep(delay)
            path.write_bytes(whole)

        os.fsync, torch.save = slow_sync, slow_save  # type: ignore[assignment]

    return inside


def _fill_disk(pid: int, output: Path, rng: random.Random) -> int:
    """Fill the disk while the run is writing; room is made again when the trainer is gone."""
    _some_time(rng)
    with (output.parent / "filler").open("wb", buffering=0) as filler:
        block = bytes(1 << 20)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and is_alive(pid):
            try:
                filler.write(block)
            except OSError:
                block = block[: max(1, len(block) // 2)]
                time.sleep(0.001 if len(block) > 1 else 0.02)
    return int(len(block) == 1)


def _read_only(pid: int, output: Path, rng: random.Random) -> int:
    """A folder of the run can only be read from one moment on; after a while the run is asked to stop."""
    import subprocess

    # files that are open for writing keep a whole file system writable, so the folder is mounted over itself
    folder = output / rng.choice(["checkpoints", "samples"])
    there = bool(_wait_until(folder.is_dir, pid))
    if there:
        _some_time(rng)
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        time.sleep(4)
    kill(pid, signal.SIGTERM)
    return int(there)


def _vanishing(pid: int, output: Path, rng: random.Random) -> int:
    """A folder of the run is gone for a while; the rest of what happens is the run's."""
    folder = output / rng.choice(["checkpoints", "samples", "cache", "tensorboard"])
    there = bool(_wait_until(folder.is_dir, pid))
    if there:
        _some_time(rng)
        folder.rename(output.parent / f"gone-{folder.name}")
        time.sleep(3)
    kill(pid, signal.SIGTERM)
    return int(there)


KILLED = (-signal.SIGKILL,)
TERMINATED = (128 + signal.SIGTERM, -signal.SIGTERM)
# A signal that comes before the run has begun simply ends it, as it ends any program: there is nothing to save yet.
STOPPED = (1, 2, 128 + signal.SIGTERM, -signal.SIGTERM)
TROUBLES = (
    Harm("SIGKILL of the trainer, any time", KILLED, outside=_kill_trainer),
    Harm("SIGKILL of the worker, any time", KILLED, outside=_kill_worker),
    Harm("SIGKILL of both, any time", KILLED, outside=_kill_both),
    Harm("SIGKILL while a checkpoint is written", KILLED, outside=_kill_when(".checkpoint_*.partial")),
    Harm("SIGKILL while a sample is written", KILLED, outside=_kill_when(".epoch_*.partial")),
    Harm("SIGKILL once a checkpoint has its name", KILLED, outside=_kill_when("checkpoint_epoch_*.pt")),
    Harm("SIGKILL with a checkpoint half written", KILLED, _kill_inside("torch", "save", "half", ".checkpoint_")),
    Harm("SIGKILL before a rename", KILLED, _kill_inside("pathlib:Path", "replace", "before", ".pt")),
    Harm("SIGKILL after a rename", KILLED, _kill_inside("pathlib:Path", "replace", "after", ".pt")),
    Harm("SIGKILL in marking the best", KILLED, _kill_inside("os", "link", "after", ".best_model")),
    Harm("SIGKILL in pruning", KILLED, _kill_inside("pathlib:Path", "unlink", "after", "checkpoint_epoch_")),
    Harm(
        "SIGKILL in the hand-over",
        KILLED,
        _kill_inside("cufft_harness.sampling.supervisor:Supervisor", "order", "before"),
    ),
    Harm(
        "SIGKILL with half a line in the manifest",
        KILLED,
        _kill_inside("cufft_harness.sampling.supervisor", "append_json_line", "half"),
    ),
    Harm("SIGTERM", TERMINATED, outside=_signals(signal.SIGTERM)),
    Harm("SIGHUP", (128 + signal.SIGHUP, -signal.SIGHUP), outside=_signals(signal.SIGHUP)),
    Harm("Ctrl-C twice", (128 + signal.SIGINT, -signal.SIGINT), outside=_signals(signal.SIGINT, signal.SIGINT)),
    Harm("the terminal is gone", (128 + signal.SIGHUP, -signal.SIGHUP), terminal=True),
    Harm("the clock goes back, then SIGKILL", KILLED, _clock_goes_back, _kill_trainer),
    Harm("files limited in size, then SIGKILL", (*STOPPED, *KILLED), _file_limit, _kill_trainer, storage=True),
    Harm(
        "the disk is slow, then SIGTERM",
        TERMINATED,
        _slow_disk,
        _signals(signal.SIGTERM),
        storage=True,
        remark="each fsync takes 0.3 to 1 s longer, each checkpoint twice that; acted out in the process",
    ),
    Harm(
        "others use the processors",
        TERMINATED,
        outside=load.crowd,
        remark=f"{load.LOOPS_A_CORE} busy loops a core at normal priority, until a sample is made",
    ),
    Harm("the worker is paused", TERMINATED, outside=load.pause_worker),
    Harm("the trainer is paused", TERMINATED, outside=load.pause_trainer),
    Harm(
        "memory runs out",
        KILLED,
        outside=load.run_out_of_memory,
        remark="a control group's limit, until the system kills one of both; it has to be the worker",
    ),
    Harm("the disk is full", STOPPED, outside=_fill_disk, storage=True, disk=True),
    Harm("a folder turns read-only", STOPPED, outside=_read_only, storage=True, disk=True),
    Harm("a folder vanishes", STOPPED, outside=_vanishing, storage=True),
)
"""Every way to harm a run. A run killed while the disk is slow or limited is killed all the same."""
