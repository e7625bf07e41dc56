"""Examine the GPUs of this machine without PyTorch, in bounded time, and write one document for each."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from cufft_harness.diagnosis.from_probes import bad
from cufft_harness.diagnosis.rules import UNDETERMINED
from cufft_harness.doctor.examination import Examination, conclude, why_no_gpu
from cufft_harness.driver import Device, DriverReport, SystemReport, probe_driver, read_system
from cufft_harness.driver.report import PTX_CODES
from cufft_harness.errors import UserError
from cufft_harness.fleet.document import Document
from cufft_harness.library import copies, examine
from cufft_harness.library.copies import Copy
from cufft_harness.probes.outcome import Outcome, Verdict
from cufft_harness.probes.registry import PROBES, Probe
from cufft_harness.probes.runner import Results, run_probes
from cufft_harness.status import Status

LIMITS = {1: 10.0, 2: 60.0, 3: 300.0}
"""Seconds that each level may take, at most: what has not answered by then has hung."""
_DRIVERS_SHARE = 0.4


def check(
    level: int,
    gpus: Sequence[int],
    labels: Mapping[str, str],
    limit_s: float | None = None,
    library: Path | None = None,
) -> list[Document]:
    """One document a GPU; one of the machine where there is no GPU that could be examined.

    Args:
        level: 1 the control and float32 signals; 2 all transforms of a bare libcufft; 3 PyTorch's own experiments, too,
            where it is installed.
        gpus: the driver's numbers; empty for all.
        labels: more facts for the documents, such as ``{"image": "train-24.10", "rack": "7"}``.
        limit_s: seconds for all of it; by default what the level allows.
        library: the libcufft to try; by default the one that programs come upon first.

    Raises:
        UserError: there is no such GPU, or no libcufft at `library`.
    """
    began, limit_s = time.monotonic(), limit_s or LIMITS[level]
    system, driver = read_system(), probe_driver(timeout_s=limit_s * _DRIVERS_SHARE)
    known = range(len(driver.devices))
    if driver.devices and (missing := [number for number in gpus if number not in known]):
        raise UserError(f"there is no GPU {missing[0]}; the driver shows {len(known)}.")
    copy = copies.at(library) if library else next(iter(copies.found()), None)
    no_gpu = why_no_gpu(replace(system, torch=None), driver) or ("" if copy else "no libcufft was found")
    if no_gpu:
        probes = tuple(examine.PROBES)
        results = Results({probe.name: Outcome(Verdict.NOT_TESTED, None, no_gpu) for probe in probes})
        examination = conclude("cpu", system, driver, results, probes)
        return [_document(examination, None, None, copy, labels, no_gpu)]
    assert copy is not None  # noqa: S101 - else there would be a reason
    chosen = list(gpus or known)

    def one(number: int) -> Document:
        left = max(limit_s - (time.monotonic() - began), 1.0)
        device = driver.devices[number]
        examination = _examine(level, number, system, replace(driver, devices=(device,)), copy, left)
        return _document(examination, number, device, copy, labels)

    with ThreadPoolExecutor(len(chosen)) as pool:
        return list(pool.map(one, chosen))


def _examine(
    level: int, number: int, system: SystemReport, driver: DriverReport, copy: Copy, left_s: float
) -> Examination:
    began = time.monotonic()
    results = examine.examine(copy, quick=level < 2, ordinal=number, total_s=left_s)
    probes: list[Probe] = [probe for probe in examine.PROBES if probe.quick or level >= 2]
    if level >= 3 and system.torch:
        more = run_probes(PROBES, f"cuda:{number}", total_s=max(left_s - (time.monotonic() - began), 1.0))
        results = Results({**results.outcomes, **more.outcomes}, {**results.environment, **more.environment})
        probes += PROBES
    return conclude(f"cuda:{number}", system, driver, results, probes)


def _document(
    examination: Examination,
    number: int | None,
    device: Device | None,
    copy: Copy | None,
    labels: Mapping[str, str],
    problem: str = "",
) -> Document:
    outcomes = examination.results.outcomes
    wrong = [f"{name}: {_verdict(outcome)}" for name, outcome in outcomes.items() if bad(outcome)]
    first = examination.findings[0].cause.id if examination.findings else UNDETERMINED
    # a driver that crashed or hung was asked nothing more: what little is known of it is no cause
    unknown = first == UNDETERMINED or examination.status is Status.NOT_TESTED or examination.driver.died
    cause = "" if unknown else first
    return Document(
        host=os.environ.get("SLURMD_NODENAME") or socket.gethostname(),  # a node's name need not be its host's
        gpu=device.uuid if device else "",
        index=number,
        time=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        status=examination.status,
        cause=cause,
        problem="" if examination.status is Status.HEALTHY else problem or "; ".join(wrong[:1]),
        attributes={**dict(_attributes(examination, device, copy)), **labels},
        verdicts={name: _verdict(outcome) for name, outcome in outcomes.items()},
    )


def _verdict(outcome: Outcome) -> str:
    return f"{outcome.verdict} ({outcome.code})" if outcome.code else outcome.verdict.value


def _attributes(examination: Examination, device: Device | None, copy: Copy | None) -> Iterator[tuple[str, str]]:
    """Facts that may explain a failure, and that machines which are alike have alike."""
    system, driver, environment = examination.system, examination.driver, examination.results.environment
    if device:
        yield "GPU", device.name
    yield "driver", system.kernel_module or "none"
    if driver.cuda:
        yield "CUDA of the driver", f"{driver.cuda[0]}.{driver.cuda[1]}"
    if driver.died:
        yield "driver probe", driver.died
    yield "PTX JIT compiler library", {True: "loads", False: "cannot be loaded", None: "not tested"}[driver.jit_library]
    if driver.ptx_code:
        yield "PTX", PTX_CODES.get(driver.ptx_code, str(driver.ptx_code))
    yield "cuFFT", str(environment.get("cufft") or "none")
    if copy:
        yield "cuFFT found by", copy.found_by
    yield "PyTorch", system.torch or "none"
    yield "container", system.container or "none"
    if system.driver_mounts:
        yield "mounted driver files", " ".join(system.driver_mounts)
    for name, value in system.variables:
        if name not in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):  # differ from job to job, and say nothing
            yield name, value
    yield "system", _release() or platform.system()
    yield "kernel", os.uname().release


def _release() -> str:
    """``Debian GNU/Linux 12 (bookworm)``."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""
