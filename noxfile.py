"""Every way to run the project. `nox -l` lists the sessions."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent))
from repro import install as trial
from repro.matrix import bisect as halving
from repro.matrix import rows
from repro.matrix import slurm as array_job

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
PYTHON = "3.11"
CONSTRAINTS = "constraints.txt"
STUDY, TESTS, FUZZ, LINT, DOCS = (
    nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), group)
    for group in ("study", "tests", "fuzz", "lint", "docs")
)


def _install(session: nox.Session, *packages: str, extras: str = "train") -> None:
    """Install the package with `extras` and more packages, all at the exact versions of constraints.txt."""
    session.install("-c", CONSTRAINTS, "-e", f".[{extras}]" if extras else ".", *packages)


@nox.session(python=PYTHON)
def demo(session: nox.Session) -> None:
    """Probe this machine, fine-tune the tiny XTTS on the built-in speech, and say where to listen.

    `nox -s demo -- --inject CUFFT_INVALID_SIZE` shows the same with a broken cuFFT acted out.
    """
    _install(session)
    session.run("cufft-harness", "doctor", "--quick", success_codes=range(256))
    output = next(path for path in _names("demo-output") if not path.exists())
    settings = ["--num-epochs", "3", "--learning-rate", "3e-4", "--warmup-steps", "3", "--sample-max-seconds", "3"]
    session.run("cufft-harness", "train", "--output", str(output), *settings, *session.posargs)


def _names(first: str) -> Iterator[Path]:
    """demo-output, demo-output-2, ...: every demonstration starts afresh and removes nothing."""
    yield Path(first)
    yield from (Path(f"{first}-{number}") for number in itertools.count(2))


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Run the tests of the package: `nox -s tests -- -k dataset` for some of them."""
    _install(session, *STUDY, *TESTS)
    # two processes; each file's tests stay together, because they share models and runs
    session.run("pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Ruff, strict mypy, and which part may import which."""
    _install(session, *STUDY, *LINT, *TESTS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session(python=PYTHON, default=False)
def docs(session: nox.Session) -> None:
    """The documentation site, into build/site; `-- serve` shows it at 127.0.0.1:8000 and follows changes."""
    _install(session, *DOCS)
    quiet = {"DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env=quiet)


@nox.session(python=PYTHON, default=False)
def faults(session: nox.Session) -> None:
    """Hurt real runs for 14 minutes and count what is lost: `-- --seed N` repeats a plan, `--minutes 5` is shorter."""
    _install(session, *STUDY, *TESTS)
    session.run("python", "-m", "repro.kills", "--results", "repro/results", *session.posargs)


@nox.session(python=PYTHON, default=False)
def endurance(session: nox.Session) -> None:
    """One long run, and what of it grows: memory, handles, threads, logs, time; `-- --epochs 300` is the default."""
    _install(session, *STUDY, *TESTS)
    session.run("python", "-m", "repro.kills.endurance", "--results", "repro/results", *session.posargs)


@nox.session(python=PYTHON, default=False)
def truth(session: nox.Session) -> None:
    """Score `diagnose` on the labelled public reports: `-- --show` prints what is wrong, `-- --folder DIR` others."""
    _install(session, *STUDY)
    session.run("python", "-m", "repro.truth", "--results", "repro/results", *session.posargs)


@nox.session(python=PYTHON, default=False)
def fuzz(session: nox.Session) -> None:
    """Fuzz what reads files from outside with atheris: `-- --seconds 60` each, `--only wav,checkpoint`, `--keep`."""
    _install(session, *STUDY, *TESTS, *FUZZ)
    session.run("python", "-m", "repro.fuzz", "--results", "repro/results", *session.posargs)


def _repro(session: nox.Session, row: dict) -> None:
    """Install one row, run the suite in it, remove it: what happens in between is in repro/results."""
    torch, began = row["torch"], time.monotonic()
    chosen = rows.options(session.posargs)
    place = f"[{list(rows.ROWS).index(torch) + 1}/{len(rows.ROWS)}] torch {torch}"
    session.log(f"{place} (CUDA {row['cuda']}, cuFFT {chosen.cufft or row['cufft']['version']})")
    environment = Path(session.virtualenv.location)
    try:
        try:
            swap = rows.swapped_cufft(row, chosen.cufft) if chosen.cufft else ""
        except ValueError as error:
            session.error(str(error))  # asked for what cannot be: nothing to record
        reason = _install_row(session, row, chosen, swap)
        if reason:
            try:
                rows.record_failure(torch, chosen, reason)
            except OSError as error:
                reason += f" (which could not be written down: {error.strerror})"
            session.error(f"{place} could not be tested: {reason}")
        flags = [flag for flag in chosen.as_arguments() if flag not in ("--keep", "--again")]
        session.run("python", "-m", "pytest", "repro/matrix", *flags)
    finally:
        if not chosen.keep:
            shutil.rmtree(environment, ignore_errors=True)
            shutil.rmtree(ROOT / ".nox" / "cache", ignore_errors=True)
        done = "done" if rows.is_done(torch, chosen) else "not done"
        session.log(f"{place}: {done} after {time.monotonic() - began:.0f} s")


def _install_row(session: nox.Session, row: dict, chosen: rows.Options, swap: str) -> str:
    """Install a row's packages; the reason in one line if that fails, else an empty string."""
    if rows.free_gb() < rows.ROW_GB:
        return f"{rows.free_gb():.0f} GB of disk free, {rows.ROW_GB} GB needed"
    if rows.free_gb() < rows.CACHE_GB:
        session.env["UV_CACHE_DIR"] = str(ROOT / ".nox" / "cache")
    folder = Path(session.create_tmp())
    overrides, log = folder / "overrides.txt", folder / "install.log"
    overrides.write_text("\n".join(row.get("override", [])))
    arguments = ["--exclude-newer", str(rows.VERSIONS["resolved_on"]), "--overrides", str(overrides)]
    try:
        with log.open("w") as output:
            streams = {"silent": False, "stdout": output, "stderr": subprocess.STDOUT}
            session.install(*arguments, *rows.packages(row, chosen), **streams)
            if swap:  # last: any install that names torch puts torch's own back
                session.install("--no-deps", swap, **streams)
        if row.get("drop_torchaudio_extension") and not chosen.no_tts:
            session.run("python", "-c", rows.NO_EXTENSION)
    except CommandFailed:
        return rows.reason_of(log.read_text(errors="replace"))
    return ""


def _define_repro(row: dict) -> None:
    def repro_row(session: nox.Session) -> None:
        _repro(session, row)

    repro_row.__doc__ = f"torch {row['torch']}: CUDA {row['cuda']}, cuFFT {row['cufft']['version']}, {row['tts']}."
    nox.session(repro_row, name=f"repro-{row['torch']}", python=row["python"], venv_backend="uv", default=False)


for _row in rows.ROWS.values():
    _define_repro(_row)


@nox.session(venv_backend="none", default=False)
def repro(session: nox.Session) -> None:
    """All rows one after another, those already done left out; `-- --again`, `--no-tts`, `--gpu-only`, `--keep`.

    `-- --slurm OPTIONS` makes one array job of them instead; what follows --slurm goes to sbatch.
    """
    if "--slurm" in session.posargs:
        at = session.posargs.index("--slurm")
        chosen = rows.options(session.posargs[:at])
        wanted = [torch for torch in rows.ROWS if chosen.again or not rows.is_done(torch, chosen)]
        try:
            number = array_job.submit(wanted, chosen.as_arguments(), session.posargs[at + 1 :])
        except array_job.NotSubmitted as error:
            session.error(str(error))
        session.log(f"job {number}: {len(wanted)} rows; results come into repro/results as they go")
        return
    chosen = rows.options(session.posargs)
    for torch in rows.ROWS:
        if rows.is_done(torch, chosen) and not chosen.again:
            session.log(f"torch {torch}: done before, skipped (-- --again runs it again)")
        else:
            session.notify(f"repro-{torch}", session.posargs)


@nox.session(python=trial.PYTHONS, reuse_venv=False, default=False)
def install(session: nox.Session) -> None:
    """What a user gets: the wheel, unpinned, in a clean environment, and the README's commands in it.

    `-- --first torch==2.8.0` is a user who has that already; `nox -db venv -s install` takes pip in the place of uv.
    """
    chosen, folder = trial.options(session.posargs), Path(tempfile.mkdtemp(prefix="cufft-harness-"))
    environment, binaries = Path(session.virtualenv.location).resolve(), Path(session.bin).resolve()
    installer = "uv" if session.venv_backend == "uv" else "pip"
    facts = {"python": str(session.python), "installer": installer, "first": chosen.first}
    tried = trial.Trial(trial.run_name(str(session.python), installer, chosen), facts, binaries, folder / "elsewhere")
    session.env.update(dict.fromkeys(set(os.environ) - trial.outside(os.environ).keys()))
    try:
        if reason := _install_wheel(session, tried, chosen.first, folder):
            tried.fail(reason)
        else:
            for step in trial.STEPS:
                session.log(f"{' '.join(step.command)}")
                tried.perform(step)
            tried.finish()
        if tried.problems:
            session.error("; ".join(tried.problems))
    finally:
        if not chosen.keep:
            shutil.rmtree(environment, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)


def _install_wheel(session: nox.Session, tried: trial.Trial, first: Sequence[str], folder: Path) -> str:
    """Build the wheel and install it with its newest dependencies; the reason in one line if that fails."""
    if rows.free_gb() < trial.ENVIRONMENT_GB:
        return f"{rows.free_gb():.0f} GB of disk free, {trial.ENVIRONMENT_GB} GB needed"
    uv = session.venv_backend == "uv"
    build = ["uv", "build", "--wheel", "-o"] if uv else ["python", "-m", "pip", "wheel", "--no-deps", "-w"]
    log = folder / "install.log"
    try:
        with log.open("w") as output:
            streams = {"silent": False, "stdout": output, "stderr": subprocess.STDOUT}
            session.run_install(*build, str(folder), str(ROOT), **streams)
            (wheel,) = folder.glob("*.whl")
            if first:
                session.install(*first, **streams)
                tried.note_what_is_there()
            began = time.monotonic()
            session.install(f"cufft-harness[train] @ {wheel.as_uri()}", **streams)
    except CommandFailed:
        return rows.reason_of(log.read_text(errors="replace"))
    tried.installed(time.monotonic() - began)
    return ""


@nox.session(python=PYTHON, default=False)
def fleet(session: nox.Session) -> None:
    """Made-up fleets of 100 to 100,000 GPUs with known faults: what `cufft-harness fleet` finds, time and memory."""
    _install(session, *STUDY, extras="")
    session.run("python", "-m", "repro.fleet", "--results", "repro/results", *session.posargs)


@nox.session(python=PYTHON, default=False)
def cluster(session: nox.Session) -> None:
    """A real Slurm on this machine (Debian's slurmctld, slurmd, munge; root): nodes that break, rows, training."""
    _install(session, *STUDY)
    session.run("python", "-m", "repro.cluster", "--results", "repro/results", *session.posargs, success_codes=[0, 75])


@nox.session(python=PYTHON, default=False)
def bench(session: nox.Session) -> None:
    """Speed beside the baselines: `-- --size full` for the figures that count, `-- --only sample,flow` for some."""
    _install(session, *STUDY)
    session.run("python", "-m", "repro.benchmarks", *session.posargs)


@nox.session(python=PYTHON, default=False)
def parity(session: nox.Session) -> None:
    """Train 30 updates with --recipe coqui and with coqui's own GPTTrainer, side by side; fails if they differ."""
    _install(session)
    session.run("python", "-m", "repro.training.parity", *session.posargs)


@nox.session(python=PYTHON, default=False)
def report(session: nox.Session) -> None:
    """REPORT.md from the results; `-- --check` only says whether it is up to date."""
    _install(session, *STUDY, extras="")
    session.run("python", "-m", "repro.report", *session.posargs)


@nox.session(venv_backend="none", default=False)
def bisect(session: nox.Session) -> None:
    """`-- --good 2.6.0 --bad 2.8.0 --test NAME`: the first release where an outcome changes; resumes by itself."""

    def run(torch: str, flags: list[str]) -> None:
        session.run(sys.executable, "-m", "nox", "-s", f"repro-{torch}", "--", *flags, success_codes=[0, 1])

    try:
        session.log(halving.bisect(session.posargs, run))
    except halving.CannotBisect as error:
        session.error(str(error))
