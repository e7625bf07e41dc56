"""Run experiments in child processes and turn whatever becomes of a child into a verdict. No torch here.

Experiments that cannot harm each other share an interpreter, because importing torch costs seconds. When one ends the
interpreter (a crash, a hang), that is its verdict, and a fresh interpreter goes on with the next.
"""

from __future__ import annotations

import json
import math
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cufft_harness import processes
from cufft_harness.probes.outcome import Outcome, Verdict, from_dict
from cufft_harness.probes.registry import Probe

STARTUP_S = 60.0
_POLL_S = 0.02

OnOutcome = Callable[[Probe, Outcome], None]


@dataclass
class Results:
    """Outcomes by probe name, and what PyTorch says of its environment (see `cufft_harness.probes.child`)."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


def run_probes(
    probes: Sequence[Probe],
    device: str,
    *,
    no_gpu: str = "",
    on_outcome: OnOutcome = lambda probe, outcome: None,
    startup_s: float = STARTUP_S,
    total_s: float = math.inf,
    grace_s: float = 2.0,
    command: Sequence[str] = tuple(processes.python_module("cufft_harness.probes.child")),
) -> Results:
    """Run `probes` on `device`.

    Args:
        probes: what to run, in order.
        device: torch device for all of them.
        no_gpu: why there is no usable GPU; those that need one are then not started.
        on_outcome: called with each outcome as soon as it is known.
        startup_s: time limit for an interpreter to come up and import torch.
        total_s: time limit for all; what is running then has hung, and what has not begun is not tested.
        grace_s: seconds between the steps of the ending ladder.
        command: the child; it gets RESULT, DEVICE and the names appended.
    """
    results = Results()

    def known(probe: Probe, outcome: Outcome) -> None:
        results.outcomes[probe.name] = outcome
        on_outcome(probe, outcome)

    stuck, end = "", time.monotonic() + total_s
    for group in _groups(probes):
        waiting = list(group)
        if no_gpu:
            for probe in [probe for probe in waiting if probe.needs_gpu]:
                known(probe, Outcome(Verdict.NOT_TESTED, None, no_gpu))
                waiting.remove(probe)
        while waiting:
            if stuck:
                known(waiting.pop(0), Outcome(Verdict.NOT_TESTED, None, stuck))
                continue
            count = len(waiting)
            waiting = _one_child(waiting, device, [*command], startup_s, end, grace_s, results, known)
            if time.monotonic() > end:
                stuck = f"no time was left of {total_s:.0f} s"
            if any(outcome.verdict is Verdict.UNKILLABLE for outcome in results.outcomes.values()):
                stuck = "an earlier child could not be killed and still holds the device"
            if len(waiting) == count:  # it did not even come up: the next will not either
                raise AssertionError("a child ended without a verdict")
    return results


def _groups(probes: Sequence[Probe]) -> list[list[Probe]]:
    """Those that may share an interpreter together, each of the others by itself."""
    together = [probe for probe in probes if not probe.alone]
    return [group for group in (together, *([probe] for probe in probes if probe.alone)) if group]


def _one_child(
    waiting: list[Probe],
    device: str,
    command: list[str],
    startup_s: float,
    end: float,
    grace_s: float,
    results: Results,
    known: OnOutcome,
) -> list[Probe]:
    """Run one interpreter until it is done or must be ended; the probes that it did not reach."""
    env = {**processes.python_environment(), "OMP_NUM_THREADS": "1", **dict(waiting[0].env)}
    with tempfile.TemporaryDirectory(prefix="cufft-harness-") as folder:
        result, errors = Path(folder) / "result.jsonl", Path(folder) / "stderr.txt"
        with errors.open("wb") as stderr:
            process = processes.start(
                [*command, str(result), device, *(probe.name for probe in waiting)],
                env=env,
                stdout=stderr.fileno(),
                stderr=stderr.fileno(),
            )
            reader = _Reader(result, waiting, results, known)
            try:
                timed_out = reader.follow(process, startup_s, end)
            finally:
                gone = processes.end(process, grace_s)
        reader.read()
        complaint = errors.read_bytes()[-2000:].decode(errors="replace").strip()
    left = reader.left
    if not reader.done and left:
        known(left[0], _ending(gone, timed_out, process.returncode, reader, complaint))
        left = left[1:]
    return left


class _Reader:
    """Follows a child's result file."""

    def __init__(self, path: Path, probes: list[Probe], results: Results, known: OnOutcome) -> None:
        self.path, self.left, self.results, self.known = path, list(probes), results, known
        self.done = False
        self.running = "start"
        self._nonsense = self._unfinished = False
        self._offset = 0

    @property
    def broken(self) -> bool:
        """Whether there was a line that is no entry, ever, or one is cut short at the end of what was read last."""
        return self._nonsense or self._unfinished

    def follow(self, process: Any, startup_s: float, end: float) -> bool:
        """Read until the child ends; True if the running experiment's time ran out, or all time at the moment `end`."""
        deadline = time.monotonic() + startup_s
        while process.poll() is None:
            if self.read():
                limit = self.left[0].timeout_s if self.left and self.running == self.left[0].name else startup_s
                deadline = time.monotonic() + limit
            if self.done:
                deadline = min(deadline, time.monotonic() + 2.0)  # nothing is left to do but to leave
            if time.monotonic() > min(deadline, end):
                return not self.done
            time.sleep(_POLL_S)
        return False

    def read(self) -> bool:
        """Take the lines that are new and whole; True if there were any."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            block = stream.read()
        whole = block.rpartition(b"\n")[0]
        self._unfinished = bool(block[len(whole) :].strip())
        if not whole:
            return False
        self._offset += len(whole) + 1
        for line in whole.decode(errors="replace").splitlines():
            self._take(line)
        return True

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, Mapping):
            self._nonsense = True
        elif "begin" in entry:
            self.running = str(entry["begin"])
        elif entry.get("end") == "environment":
            self.results.environment = {key: value for key, value in entry.items() if key != "end"}
        elif entry.get("end") == "all":
            self.done = True
        elif self.left and entry.get("end") == self.left[0].name:
            try:
                outcome = from_dict(entry)
            except ValueError:
                self._nonsense = True
                return
            self.known(self.left.pop(0), outcome)


def _ending(gone: bool, timed_out: bool, returncode: int | None, reader: _Reader, complaint: str) -> Outcome:
    """The verdict on an experiment whose child ended without saying how it went."""
    last = complaint.splitlines()[-1][:200] if complaint else ""
    if not gone:
        return Outcome(Verdict.UNKILLABLE, None, "still there after SIGKILL: stuck inside the driver")
    if timed_out:
        return Outcome(Verdict.HUNG, None, "no answer within its time limit; ended from outside")
    if returncode is not None and returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        return Outcome(Verdict.CRASHED, name, f"the process died in {reader.running}. {last}".strip())
    if reader.broken:
        return Outcome(Verdict.FAILED, "broken result", f"the child wrote half a result. {last}".strip())
    detail = f"the child left with exit status {returncode} and no result. {last}".strip()
    return Outcome(Verdict.FAILED, "no result", detail)
