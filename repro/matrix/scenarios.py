"""The table of scenarios, and how one is run in a process of its own. No torch is imported here."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cufft_harness import processes

from repro import machine

ROOT = Path(__file__).parents[2]
# The driver reads both when the process starts: nothing is compiled, nothing is taken from an earlier compilation.
NO_JIT = {"CUDA_DISABLE_PTX_JIT": "1", "CUDA_CACHE_DISABLE": "1"}
CODE = re.compile(r"CUFFT_[A-Z_]+|cuFFT error: (unknown error \d+)|CUDA out of memory|no kernel image|MKL FFT error")


@dataclass(frozen=True)
class Scenario:
    """One thing to try.

    Attributes:
        name: ``fft.stft``: the module and function that `repro.matrix.child` calls.
        title: the heading of its column in the report.
        gpu_only: it says nothing on a CPU.
        extra_environment: what is set in the child's environment.
        may_fail_with: codes of a limit of PyTorch itself, which the report shows and the test accepts.
    """

    name: str
    title: str
    gpu_only: bool = False
    extra_environment: tuple[tuple[str, str], ...] = ()
    may_fail_with: tuple[str, ...] = ()
    limit_s: float = 300.0

    @property
    def function(self) -> str:
        """What `repro.matrix.child` runs: several scenarios may run one function in different environments."""
        return self.name.partition(" ")[0]


SCENARIOS = [
    Scenario("fft.stft", "STFT"),
    Scenario("fft.fft_functions", "FFT functions"),
    Scenario("fft.istft", "inverse STFT"),
    Scenario("fft.gradient", "gradient"),
    Scenario("fft.empty_batch", "empty batch", may_fail_with=("MKL FFT error", "CUFFT_INVALID_SIZE")),
    Scenario("fft.threads", "STFT in threads"),
    Scenario("fft.stft without JIT", "STFT, PTX JIT off", gpu_only=True, extra_environment=tuple(NO_JIT.items())),
    Scenario("fft.little_memory", "STFT, 256 MB free", gpu_only=True),
    Scenario("fft.after_out_of_memory", "STFT after OOM", gpu_only=True),
    Scenario("xtts.fresh", "XTTS conditioning, fresh"),
    Scenario("xtts.after_training", "XTTS after training"),
    Scenario("xtts.between_training", "XTTS between training", gpu_only=True),
    Scenario("xtts.five_loads", "XTTS loaded five times"),
    Scenario("xtts.moved_off_and_on", "XTTS moved off and on", gpu_only=True),
    Scenario("xtts.in_threads", "XTTS in threads", gpu_only=True),
    Scenario("xtts.little_memory", "XTTS, 256 MB free", gpu_only=True),
    Scenario("xtts.after_out_of_memory", "XTTS after OOM", gpu_only=True),
    Scenario("xtts.fresh without JIT", "XTTS, PTX JIT off", gpu_only=True, extra_environment=tuple(NO_JIT.items())),
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def run(name: str, device: str, tier: str) -> dict:
    """Run a scenario in a child process; the outcome as it stands in a results file."""
    scenario = BY_NAME[name]
    began = time.monotonic()
    result = (_forked if device == "cpu" else _started)(scenario, device, tier)
    outcome = {"scenario": name, "device": device, "tier": tier, **result}
    outcome["detail"] = machine.anonymous(outcome.get("detail", ""))
    if code := CODE.search(outcome["detail"]):
        outcome["code"] = code.group(1) or code.group(0)
    outcome.setdefault("seconds", round(time.monotonic() - began, 2))
    return outcome


def _started(scenario: Scenario, device: str, tier: str) -> dict:
    """In a new process: with a GPU every scenario has a CUDA context of its own, made by nobody before."""
    command = [sys.executable, "-m", "repro.matrix.child", scenario.function, device, tier]
    environment = {**os.environ, **dict(scenario.extra_environment)}
    finished = processes.run(command, timeout_s=scenario.limit_s, cwd=ROOT, env=environment)
    if finished.timed_out:
        return _late(scenario, finished.unkillable)
    answers = [line for line in finished.stdout.splitlines() if line.startswith("RESULT ")]
    if answers:
        return json.loads(answers[-1].removeprefix("RESULT "))
    lines = finished.stderr.strip().splitlines() or ["no message"]
    return _silent(finished.returncode, lines[-1])


def _forked(scenario: Scenario, device: str, tier: str) -> dict:
    """In a fork of a process that has imported everything and done nothing: without CUDA that is as good, and quick."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["repro.matrix.preload"])
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(sender, scenario.function, device, tier))
    child.start()
    sender.close()
    try:
        if receiver.poll(scenario.limit_s):
            return receiver.recv()
        child.kill()
        child.join(2)
        return _late(scenario, child.is_alive())
    except EOFError:
        child.join()
        return _silent(child.exitcode, "it ended without a word")
    finally:
        child.join(2)


def _answer(sender, *arguments: str) -> None:
    from repro.matrix.child import perform

    sender.send(perform(*arguments))


def _late(scenario: Scenario, unkillable: bool) -> dict:
    verdict = "unkillable" if unkillable else "hung"
    return {"verdict": verdict, "detail": f"no answer within {scenario.limit_s:.0f} s"}


def _silent(status: int | None, message: str) -> dict:
    if status and status < 0:
        return {"verdict": "crashed", "code": signal.Signals(-status).name, "detail": "ended by a signal"}
    return {"verdict": "could not be tested", "detail": f"exit status {status}: {message}"}
