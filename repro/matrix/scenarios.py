"""The table of scenarios, and how one is run in a process of its own. No torch is imported here."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cufft_harness import processes
from cufft_harness.probes.outcome import Outcome, Verdict, from_dict
from cufft_harness.probes.registry import NO_JIT

from repro import machine
from repro.matrix.outcomes import ScenarioOutcome

ROOT = Path(__file__).parents[2]
PROBES, XTTS = "cufft_harness.probes", "repro.matrix.xtts_scenarios"


@dataclass(frozen=True)
class Scenario:
    """One thing to try.

    Attributes:
        name: as it stands in results: ``fft.stft``.
        title: the heading of its column in the report.
        entry: module and function that `child` calls; several scenarios may call one in different environments.
        gpu_only: it says nothing on a CPU.
        env: environment variables of its process.
        may_fail_with: codes of a limit of PyTorch itself, which the report shows and the test accepts.
        limit_s: its time limit.
    """

    name: str
    title: str
    entry: str
    gpu_only: bool = False
    env: dict[str, str] = field(default_factory=dict)
    may_fail_with: tuple[str, ...] = ()
    limit_s: float = 300.0


EMPTY = ("MKL FFT error", "CUFFT_INVALID_SIZE")
SCENARIOS = [
    Scenario("fft.stft", "STFT", f"{PROBES}.stft:run"),
    Scenario("fft.fft_functions", "FFT functions", f"{PROBES}.transforms:run"),
    Scenario("fft.istft", "inverse STFT", f"{PROBES}.istft:run"),
    Scenario("fft.gradient", "gradient", f"{PROBES}.gradient:run"),
    Scenario("fft.empty_batch", "empty batch", f"{PROBES}.empty_batch:run", may_fail_with=EMPTY),
    Scenario("fft.threads", "STFT in threads", f"{PROBES}.threads:run"),
    Scenario("fft.reference", "the reference beside NumPy's", "repro.matrix.reference:judge"),
    Scenario("fft.stft without JIT", "STFT, PTX JIT off", f"{PROBES}.stft:run", gpu_only=True, env=NO_JIT),
    Scenario("fft.little_memory", "STFT, 256 MB free", f"{PROBES}.low_memory:quarter_of_a_gigabyte", gpu_only=True),
    Scenario("fft.after_out_of_memory", "STFT after OOM", f"{PROBES}.after_oom:run", gpu_only=True),
    Scenario("xtts.fresh", "XTTS conditioning, fresh", f"{XTTS}:fresh"),
    Scenario("xtts.after_training", "XTTS after training", f"{XTTS}:after_training"),
    Scenario("xtts.between_training", "XTTS between training", f"{XTTS}:between_training", gpu_only=True),
    Scenario("xtts.five_loads", "XTTS loaded five times", f"{XTTS}:five_loads"),
    Scenario("xtts.moved_off_and_on", "XTTS moved off and on", f"{XTTS}:moved_off_and_on", gpu_only=True),
    Scenario("xtts.in_threads", "XTTS in threads", f"{XTTS}:in_threads", gpu_only=True),
    Scenario("xtts.little_memory", "XTTS, 256 MB free", f"{XTTS}:little_memory", gpu_only=True),
    Scenario("xtts.after_out_of_memory", "XTTS after OOM", f"{XTTS}:after_out_of_memory", gpu_only=True),
    Scenario("xtts.fresh without JIT", "XTTS, PTX JIT off", f"{XTTS}:fresh", gpu_only=True, env=NO_JIT),
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def run(name: str, device: str, tier: str) -> tuple[ScenarioOutcome, dict[str, Any]]:
    """Run a scenario in a child process: its outcome, and what the child says of its environment."""
    scenario = BY_NAME[name]
    began = time.monotonic()
    outcome, environment = (_forked if device == "cpu" else _started)(scenario, device, tier)
    error = outcome.relative_error
    return (
        ScenarioOutcome(
            name,
            device,
            tier,
            outcome.verdict,
            outcome.code or "",
            machine.anonymous(outcome.detail),
            None if error is None else float(f"{error:.2g}"),
            round(outcome.seconds or time.monotonic() - began, 2),
        ),
        environment,
    )


Ended = tuple[Outcome, dict[str, Any]]


def _started(scenario: Scenario, device: str, tier: str) -> Ended:
    """In a new process: with a GPU every scenario has a CUDA context of its own, made by nobody before."""
    command = [sys.executable, "-m", "repro.matrix.child", scenario.entry, device, tier]
    finished = processes.run(command, timeout_s=scenario.limit_s, cwd=ROOT, env={**os.environ, **scenario.env})
    if finished.timed_out:
        return _late(scenario, finished.unkillable)
    answers = [line for line in finished.stdout.splitlines() if line.startswith("RESULT ")]
    if answers:
        return _answered(json.loads(answers[-1].removeprefix("RESULT ")))
    lines = finished.stderr.strip().splitlines() or ["no message"]
    return _silent(finished.returncode, lines[-1])


def _forked(scenario: Scenario, device: str, tier: str) -> Ended:
    """In a fork of a process that has imported everything and done nothing: without CUDA that is as good, and quick."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["repro.matrix.preload"])
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(sender, scenario.entry, device, tier))
    child.start()
    sender.close()
    try:
        if receiver.poll(scenario.limit_s):
            return _answered(receiver.recv())
        child.kill()
        child.join(2)
        return _late(scenario, child.is_alive())
    except EOFError:
        child.join()
        return _silent(child.exitcode, "it ended without a word")
    finally:
        child.join(2)


def _answer(sender: Connection, *arguments: str) -> None:
    from repro.matrix.child import perform

    sender.send(perform(*arguments))


def _answered(result: dict[str, Any]) -> Ended:
    return from_dict(result["outcome"]), result["environment"]


def _late(scenario: Scenario, unkillable: bool) -> Ended:
    verdict = Verdict.UNKILLABLE if unkillable else Verdict.HUNG
    return Outcome(verdict, None, f"no answer within {scenario.limit_s:.0f} s"), {}


def _silent(status: int | None, message: str) -> Ended:
    if status and status < 0:
        return Outcome(Verdict.CRASHED, signal.Signals(-status).name, "ended by a signal"), {}
    return Outcome(Verdict.NOT_TESTED, None, f"exit status {status}: {message}"), {}
