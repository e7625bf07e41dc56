"""Every way to run the project. `nox -l` lists the sessions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
PYTHON = "3.11"
CONSTRAINTS = "constraints.txt"
TESTS = nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), "tests")
LINT = nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), "lint")


def _install(session: nox.Session, *packages: str, extras: str = "train,report") -> None:
    """Install the package with `extras`, at the exact versions of constraints.txt."""
    session.install("-c", CONSTRAINTS, "-e", f".[{extras}]", *packages)


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
    _install(session, *TESTS)
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Ruff and strict mypy."""
    _install(session, *LINT, *TESTS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
