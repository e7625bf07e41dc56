"""`nox -s cluster`: a real Slurm of three nodes on this machine, and what the project does on it.

    python -m repro.cluster --results repro/results

1. The check as HealthCheckProgram: a node whose simulated driver lacks the PTX compiler drains with the cause as its
   reason; one whose driver hangs drains, too; the healthy one stays; a slurmd that is killed takes nobody along.
2. The documents of all nodes through srun, into `cufft-harness fleet`.
3. Rows of the matrix as an array job.
4. Training on two nodes of two processes each (gloo), beside one process with the same global batch.

The nodes' GPUs are simulated, and so is the libcufft that computes on them; Slurm, the check and the training are real.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cufft_harness import processes

from repro import machine
from repro.cluster.slurm import CannotStart, Slurm, slurm
from repro.matrix import slurm as array_job
from repro.simdriver.build import CannotBuild, build, find_compiler
from repro.store import RunFile, read

ROOT = Path(__file__).parents[2]
HEALTH_CHECK = ROOT / "examples" / "cluster" / "slurm" / "health_check.sh"
FAULTS = {
    "n1": {},
    "n2": {"SIMCUDA_JIT_ERROR": "221", "SIMCUFFT_ERROR": "5"},
    "n3": {"SIMCUDA_INIT_ERROR": "stubborn"},
}
"""Node -> what is wrong with its simulated driver."""
SKIPPED = 75
"""Exit status where there is no Slurm: nothing was tested."""
_DRAIN_LIMIT_S = 90.0
HEALTH_CHECK_SECONDS, CHECK_LIMIT_SECONDS = 10, 10
COLUMNS = {"what": "what", "outcome": "outcome", "detail": "detail"}


class Wrong(Exception):
    """Something is not as it should be; the message is one line."""


def prepare(folder: Path) -> Path:
    """A simulated driver and library, an environment file a node, and the health check that reads it; its path."""
    build(folder)
    source = ROOT / "tests" / "simulated" / "libcufft.c"
    library = folder / "libcufft.so.11"
    subprocess.run([find_compiler(), "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-lm"], check=True)
    for node, fault in FAULTS.items():
        give(folder, node, fault)
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    # the node's own faults, then the check with the simulated library
    program = shlex.quote(str(Path(sys.executable).parent / "cufft-harness"))
    check = (
        f'#!/bin/sh\n. "{folder}/${{SLURMD_NODENAME:-$(hostname -s)}}.env"\n'
        f'exec {program} "$@" --library {shlex.quote(str(library))}\n'
    )
    (bin_folder / "cufft-harness").write_text(check)
    (bin_folder / "cufft-harness").chmod(0o755)
    health_check = folder / "health_check.sh"
    paths = os.pathsep.join([str(bin_folder), "/usr/bin", "/bin", os.environ.get("PATH", "")])
    exports = f"export SLURM_CONF={shlex.quote(str(folder / 'cluster' / 'slurm.conf'))}"
    exports += f" CUFFT_HARNESS_PATH={shlex.quote(paths)}"
    health_check.write_text(f"#!/bin/sh\n{exports}\nexec sh {shlex.quote(str(HEALTH_CHECK))}\n")
    health_check.chmod(0o755)
    return health_check


def give(folder: Path, node: str, fault: dict[str, str]) -> None:
    """Give a node's simulated driver a fault, or take it away."""
    common = {"LD_LIBRARY_PATH": str(folder), "SIMCUDA_HOST_MEMORY": "1", "SIMCUDA_DEVICE_NAME": "Simulated"}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in {**common, **fault}.items()]
    (folder / f"{node}.env").write_text("\n".join(lines) + "\n")


def drains(cluster: Slurm) -> str:
    """The broken nodes drain with their reasons, the healthy one does not."""
    broken = {
        node: cluster.wait(node, lambda state: "drain" in state, _DRAIN_LIMIT_S) for node in FAULTS if FAULTS[node]
    }
    for node, words in {"n2": "ptx-jit-unavailable", "n3": "hung in init"}.items():
        state, reason = broken[node]
        if "drain" not in state or words not in reason:
            raise Wrong(f"{node} is {state} ({reason}), not drained for {words}")
    state, reason = cluster.state("n1")
    if state not in ("idle", "allocated", "mixed"):
        raise Wrong(f"the healthy node is {state} ({reason})")
    return "; ".join(f"{node}: {reason}" for node, (_, reason) in broken.items())


