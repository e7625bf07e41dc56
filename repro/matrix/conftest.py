"""Writes every outcome to the run's results file the moment it is known."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.probes.outcome import Verdict

from repro import machine
from repro.matrix import rows, scenarios
from repro.matrix.outcomes import ScenarioOutcome, SimulatedOutcome
from repro.simdriver import library
from repro.store import RunFile

Observe = Callable[[str, str, str], ScenarioOutcome]
Attempt = Callable[[str, str, str], None]
HAS_GPU = machine.gpu() is not None


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    group = parser.getgroup("repro")
    group.addoption("--gpu-only", action="store_true", help="only what runs on a GPU")
    group.addoption("--no-tts", action="store_true", help="without XTTS")
    group.addoption("--cufft", help="the version of cuFFT that was put in the place of torch's own")
    group.addoption(
        "--results", type=Path, help="folder of the results file (default: repro/results; with -k a temporary one)"
    )


class Recorder:
    """The results file of this run, and what the tests add to it."""

    def __init__(self, config: pytest.Config) -> None:
        self.options = rows.Options(
            cufft=config.getoption("--cufft"),
            gpu_only=config.getoption("--gpu-only"),
            no_tts=config.getoption("--no-tts"),
        )
        folder = config.getoption("--results")
        if folder is None:
            selected = config.getoption("keyword") or config.getoption("markexpr")
            folder = Path(tempfile.mkdtemp(prefix="repro-")) if selected else rows.RESULTS
        torch = metadata.version("torch").partition("+")[0]
        packages = sorted(f"{found.metadata['Name']}=={found.version}" for found in metadata.distributions())
        facts = {
            "torch": torch,
            "row": rows.ROWS_AS_JSON.get(torch) or self.unlisted(torch),
            "options": {
                name: value for name, value in vars(self.options).items() if name in ("cufft", "gpu_only", "no_tts")
            },
            "machine": machine.facts(),
            "environment": {},
            "packages": packages,
            # results explain themselves: the report needs nothing of the suite
            "scenarios": [[one.name, one.title, one.gpu_only] for one in scenarios.SCENARIOS],
        }
        try:
            self.file = RunFile(folder, rows.run_name(torch, self.options), "repro", facts)
        except OSError as error:
            pytest.exit(f"cannot write results: {error.strerror}", returncode=3)

    @staticmethod
    def unlisted(torch: str) -> dict[str, Any]:
        """A row for a release that versions.toml does not list: an environment of somebody's own."""
        found = library.installed()
        return {"torch": torch, "cuda": "–", "cufft": {"version": found.version if found else "–"}}

    def add(self, *outcomes: ScenarioOutcome | SimulatedOutcome) -> None:
        """Write outcomes down; stop the run with one line if that is impossible."""
        try:
            self.file.extend([outcome.as_row() for outcome in outcomes])
        except OSError as error:
            pytest.exit(f"cannot write results: {error.strerror}; what was measured so far is kept", returncode=3)


RECORDER = pytest.StashKey["Recorder | None"]()
RESULTS_PATH = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Open the results file when tests are going to run."""
    config.stash[RECORDER] = None if config.option.collectonly else Recorder(config)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the results file, unless the run was interrupted or an internal error ended it."""
    recorder = session.config.stash[RECORDER]
    if recorder and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.config.stash[RESULTS_PATH] = recorder.file.finish()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the results are."""
    if RESULTS_PATH in config.stash:
        terminalreporter.write_line(f"results: {os.path.relpath(config.stash[RESULTS_PATH])}")


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Recorder:
    """The run's results file."""
    recorder = pytestconfig.stash[RECORDER]
    assert recorder is not None
    return recorder


@pytest.fixture
def observe(recorder: Recorder) -> Observe:
    """``observe(scenario, device, tier)``: run it in a child and write it down; skip what cannot be run here."""

    def run(name: str, device: str, tier: str) -> ScenarioOutcome:
        reason = why_not(name, device, recorder.options)
        if reason:
            recorder.add(ScenarioOutcome(name, device, tier, None, detail=reason))
            pytest.skip(reason)
        outcome, environment = scenarios.run(name, device, tier)
        if len(environment) > len(recorder.file.facts("environment")):
            recorder.file.note(environment=environment)
        recorder.add(outcome)
        if outcome.verdict is Verdict.NOT_TESTED:
            pytest.skip(outcome.detail)
        return outcome

    return run


@pytest.fixture
def attempt(observe: Observe) -> Attempt:
    """``attempt(scenario, device, tier)``: the same, and it has to pass, or fail at a limit of PyTorch itself."""

    def run(name: str, device: str, tier: str) -> None:
        outcome = observe(name, device, tier)
        if outcome.code not in scenarios.BY_NAME[name].may_fail_with:
            assert outcome.verdict is Verdict.PASS, outcome.detail

    return run


def why_not(name: str, device: str, options: rows.Options) -> str:
    """Why a scenario is not run here; empty if it is."""
    if device == "cuda" and not HAS_GPU:
        return "no GPU on this machine"
    if device == "cpu" and options.gpu_only:
        return "--gpu-only"
    if name.startswith("xtts.") and options.no_tts:
        return "--no-tts"
    return ""
