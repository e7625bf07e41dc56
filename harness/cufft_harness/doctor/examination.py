"""Run everything and come to a conclusion."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cufft_harness.diagnosis.facts import Evidence
from cufft_harness.diagnosis.from_probes import bad, observe
from cufft_harness.diagnosis.rules import Finding, rank
from cufft_harness.doctor.packages import NOTHING, Installed, read_installed
from cufft_harness.driver import DriverReport, SystemReport, probe_driver, read_system
from cufft_harness.interpreter import Interpreter, this_interpreter
from cufft_harness.library import copies
from cufft_harness.library import examine as bare
from cufft_harness.library.copies import Copy
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.registry import PROBES, Probe, Role
from cufft_harness.probes.runner import OnOutcome, Results, run_probes
from cufft_harness.status import Status


@dataclass(frozen=True)
class Examination:
    """Everything that was found out.

    Attributes:
        device: the torch device that the experiments ran on.
        findings: causes, best first; empty if nothing is wrong.
        warnings: what works now but will not with another PyTorch build, one sentence each.
        packages: what is installed of PyTorch's packages and of those that train.
        python: whose PyTorch was examined.
        probes: the experiments, in order: PyTorch's, or those with a bare libcufft.
        copies: of libcufft, where one was tried by itself: the one that was, and the others that programs may load.
    """

    device: str
    system: SystemReport
    driver: DriverReport
    results: Results
    evidence: Evidence
    findings: tuple[Finding, ...]
    status: Status
    warnings: tuple[str, ...] = ()
    packages: Installed = NOTHING
    python: Interpreter = field(default_factory=this_interpreter)
    probes: tuple[Probe, ...] = PROBES
    copies: tuple[Copy, ...] = ()


def examine(
    *,
    quick: bool = False,
    on_outcome: OnOutcome = lambda probe, outcome: None,
    python: Interpreter | None = None,
    library: Copy | None = None,
) -> Examination:
    """Examine this machine; without PyTorch, a libcufft by itself.

    Args:
        quick: only the control and the STFTs.
        on_outcome: called with each outcome as soon as it is known.
        python: whose PyTorch is meant; by default that of the Python this runs in.
        library: the libcufft to try by itself, whatever PyTorch there is.
    """
    python = python or this_interpreter()
    system = read_system(path=python.path)
    driver = probe_driver()
    no_gpu = why_no_gpu(system, driver)
    device = "cpu" if no_gpu else "cuda"
    probes = [probe for probe in PROBES if probe.quick or not quick]
    if system.torch is None or library:
        return _examine_library(quick, on_outcome, python, system, driver, library)
    child = python.module("cufft_harness.probes.child")
    results = run_probes(probes, device, no_gpu=no_gpu, on_outcome=on_outcome, command=child)
    return conclude(device, system, driver, results, probes, read_installed(python.path), python)


def _examine_library(
    quick: bool,
    on_outcome: OnOutcome,
    python: Interpreter,
    system: SystemReport,
    driver: DriverReport,
    library: Copy | None,
) -> Examination:
    """Try one copy of libcufft: the one that is given, else the one that programs come upon first."""
    found = copies.found(python=python.executable)
    tried = library or next(iter(found), None)
    no_gpu = why_no_gpu(replace(system, torch=None), driver)
    probes = tuple(probe for probe in bare.PROBES if probe.quick or not quick)
    if tried is None:
        why = no_gpu or "no libcufft was found; --library names one"
        results = Results({probe.name: Outcome(Verdict.NOT_TESTED, None, why) for probe in probes})
        no_gpu = why
    else:
        results = bare.examine(tried, quick=quick, no_gpu=no_gpu, on_outcome=on_outcome)
    device = "cpu" if no_gpu else "cuda"
    examination = conclude(device, system, driver, results, probes, read_installed(python.path), python)
    others = tuple(copy for copy in found if tried is None or copy.path != tried.path)
    return replace(examination, copies=(*([tried] if tried else []), *others))


def why_no_gpu(system: SystemReport, driver: DriverReport) -> str:
    """Why no experiment can use a GPU; empty if one can."""
    if "+rocm" in (system.torch or ""):
        return ""  # an AMD card has no libcuda
    if "+cpu" in (system.torch or ""):
        return "this PyTorch is built for the CPU only"
    if driver.died:
        return f"the CUDA driver does not work: {driver.died}"
    if not driver.present:
        return "there is no CUDA driver here (libcuda.so.1)"
    if not driver.devices:
        return driver.problem or "there is no CUDA device"
    return ""


def conclude(
    device: str,
    system: SystemReport,
    driver: DriverReport,
    results: Results,
    probes: list[Probe] | tuple[Probe, ...] = PROBES,
    packages: Installed = NOTHING,
    python: Interpreter | None = None,
) -> Examination:
    """Put the facts together: evidence, causes, status."""
    evidence = observe(system, driver, results, probes)
    status = _status(device, driver, results, probes)
    findings = () if status is Status.HEALTHY else rank(evidence)
    names = evidence.names()
    warnings = []
    if status is Status.HEALTHY and ("ptx-load-failed" in names or "jit-library-absent" in names):
        warnings.append(
            "The driver's PTX JIT compiler does not work: a PyTorch for CUDA 12 or later would fail in FFTs."
        )
    if status is Status.HEALTHY and "cufft-not-pinned" in names:
        warnings.append(evidence.says("cufft-not-pinned") + ".")
    return Examination(
        device,
        system,
        driver,
        results,
        evidence,
        findings,
        status,
        tuple(warnings),
        packages,
        python or this_interpreter(),
        tuple(probes),
    )


def _status(device: str, driver: DriverReport, results: Results, probes: list[Probe] | tuple[Probe, ...]) -> Status:
    outcomes = results.outcomes
    if driver.died or results.environment.get("import_error"):
        return Status.BROKEN
    control = [outcomes[probe.name] for probe in probes if probe.role is Role.CONTROL]
    health = [outcomes[probe.name] for probe in probes if probe.role is Role.HEALTH]
    if any(map(bad, control)):
        return Status.BROKEN
    if device == "cpu" or all(outcome.verdict is Verdict.NOT_TESTED for outcome in (*control, *health)):
        return Status.BROKEN if any(map(bad, health)) else Status.NOT_TESTED
    if not any(map(bad, health)):
        return Status.HEALTHY
    fallback = [outcomes[probe.name] for probe in probes if probe.role is Role.FALLBACK]
    return Status.FALLBACK if fallback and not any(map(bad, fallback)) else Status.BROKEN
