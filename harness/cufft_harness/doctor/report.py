"""Show an examination: tables for people, JSON, Markdown."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cufft_harness.diagnosis import render
from cufft_harness.diagnosis.rules import UNDETERMINED
from cufft_harness.doctor.examination import Examination
from cufft_harness.doctor.packages import Misfit, misfits
from cufft_harness.driver.report import PTX_CODES
from cufft_harness.interpreter import Interpreter
from cufft_harness.probes.outcome import Outcome, Verdict, as_dict
from cufft_harness.probes.registry import Probe, Role
from cufft_harness.status import Status

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {Verdict.PASS: "green", Verdict.NOT_TESTED: "dim"}


def machine_rows(examination: Examination) -> list[tuple[str, str]]:
    """What the machine is, as (name, text)."""
    system, driver, torch = examination.system, examination.driver, examination.results.environment
    jit = {True: "works", False: "does not work", None: "not tested"}[driver.compiles_ptx]
    if driver.ptx_code:
        jit += f" ({driver.ptx_code}: {PTX_CODES.get(driver.ptx_code, 'see CUresult in cuda.h')})"
    elif driver.jit_library is False and driver.present:
        jit += "; libnvidia-ptxjitcompiler.so.1 cannot be loaded"
    cuda = f"CUDA up to {driver.cuda[0]}.{driver.cuda[1]}" if driver.cuda else "version unknown"
    pinned = f", PyTorch asks for {system.pinned_cufft}" if system.pinned_cufft else ""
    rows = [
        ("Python", str(examination.python)),
        ("PyTorch", str(torch.get("torch") or system.torch or "not installed")),
        ("cuFFT loaded", f"{torch.get('cufft') or 'none'}{pinned}"),
        *(
            (("cuFFT tried", "another copy")[bool(number)], f"{copy.path}: {copy.found_by}")
            for number, copy in enumerate(examination.copies)
        ),
        ("GPU", ", ".join(f"{d.name} ({d.capability[0]}.{d.capability[1]})" for d in driver.devices) or "none"),
        ("driver", f"{system.kernel_module or 'no kernel module'}, {cuda}" if driver.present else "no libcuda"),
        ("PTX JIT compiler", jit),
        ("container", system.container or "none"),
        ("mounted driver files", ", ".join(system.driver_mounts)),
        ("variables", ", ".join(f"{name}={value}" for name, value in system.variables)),
        ("packages", examination.packages.summary if examination.packages.packages else ""),
        ("trouble", "; ".join(filter(None, [driver.died, driver.problem, str(torch.get("import_error") or "")]))),
    ]
    return [(name, text) for name, text in rows if text]


def outcome_row(probe: Probe, outcome: Outcome) -> tuple[str, str, str]:
    """Title, verdict with code, detail."""
    verdict = f"{outcome.verdict} ({outcome.code})" if outcome.code else outcome.verdict.value
    if outcome.verdict is Verdict.FAILED and probe.role in (Role.LIMIT, Role.CONTRAST):
        verdict += ", a known limit" if probe.role is Role.LIMIT else ", as expected"
    return probe.title, verdict, outcome.detail


def _in_order(examination: Examination) -> list[tuple[Probe, Outcome]]:
    outcomes = examination.results.outcomes
    return [(probe, outcomes[probe.name]) for probe in examination.probes if probe.name in outcomes]


def as_json(examination: Examination) -> dict[str, Any]:
    """The examination as JSON-ready data; the keys are a contract."""
    diagnosis = render.as_dict(examination.findings, examination.evidence)
    return {
        "status": examination.status.value,
        "exit_code": examination.status.exit_code,
        "device": examination.device,
        "python": {"executable": examination.python.executable, "version": list(examination.python.version)},
        **diagnosis,
        "warnings": list(examination.warnings),
        "packages": {
            "versions": {name: str(one.version) for name, one in examination.packages.packages.items()},
            "misfits": [asdict(misfit) for misfit in misfits(examination.packages)],
        },
        "probes": {
            probe.name: {"title": probe.title, "role": probe.role.value, **as_dict(outcome)}
            for probe, outcome in _in_order(examination)
        },
        "driver": {**asdict(examination.driver), "libraries": dict(examination.driver.libraries)},
        "system": {**asdict(examination.system), "variables": dict(examination.system.variables)},
        "torch": examination.results.environment,
    }


def markdown(examination: Examination) -> str:
    """The examination as Markdown for an issue tracker."""
    lines = [f"**{examination.status.words}**", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(text)} |" for name, text in machine_rows(examination)]
    lines += ["", f"| experiment (on {examination.device}) | verdict | detail |", "|---|---|---|"]
    for probe, outcome in _in_order(examination):
        lines.append("| " + " | ".join(map(_cell, outcome_row(probe, outcome))) + " |")
    lines += ["", *examination.warnings]
    for misfit in misfits(examination.packages):
        lines.append(f"- {misfit.harm}: {misfit.problem}: `{_fix(misfit, examination.python)}`")
    if advice := _advice(examination):
        lines += ["", advice]
    elif examination.findings:
        lines += ["", render.markdown(examination.findings, examination.evidence)]
    return "\n".join(lines)


def _fix(misfit: Misfit, python: Interpreter) -> str:
    """The command that mends it, by the pip of the Python that was examined."""
    pip = "pip" if python.is_this_one else f"{shlex.quote(python.executable)} -m pip"
    return re.sub(r"\bpip (?=install|uninstall)", lambda _: f"{pip} ", misfit.fix)


def _advice(examination: Examination) -> str:
    """What to do where no cause can be named."""
    if examination.system.torch is None:
        return (
            f"The Python at {examination.python.executable} has no PyTorch; "
            "`cufft-harness doctor --python PATH` examines the one your program runs in."
        )
    if examination.status is Status.NOT_TESTED:
        return "Run it on the machine where it fails, or give its log to `cufft-harness diagnose`."
    if examination.findings and examination.findings[0].cause.id == UNDETERMINED:
        return "No known cause fits. `cufft-harness doctor --issue DIR` writes it up for the PyTorch project."
    return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def show(examination: Examination, console: Console) -> None:
    """Print the examination: machine, experiments, conclusion, cause."""
    from rich.markup import escape
    from rich.table import Table

    machine = Table(show_header=False, box=None)
    for name, text in machine_rows(examination):
        machine.add_row(f"[bold]{name}[/]", escape(text))
    console.print(machine)
    table = Table(f"experiment (on {examination.device})", "verdict", "detail")
    for probe, outcome in _in_order(examination):
        title, verdict, detail = outcome_row(probe, outcome)
        known = outcome.verdict is Verdict.FAILED and probe.role in (Role.LIMIT, Role.CONTRAST)
        colour = _COLOURS.get(outcome.verdict, "yellow" if known else "red")
        table.add_row(escape(title), f"[{colour}]{escape(verdict)}[/]", escape(detail))
    console.print(table)
    colour = {Status.HEALTHY: "green", Status.NOT_TESTED: "yellow"}.get(examination.status, "red")
    console.print(f"\n[bold {colour}]{examination.status.words}[/]  [dim]exit code {examination.status.exit_code}[/]")
    for warning in examination.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
    for misfit in misfits(examination.packages):
        console.print(
            f"[yellow]{misfit.harm}: {escape(misfit.problem)}.[/]\n  {escape(_fix(misfit, examination.python))}",
            soft_wrap=True,
        )
    if advice := _advice(examination):
        console.print(advice)
    elif examination.findings:
        render.show(examination.findings, examination.evidence, console)