def fleet(cluster: Slurm) -> str:
    """One document a node through srun, and the groups that `fleet` makes of them."""
    for node in FAULTS:  # a drained node takes no jobs, this one neither
        cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
    bin_folder = cluster.folder.parent / "bin"
    command = f"{shlex.quote(str(bin_folder / 'cufft-harness'))} check --json --label node=$SLURMD_NODENAME; true"
    gathered = cluster.run("srun", "-N3", "-n3", "--overcommit", "sh", "-c", command)
    reader = [str(Path(sys.executable).parent / "cufft-harness"), "fleet", "--json", "-"]
    answer = subprocess.run(reader, input=gathered.stdout, capture_output=True, text=True, check=False)
    found = json.loads(answer.stdout)
    causes = sorted(group["cause"] or group["problem"] for group in found["groups"])
    if (found["gpus"], found["healthy"], len(causes)) != (3, 1, 2):
        raise Wrong(f"of three nodes: {found['gpus']} documents, {found['healthy']} healthy, groups {causes}")
    return f"3 documents, 1 healthy; groups: {'; '.join(causes)}"


def mend(cluster: Slurm) -> None:
    """Take the faults away and resume the nodes, once no check that met the fault can still be under way."""
    for node in FAULTS:
        give(cluster.folder.parent, node, {})
    time.sleep(CHECK_LIMIT_SECONDS + 2)
    for node in FAULTS:
        cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")


def repaired(cluster: Slurm) -> str:
    """A node that was mended and resumed stays in service through its next checks."""
    mend(cluster)
    time.sleep(2.5 * HEALTH_CHECK_SECONDS)
    states = {node: cluster.state(node)[0] for node in FAULTS}
    if any("drain" in state or "down" in state for state in states.values()):
        raise Wrong(f"after the repair: {states}")
    return ", ".join(f"{node} {state}" for node, state in states.items())


def rows(cluster: Slurm, release: str) -> str:
    """A row of the matrix as an array job of one task, to its results file."""
    os.environ.update(SLURM_CONF=cluster.environment["SLURM_CONF"], PATH=cluster.environment["PATH"])
    results = cluster.folder / "results"
    flags = ["--no-tts", "--results", str(results)]
    options = ["--nodelist=n1", f"--output={cluster.folder}/row-%a.log", "--wait"]
    try:
        number = array_job.submit([release], flags, options)
    except array_job.NotSubmitted as problem:
        log = cluster.folder / "row-0.log"
        tail = log.read_text(errors="replace").splitlines()[-1:] if log.exists() else []
        raise Wrong(f"{problem} {tail}") from None
    (file,) = results.glob("*.json")
    run = read(file)
    if run.status != "complete":
        raise Wrong(f"job {number}: the row's results are {run.status}")
    return f"torch {release}: {len(run.outcomes)} outcomes"


