"""Run the child that calls libcuda, and read what it learned, however it ended."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cufft_harness import processes

# CUresult codes that tell the states of the JIT compiler apart; cuda.h of CUDA 12.
PTX_CODES = {
    0: "the driver compiles PTX",
    209: "no binary for this GPU",
    218: "the PTX was refused (CUDA_ERROR_INVALID_PTX)",
    221: "the PTX JIT compiler library was not found (CUDA_ERROR_JIT_COMPILER_NOT_FOUND)",
    222: "the PTX version is not supported by this driver (CUDA_ERROR_UNSUPPORTED_PTX_VERSION)",
    223: "PTX JIT compilation is disabled (CUDA_ERROR_JIT_COMPILATION_DISABLED)",
}
INIT_CODES = {
    100: "no CUDA device",
    101: "invalid device",
    3: "not initialised",
    802: "system not ready",
    803: "the driver's user-space files do not fit the kernel module",
    804: "forward compatibility is not possible on this hardware",
    999: "unknown error",
}


@dataclass(frozen=True)
class Device:
    """One GPU as the driver names it; capability (major, minor), memory in bytes, uuid as nvidia-smi writes it."""

    name: str
    capability: tuple[int, int]
    memory: int
    uuid: str = ""

    @property
    def is_mig(self) -> bool:
        """A slice of a GPU (Multi-Instance GPU) rather than a whole one."""
        return "MIG" in self.name


@dataclass(frozen=True)
class DriverReport:
    """What libcuda answered, step by step.

    Attributes:
        present: libcuda.so.1 could be loaded.
        problem: the first step that failed, in words; empty if all went well.
        died: how the child ended early (``SIGSEGV in init``, ``hung in ptx``); empty if it came to its end.
        cuda: newest CUDA version the driver supports, (major, minor).
        init_code: what cuInit returned; None if it was not reached or did not return.
        jit_library: libnvidia-ptxjitcompiler.so.1 could be loaded; None if that was not learned.
        ptx_code: what cuModuleLoadData returned for a tiny PTX; None if it was not reached.
        libraries: CUDA libraries mapped into the child, by name.
    """

    present: bool = False
    problem: str = ""
    died: str = ""
    cuda: tuple[int, int] | None = None
    init_code: int | None = None
    devices: tuple[Device, ...] = ()
    jit_library: bool | None = None
    ptx_code: int | None = None
    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def compiles_ptx(self) -> bool | None:
        """The driver compiled the tiny PTX; None if that was not learned."""
        return None if self.ptx_code is None else self.ptx_code == 0


def probe_driver(timeout_s: float = 10.0, env: Mapping[str, str] | None = None) -> DriverReport:
    """Ask libcuda, in a child process.

    Args:
        timeout_s: time limit of the child; a healthy driver answers in under a second.
        env: environment of the child; by default this process's own. ``CUDA_CACHE_DISABLE`` is added, because a
            kernel cached by an earlier run loads without the compiler.
    """
    environment = {**processes.python_environment(env), "CUDA_CACHE_DISABLE": "1"}
    with tempfile.TemporaryDirectory(prefix="cufft-harness-") as folder:
        result = Path(folder) / "driver.jsonl"
        command = processes.python_module("cufft_harness.driver.child", str(result))
        finished = processes.run(command, timeout_s=timeout_s, env=environment, grace_s=0.5)
        text = result.read_text(errors="replace") if result.exists() else ""
    return report_from(text, finished)


def report_from(text: str, finished: processes.Finished) -> DriverReport:
    """Put the child's lines and its end together; lines that are cut off or not JSON are left out."""
    steps: dict[str, dict[str, Any]] = {}
    running = "start"
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), str):
            if entry["step"] == "begin":
                running = str(entry.get("name"))
            else:
                steps[entry["step"]] = entry
    # Without libcuda the child is done after the second step.
    ended = "end" in steps or "error" in steps.get("load", {})
    version = steps.get("version", {}).get("version")
    code = steps.get("init", {}).get("code")
    return DriverReport(
        present=bool(steps.get("load", {}).get("loaded")) or (running not in ("start", "jit_library", "load")),
        problem=_problem(steps),
        died="" if ended else _death(finished, running),
        cuda=(version // 1000, version % 1000 // 10) if isinstance(version, int) and version > 0 else None,
        init_code=code if isinstance(code, int) else None,
        devices=tuple(
            Device(
                str(device["name"]),
                (int(device["capability"][0]), int(device["capability"][1])),
                int(device["memory"]),
                str(device.get("uuid", "")),
            )
            for device in steps.get("devices", {}).get("devices", ())
        ),
        jit_library=bool(steps["jit_library"].get("loaded")) if "jit_library" in steps else None,
        ptx_code=steps.get("ptx", {}).get("code"),
        libraries={name: tuple(paths) for name, paths in steps.get("maps", {}).get("libraries", {}).items()},
    )


def _death(finished: processes.Finished, running: str) -> str:
    if finished.unkillable:
        return f"unkillable in {running}"
    if finished.timed_out:
        return f"hung in {running}"
    code = finished.returncode or 0
    if code < 0:
        try:
            return f"{signal.Signals(-code).name} in {running}"
        except ValueError:
            return f"signal {-code} in {running}"
    return f"exit status {code} in {running}"


def _problem(steps: Mapping[str, Mapping[str, Any]]) -> str:
    """The first thing that is wrong, in one sentence."""
    for name in ("load", "version", "init", "devices", "ptx"):
        entry = steps.get(name, {})
        if entry.get("error"):
            what = {"load": "libcuda.so.1 cannot be loaded", "ptx": "a PTX cannot be loaded"}
            return f"{what.get(name, f'libcuda fails at {name}')}: {entry['error']}"
        if entry.get("context_code"):
            return f"no CUDA context can be made (code {entry['context_code']})"
        code = entry.get("code")
        if isinstance(code, int) and code:
            known = PTX_CODES if name == "ptx" else INIT_CODES
            return f"{name} returns {code}: {known.get(code, 'see CUresult in cuda.h')}"
        if name == "devices" and "code" in entry and not entry.get("devices"):
            return "the driver shows no device"
    return ""
