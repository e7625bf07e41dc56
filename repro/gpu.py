"""Everything that needs a GPU, in one command: ``python -m repro.gpu --out DIR``.

It takes less than eight minutes, and goes on where it was stopped when started again with the same DIR; steps that are
done are left out. It needs the packages of the project's `train` extra, but no network and no nox. The results files
in DIR are for `repro/results/`; what each step printed is beside them in `NAME.log`, the list of steps in
`gpu-run.json`. The GPU's settings are left alone.

``--device cpu --quick`` runs the same steps small and without a GPU, to try the mechanics.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cufft_harness import processes
from cufft_harness.probes.registry import NO_JIT

from repro import machine
from repro.store import RunFile, read

ROOT = Path(__file__).parent.parent
BUDGET = 470.0
"""Seconds for all steps together."""
STFT = """
import json, sys, torch
from contextlib import nullcontext
from cufft_harness.fft import bypass
device, tier = sys.argv[1:]
found = {"torch": torch.__version__, "device": device}
try:
    x, window = torch.randn(1, 32000, device=device), torch.hamming_window(400, device=device)
    found["matmul"] = float((window[:, None] @ window[None, :]).sum()) > 0
    with bypass(device) if tier == "bypass" else nullcontext():
        for _ in range(2):
            spectrum = torch.stft(x, 512, 160, 400, window=window, return_complex=True)
    expected = torch.stft(x.cpu().double(), 512, 160, 400, window=window.cpu().double(), return_complex=True)
    error = (spectrum.cpu() - expected).norm() / expected.norm()
    found.update(verdict="pass" if error < 1e-5 else "wrong numbers", relative_error=float(error))
except RuntimeError as error:
    found.update(verdict="failed", detail=str(error).splitlines()[0])
print("RESULT " + json.dumps(found))
"""


@dataclass(frozen=True)
class Step:
    """One child process.

    Attributes:
        limit: seconds it may take.
        succeeds: exit codes that mean it is done; results may be bad news and the step still done.
    """

    name: str
    command: list[str]
    limit: float
    succeeds: tuple[int, ...] = (0,)
    env: dict[str, str] = field(default_factory=dict)


def steps(out: Path, device: str, quick: bool) -> list[Step]:
    """All steps, most wanted first: what is cut off by the time limit is what matters least."""
    python, size, tokens = sys.executable, "tiny" if quick else "full", "8" if quick else "80"
    repeats = "2" if quick else "3"
    stft = [python, "-c", STFT, device]
    bench = [
        python,
        "-m",
        "repro.benchmarks",
        "--size",
        size,
        "--device",
        device,
        "--tokens",
        tokens,
        "--repeats",
        repeats,
    ]
    bench += ["--output", str(out), "--only"]
    suite = [
        python,
        "-m",
        "pytest",
        "repro/matrix",
        "--results",
        str(out),
        "-q",
        *([] if device == "cpu" else ["--gpu-only"]),
    ]
    table = ["--device", device, "--repeats", "2" if quick else "20", "--output", str(out / f"fft-{device}.json")]
    doctor = [python, "-m", "cufft_harness", "doctor", "--json", *(["--quick"] if quick else [])]
    return [
        Step("stft", [*stft, "native"], 60),
        Step("stft-without-jit", [*stft, "native"], 60, env=NO_JIT),
        Step("stft-without-jit-bypass", [*stft, "bypass"], 60, env=NO_JIT),
        Step("doctor", doctor, 90, (0, 3, 4, 5)),
        Step("bench-sample", [*bench, "sample"], 150),
        Step("suite", [*suite, *(["-k", "test_loading"] if quick else [])], 150, (0, 1)),
        Step("fft-table", [python, "-m", "repro.benchmarks.fft_table", *table], 60),
        Step("bench-step", [*bench, "step"], 90),
        Step("bench-flow", [*bench, "flow"], 200),
        Step("bench-quality", [*bench, "quality"], 60),
    ]


def perform(step: Step, out: Path, left: float) -> dict[str, Any]:
    """Run a step and give its outcome, as it goes into gpu-run.json."""
    environment = {**os.environ, **step.env}
    done = processes.run(step.command, timeout_s=min(step.limit, left), env=environment, cwd=ROOT)
    (out / f"{step.name}.log").write_text(machine_free(done.stdout + done.stderr))
    answer = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = json.loads(answer[-1].removeprefix("RESULT ")) if answer else {}
    if done.timed_out:
        verdict = "cut off"
    elif done.returncode not in step.succeeds:
        verdict = "failed"
    else:
        verdict = "done"
    lines = (done.stderr.strip() or done.stdout.strip() or "–").splitlines()
    detail = json.dumps(found) if found else machine.anonymous(lines[-1]) if verdict != "done" else ""
    return {"step": step.name, "outcome": verdict, "seconds": round(done.seconds, 1), "detail": detail}


def machine_free(text: str) -> str:
    """A log without the folders of this machine, line by line."""
    return "\n".join(machine.anonymous(line) for line in text.splitlines()) + "\n"


def done_before(out: Path) -> dict[str, dict[str, Any]]:
    """Outcomes of the steps that earlier runs finished, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("gpu-run.json", "gpu-run.partial.json"):
        with contextlib.suppress(ValueError):  # none there
            found.update({one["step"]: one for one in read(out / name).outcomes if one["outcome"] == "done"})
    return found


def main() -> int:
    """Run what is not done yet; the exit code is 0 when everything is."""
    parser = argparse.ArgumentParser(prog="python -m repro.gpu", description="Everything that needs a GPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; the same one to go on")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="the small model and few repeats: minutes on a CPU")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for all steps together")
    given = parser.parse_args()
    if given.device == "cuda" and machine.gpu() is None:
        parser.exit(5, "no GPU: the driver finds none. `--device cpu --quick` tries the mechanics.\n")
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    before, began = done_before(out), time.monotonic()
    facts = {
        "title": f"Everything that needs a GPU, in one run ({given.device})",
        "note": "What a step measured is in the files of its name.",
        "columns": {"step": "step", "outcome": "outcome", "seconds": "seconds", "detail": "what it said"},
        "machine": machine.facts(),
        "quick": given.quick,
    }
    run, outcomes = RunFile(out, "gpu-run", "benchmark", facts), []
    for step in steps(out, given.device, given.quick):
        left = given.budget - (time.monotonic() - began)
        if step.name in before:
            outcome = before[step.name]
            print(f"{step.name}: done before", flush=True)
        elif left < 5:
            outcome = {"step": step.name, "outcome": "not run", "seconds": 0, "detail": "no time left; start it again"}
        else:
            outcome = perform(step, out, left)
        outcomes.append(outcome["outcome"])
        run.add(outcome)
        print({name: value for name, value in outcome.items() if value != ""}, flush=True)
    run.finish()
    print(f"results: {out}, {outcomes.count('done')} of {len(outcomes)} steps done")
    return 0 if all(one == "done" for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