def training(cluster: Slurm) -> str:
    """Two nodes of two processes beside one process with the same global batch: the losses agree, one manifest."""
    mend(cluster)
    common = ["--model", "tiny", "--num-epochs", "2", "--max-train-samples", "16", "--max-val-samples", "3"]
    common += ["--device", "cpu", "--learning-rate", "3e-4"]
    harness = [sys.executable, "-m", "cufft_harness", "train", *common]
    alone, together = cluster.folder / "alone", cluster.folder / "together"
    one = processes.run([*harness, "--output", str(alone), "--batch-size", "8"], timeout_s=600)
    launch = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2", "--rdzv-backend=c10d",
        "--rdzv-endpoint=127.0.0.1:29517", "--rdzv-id=harness", "--local-addr=127.0.0.1",
        *harness[1:], "--output", str(together), "--batch-size", "2",
    ]  # fmt: skip
    srun = ["srun", "-N2", "-n2", "--ntasks-per-node=1", "--nodelist=n1,n2", "--overcommit"]
    many = cluster.run(*srun, *launch, timeout_s=900)
    for name, finished in (("one process", one), ("four processes", many)):
        if finished.returncode:
            lines = (finished.stderr.strip() or finished.stdout.strip() or "no message").splitlines()
            raise Wrong(f"{name}: exit status {finished.returncode}: {lines[-1]}")
    ours, theirs = _losses(alone), _losses(together)
    apart = max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))
    samples = (together / "samples" / "manifest.jsonl").read_text().splitlines()
    if apart > 1e-2:
        raise Wrong(f"validation losses of one process and of four differ by {apart:.1e}: {ours}, {theirs}")
    return f"validation {theirs[-1]:.4f} and {ours[-1]:.4f}, {apart:.1e} apart; {len(samples)} lines of one manifest"


def _losses(output: Path) -> list[float]:
    import torch

    newest = max((output / "checkpoints").glob("checkpoint_epoch_*.pt"), key=lambda path: path.stat().st_mtime_ns)
    history = torch.load(newest, weights_only=True)["history"]
    return [float(one["validation"]) for one in history]


def killed(cluster: Slurm) -> str:
    """A slurmd that is killed takes its node down, and no other."""
    cluster.kill("n2")
    state, reason = cluster.wait("n2", lambda state: "down" in state, 60)
    others = [cluster.state(node)[0] for node in ("n1", "n3")]
    if "down" not in state or any("down" in other for other in others):
        raise Wrong(f"n2 is {state} ({reason}), the others are {', '.join(others)}")
    return f"n2: {reason or state}"


def everything(cluster: Slurm, release: str, only: str) -> Iterator[dict[str, Any]]:
    """Every part in turn; one that goes wrong does not keep the next from being tried."""
    parts: list[tuple[str, Callable[[], str]]] = [
        ("broken nodes drain with the cause", lambda: drains(cluster)),
        ("documents of all nodes become groups", lambda: fleet(cluster)),
        ("mended nodes stay in service", lambda: repaired(cluster)),
        ("a row of the matrix as an array job", lambda: rows(cluster, release)),
        ("training on two nodes of two processes", lambda: training(cluster)),
        ("a node that is killed", lambda: killed(cluster)),
    ]
    for what, part in parts:
        if only not in what:
            continue
        try:
            outcome, detail = "pass", part()
        except Wrong as problem:
            outcome, detail = "failed", str(problem)
        yield {"what": what, "outcome": outcome, "detail": machine.anonymous(detail)}


def main() -> int:
    """Start the cluster, try everything, write what came of it."""
    parser = argparse.ArgumentParser(prog="python -m repro.cluster", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, help="folder for the results file")
    parser.add_argument("--release", default="2.11.0", help="the row of the matrix to run as an array job")
    parser.add_argument("--only", default="", help="only parts whose name has these words")
    given = parser.parse_args()
    rows_of_file: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="cufft-harness-slurm-") as name:
        folder = Path(name)
        try:
            health_check = prepare(folder)
            with slurm(folder / "cluster", len(FAULTS), health_check, interval=HEALTH_CHECK_SECONDS) as cluster:
                for row in everything(cluster, given.release, given.only):
                    rows_of_file.append(row)
                    print(f"{row['outcome']}: {row['what']}: {row['detail']}", flush=True)
        except (CannotStart, CannotBuild) as problem:
            print(f"skipped: {problem}")
            return SKIPPED
    if given.results:
        note = (
            "Slurm's own daemons on one machine, three nodes with simulated GPUs; check, fleet and training are real."
        )
        facts = {"title": "On a Slurm cluster", "note": note, "columns": COLUMNS, "machine": machine.facts()}
        file = RunFile(given.results, "cluster-slurm", "benchmark", facts)
        file.extend(rows_of_file)
        file.finish()
    return 1 if any(row["outcome"] != "pass" for row in rows_of_file) else 0


if __name__ == "__main__":
    sys.exit(main())
