"""Every way to run the project. `nox -l` lists the sessions."""

from __future__ import annotations

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
    """Probe this machine, fine-tune the tiny XTTS on the built-in speech, and say where to listen."""
    _install(session)
    session.run("cufft-harness", "train", "--output", "demo-output", *session.posargs)


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
