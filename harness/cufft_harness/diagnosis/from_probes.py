"""From what was measured on this machine to the same facts that a pasted log gives, so that the same rules apply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cufft_harness.diagnosis import from_versions
from cufft_harness.diagnosis.facts import Environment, Evidence, Fact, Gpu, Sure, Version, unique
from cufft_harness.diagnosis.from_text import facts_in
from cufft_harness.diagnosis.programs import Framework, Program
from cufft_harness.driver import DriverReport, SystemReport
from cufft_harness.driver.report import PTX_CODES
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.registry import PROBES, Probe, Role
from cufft_harness.probes.runner import Results

_JIT_CODES = (218, 221, 222, 223)
_LITTLE_FREE = 300 * 2**20
_BAD = (Verdict.FAILED, Verdict.WRONG_NUMBERS, Verdict.HUNG, Verdict.CRASHED, Verdict.UNKILLABLE)


def observe(system: SystemReport, driver: DriverReport, results: Results, probes: Sequence[Probe] = PROBES) -> Evidence:
    """All that is known about this machine as evidence.

    Args:
        system: what /proc, the environment variables and the installed packages show.
        driver: what libcuda answered.
        results: outcomes of the experiments, and PyTorch's own environment.
        probes: the experiments.
    """
    environment = _environment(system, driver, results.environment)
    facts = [
        *_driver(driver),
        *_system(system),
        *_libraries(system, results.environment),
        *_torch(environment, results.environment),
        *_outcomes(results.outcomes, results.environment, probes),
    ]
    derived = from_versions.facts_of(environment, facts)
    with_torch = any(name in results.outcomes for name in ("matmul", "stft"))
    # a bare libcufft was tried for whatever program loads it: what is advised has to fit all
    program = Program(Framework.PYTORCH, "PyTorch") if with_torch else Program(Framework.UNKNOWN, "")
    return Evidence(unique([*facts, *derived]), environment, program=program)


def bad(outcome: Outcome) -> bool:
    """The experiment ran and something is wrong."""
    return outcome.verdict in _BAD


def _environment(system: SystemReport, driver: DriverReport, torch: Mapping[str, Any]) -> Environment:
    version = _version(torch.get("torch") or system.torch)
    gpus = tuple(Gpu(device.name, device.capability) for device in driver.devices)
    if not gpus and torch.get("gpu"):
        gpus = (Gpu(str(torch["gpu"]), None, amd=bool(torch.get("hip"))),)
    return Environment(
        torch=version,
        cuda=_version(torch.get("cuda")),
        cuda_sure=Sure.PRINTED if torch.get("cuda") else Sure.NOT,
        cufft=_version(torch.get("cufft")),
        driver=_version(system.kernel_module),
        driver_cuda=driver.cuda,
        gpus=gpus,
    )


def _version(text: object) -> Version | None:
    match = re.match(r"\d+(?:\.\d+)*", str(text)) if text else None
    return tuple(map(int, match.group(0).split("."))) if match else None


def _driver(driver: DriverReport) -> Iterator[Fact]:
    if driver.compiles_ptx:
        yield Fact("ptx-load-works", "the driver compiled a small PTX just now")
    elif driver.ptx_code in _JIT_CODES:
        yield Fact("ptx-load-failed", f"the driver could not load a small PTX: {PTX_CODES[driver.ptx_code]}")
    if driver.present and driver.jit_library is False:
        yield Fact("jit-library-absent", "libnvidia-ptxjitcompiler.so.1 cannot be loaded")
    if any("ZLUDA" in device.name or "AMD" in device.name for device in driver.devices):
        yield Fact("zluda", "the CUDA device is an AMD card: ZLUDA")


def _system(system: SystemReport) -> Iterator[Fact]:
    if system.jit_disabled_by:
        yield Fact("jit-variable", f"{system.jit_disabled_by} is set")
    if system.container == "lxc":
        yield Fact("hand-made-container", "this is an LXC container, which gets its driver files by hand")
    elif system.container in ("docker", "podman", "kubernetes"):
        yield Fact("docker", f"this is a container ({system.container})")
    mounted = system.driver_mounts
    if any(name.startswith("libcuda.so") for name in mounted) and not any("ptxjitcompiler" in name for name in mounted):
        yield Fact("partial-driver-mount", f"mounted one by one: {', '.join(mounted)}; the PTX JIT compiler is not")
    if dict(system.variables).get("LD_LIBRARY_PATH"):
        yield Fact("ld-library-path", "LD_LIBRARY_PATH is set")


def _libraries(system: SystemReport, torch: Mapping[str, Any]) -> Iterator[Fact]:
    loaded = torch.get("libraries", {}).get("libcufft", [])
    if len(loaded) > 1:
        yield Fact("cufft-duplicate", f"cuFFT is loaded twice: {', '.join(loaded)}")
    version, pinned = _version(torch.get("cufft")), _version(system.pinned_cufft)
    if version and pinned and version[:3] != pinned[:3]:
        yield Fact("cufft-not-pinned", f"cuFFT {torch['cufft']} is loaded, PyTorch asks for {system.pinned_cufft}")


def _torch(environment: Environment, torch: Mapping[str, Any]) -> Iterator[Fact]:
    if torch.get("hip"):
        yield Fact("rocm", "this PyTorch is built for ROCm")
    cuda, supported = environment.cuda, environment.driver_cuda
    if cuda and supported and supported[0] < cuda[0]:
        yield Fact("driver-below-build", f"the driver supports CUDA {supported[0]}, this PyTorch needs {cuda[0]}")
    free = torch.get("free")
    if isinstance(free, int) and free < _LITTLE_FREE:
        yield Fact("free-memory-low", f"only {free / 2**20:.0f} MiB of device memory are free")
    architectures = torch.get("arch_list") or []
    for gpu in environment.gpus:
        if architectures and gpu.capability and not _covered(gpu.capability, architectures):
            yield Fact(
                "gpu-not-in-arch-list", f"this PyTorch is built for {' '.join(architectures)}, not for {gpu.name}"
            )


def _covered(capability: Version, architectures: list[str]) -> bool:
    """Machine code runs on the same major capability and a minor at least as high; PTX on anything newer."""
    for name in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", name)
        if match:
            built = (int(match[2]), int(match[3]))
            if built <= capability and (match[1] == "compute" or built[0] == capability[0]):
                return True
    return False


def _outcomes(
    outcomes: Mapping[str, Outcome], torch: Mapping[str, Any], experiments: Sequence[Probe]
) -> Iterator[Fact]:
    probes = {probe.name: probe for probe in experiments}
    wrong = {name: outcome for name, outcome in outcomes.items() if bad(outcome)}
    telling = {n: o for n, o in wrong.items() if n in probes and probes[n].role in (Role.CONTROL, Role.HEALTH)}
    words = [outcome.detail for outcome in telling.values() if outcome.verdict is Verdict.FAILED]
    words.append(str(torch.get("import_error") or torch.get("device_error") or ""))
    yield from facts_in("\n".join(words).lower())
    fft = {name: outcome for name, outcome in telling.items() if probes[name].role is Role.HEALTH}
    if fft:
        yield Fact("fft", "an FFT experiment did not pass")
        yield Fact("fft-call", "an FFT experiment did not pass")
        if "stft" in outcomes:
            yield Fact("torch-mentioned", "PyTorch is in use")
    if "matmul" in wrong:
        yield Fact("matmul-fails", f"even a matrix product does not pass: {wrong['matmul'].detail}")
    control = any(probes[name].role is Role.CONTROL for name in telling)
    if not control and any(probes[name].quick for name in fft):
        yield Fact("every-time", "it fails in a fresh process, while what needs no FFT passes")
    elif "after_oom" in fft or "after_training" in fft:
        yield Fact("after-long-run", "it fails only after other work in the same process")
    for name, outcome in fft.items():
        if outcome.verdict is Verdict.WRONG_NUMBERS:
            yield Fact("wrong-numbers", f"{name}: {outcome.detail}")
            if outcome.call == 2:
                yield Fact("second-call", "the first call was right and the second was not")
        elif outcome.verdict is Verdict.CRASHED:
            yield Fact("segfault", f"{name}: {outcome.code}")
        elif outcome.verdict in (Verdict.HUNG, Verdict.UNKILLABLE):
            yield Fact("hangs", f"{name}: {outcome.detail}")
    pressed, stft = outcomes.get("low_memory"), outcomes.get("stft")
    if pressed and stft and stft.verdict is Verdict.PASS and pressed.verdict is Verdict.FAILED:
        yield Fact("fails-only-under-pressure", f"all FFTs pass, but {pressed.detail}")
