"""Harm from a crowded machine: others use the processors, a process is paused, memory runs out."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cufft_harness.files import read_json_lines

from repro.kills.children import children_of, is_alive, kill

LOOPS_A_CORE = 4
PATIENCE = 60.0
"""Seconds in which a sample must be made on a loaded machine: the worker stands back for 20 of them, and then has its
fair share; on a quiet machine a sample of the tiny model takes one."""
CONTROL_GROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
"""Where the memory of a group of processes is limited: in version 1 of Linux's control groups, and in version 2."""
LIMITS = ("memory.limit_in_bytes", "memory.max")
MEMORY = 512 << 20
"""Of a group, in bytes: enough for the worker's `oom_score_adj`, a share of it, to outweigh what the trainer holds."""
FILL = """
import os, sys
sys.stdin.read()  # until this process is in the group
held = []
while all(os.path.exists(f"/proc/{worker}/exe") for worker in sys.argv[1:]):
    held.append(bytes([1]) * (1 << 16))
"""
"""Fills memory in small steps until one of the processes is gone."""


class Broken(Exception):
    """A promise was broken while the harm was done; the message says which."""


@contextlib.contextmanager
def busy_loops() -> Iterator[None]:
    """Keep every core busy with several processes of normal priority for the time of the body."""
    command = [sys.executable, "-I", "-S", "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(LOOPS_A_CORE * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def crowd(pid: int, output: Path, rng: random.Random) -> int:
    """Crowd the processors until another sample is made, or the run is over; then it is asked to stop.

    The crowd comes once there is a worker and a checkpoint for it to speak: only then is a sample due.

    Raises:
        Broken: the worker is there and has work, but no sample arrives.
    """
    manifest = output / "samples" / "manifest.jsonl"
    _wait_for_workers(pid)
    while is_alive(pid) and not any((output / "checkpoints").glob("checkpoint_epoch_*.pt")):
        time.sleep(0.02)
    before = _made(manifest)
    with busy_loops():
        deadline = time.monotonic() + PATIENCE
        while is_alive(pid) and _made(manifest) == before:
            if time.monotonic() > deadline:
                raise Broken(f"no sample was made in {PATIENCE:.0f} s beside {LOOPS_A_CORE} busy loops a core")
            time.sleep(0.1)
    struck = _made(manifest) > before
    time.sleep(rng.uniform(0, 0.5))
    kill(pid, signal.SIGTERM)
    return int(struck)


def _made(manifest: Path) -> int:
    return sum(line.get("outcome") == "made" for line in read_json_lines(manifest))


def pause_worker(pid: int, _output: Path, rng: random.Random) -> int:
    """Stop the worker as Ctrl-Z does; let it go on after a while, or ask the run to stop while it stands still."""
    workers = _wait_for_workers(pid)
    time.sleep(rng.uniform(0, 2))
    struck = sum(kill(worker, signal.SIGSTOP) for worker in workers)
    time.sleep(rng.uniform(0.5, 4))
    if rng.random() < 0.5:
        for worker in workers:
            kill(worker, signal.SIGCONT)
        time.sleep(rng.uniform(0.5, 2))
    kill(pid, signal.SIGTERM)
    return int(struck > 0)


def pause_trainer(pid: int, _output: Path, rng: random.Random) -> int:
    """Stop the trainer, whose worker goes on and fills the pipe; after a while the run is asked to stop."""
    _wait_for_workers(pid)
    time.sleep(rng.uniform(0, 2))
    struck = kill(pid, signal.SIGSTOP)
    time.sleep(rng.uniform(0.5, 4))
    kill(pid, signal.SIGCONT)
    time.sleep(rng.uniform(0.2, 1))
    kill(pid, signal.SIGTERM)
    return int(struck)


def run_out_of_memory(pid: int, _output: Path, rng: random.Random) -> int:
    """Let somebody beside trainer and worker fill the memory that all three may have; then kill the trainer.

    Raises:
        Broken: the system killed the trainer for it, although there was a worker to be had.
    """
    workers = _wait_for_workers(pid)
    time.sleep(rng.uniform(0, 2))
    try:
        with _memory_group(pid) as group:
            return _fill(group, pid, [worker for worker in workers if is_alive(worker)])
    except OSError:  # not allowed here, or there are no control groups
        return 0
    finally:
        kill(pid)


@contextlib.contextmanager
def _memory_group(pid: int) -> Iterator[Path]:
    """A control group with little memory, and none of its own processes left in it at the end."""
    place = next((one for one in CONTROL_GROUPS if (one / LIMITS[0]).exists()), CONTROL_GROUPS[-1])
    group = place / f"faults-{os.getpid()}-{pid}"
    group.mkdir()
    try:
        limit = next((group / name for name in LIMITS if (group / name).exists()), None)
        if limit is None:
            raise FileNotFoundError(group)
        limit.write_text(str(MEMORY))
        yield group
    finally:
        kill(pid)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and (group / "cgroup.procs").read_text():
            time.sleep(0.02)
        group.rmdir()


def _fill(group: Path, pid: int, workers: list[int]) -> int:
    """Fill the group's memory until a worker is gone; whether that came to pass."""
    filler = subprocess.Popen([sys.executable, "-I", "-S", "-c", FILL, *map(str, workers)], stdin=subprocess.PIPE)
    try:
        for one in (pid, *workers, filler.pid):
            (group / "cgroup.procs").write_text(str(one))
        if filler.stdin is not None:
            filler.stdin.close()
        deadline = time.monotonic() + 20
        while workers and time.monotonic() < deadline and is_alive(pid) and all(is_alive(one) for one in workers):
            time.sleep(0.002)
        if workers and not is_alive(pid) and all(is_alive(worker) for worker in workers):
            raise Broken("memory ran out, and the system killed the trainer, not its worker")
        struck = not all(is_alive(worker) for worker in workers)
        time.sleep(0.5)
        return int(struck)
    finally:
        filler.kill()
        filler.wait()


def _wait_for_workers(pid: int) -> list[int]:
    """The workers, as soon as there are any; none where the trainer is over first, or takes very long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and is_alive(pid):
        if found := children_of(pid):
            return found
        time.sleep(0.01)
    return []
