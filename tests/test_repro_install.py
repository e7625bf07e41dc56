"""The trial of the documented install: it runs what the README says, outside of the checkout, and failures show."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from repro import install, store
from repro.install import PYTHONS, STEPS, Options, Step, Trial

ROOT = Path(__file__).parent.parent


def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *commands: Step) -> store.Run:
    """Run steps with this Python as the environment, and read what was written down."""
    monkeypatch.setattr(install, "RESULTS", tmp_path / "results")
    facts = {"python": "3.11", "installer": "uv", "first": []}
    trial = Trial("install-3.11_here", facts, Path(sys.executable).parent, tmp_path / "elsewhere")
    for step in commands:
        trial.perform(step)
    trial.finish()
    return store.read(tmp_path / "results" / "install-3.11_here.json")


def test_a_step_counts_by_exit_code_and_by_what_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One that ends well without its sample, one that fails and one that hangs are failures, each with a reason."""
    code = ("python", "-c")
    run = steps(
        tmp_path,
        monkeypatch,
        Step("good", (*code, "open('made', 'w').close()"), 30, leaves="made"),
        Step("empty", (*code, "pass"), 30, leaves="sample.wav"),
        Step("bad", (*code, "raise SystemExit('no such thing')"), 30),
        Step("slow", (*code, "import time; time.sleep(60)"), 0.2),
    )
    details = {one["step"]: (one["verdict"], one["detail"]) for one in run.outcomes}
    assert details == {
        "good": ("pass", ""),
        "empty": ("failed", "sample.wav is not there"),
        "bad": ("failed", "exit code 1: no such thing"),
        "slow": ("failed", "no end within 0 s"),
    }


def test_the_checkout_is_not_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither a variable of the lab nor its constraints reach the commands."""
    lab = {"PYTHONPATH": "harness", "UV_CONSTRAINT": "constraints.txt", "PIP_CONSTRAINT": "x", "HOME": "/home/somebody"}
    assert install.outside(lab) == {"HOME": "/home/somebody"}
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code = f"import os, sys; sys.exit('PYTHONPATH' in os.environ or os.getcwd().startswith({str(ROOT)!r}))"
    assert steps(tmp_path, monkeypatch, Step("path", ("python", "-c", code), 30)).outcomes[0]["verdict"] == "pass"


def test_packages_that_were_there_before_are_compared_file_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package whose file was touched by the installation is named."""
    monkeypatch.setattr(install, "RESULTS", tmp_path)
    facts = {"python": "3.11", "installer": "uv", "first": ["torch==2.8.0"]}
    trial = Trial("install-3.11", facts, Path(sys.executable).parent, tmp_path / "elsewhere")
    before = {"torch": "2.8.0 aa", "numpy": "2.4.6 bb"}
    states = iter([before, {**before, "torch": "2.8.0 cc", "six": "1.17.0 dd"}])
    monkeypatch.setattr(trial, "_installed", lambda: next(states))
    trial.note_what_is_there()
    trial.installed(1.0)
    assert trial.problems[0] == "install: changed: torch"


def test_results_of_different_trials_have_different_names():
    """Python, what was there before, the installer."""
    names = {
        install.run_name(python, installer, Options(first))
        for python in PYTHONS
        for installer in ("uv", "pip")
        for first in ((), ("torch==2.8.0",))
    }
    assert len(names) == 16


def test_the_readme_names_the_commands_that_are_tried():
    """A user copies from there; nothing is promised that is not run."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for step in STEPS:
        if step.title != "--help":
            assert shlex.join(step.command) in readme
