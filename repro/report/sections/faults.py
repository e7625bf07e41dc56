"""Fault of the driver by cuFFT version: the code that the real library gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.report.runs import Evidence

if TYPE_CHECKING:
    from repro.report.document import Sources

DEVICE = "sm_86"
SHAPE = "r2c 512"


def data(sources: Sources) -> dict[str, Any] | None:
    """Four tables of one kind: faults, shapes, devices, retries."""
    evidence = sources.evidence
    versions = [version for version in evidence.answers if version not in evidence.not_simulated]
    if not evidence.answers:
        return None
    names = list(dict.fromkeys(name for version in versions for name in evidence.answers[version]))
    plain = [name.split("/") for name in names]
    devices = list(dict.fromkeys(parts[2] for parts in plain))
    shapes = list(dict.fromkeys(parts[1] for parts in plain))
    retried = list(dict.fromkeys((parts[0], parts[3]) for parts in plain if len(parts) == 4))
    faults = evidence.facts("faults")

    def row(label: str, experiment: str) -> tuple[str, list[str]]:
        return label, [short(evidence.answers[version].get(experiment, "–")) for version in versions]

    devices.sort(key=lambda device: int(device.removeprefix("sm_")))
    return {
        "versions": versions,
        "releases": [evidence.releases_of.get(version, "–") for version in versions],
        "not_simulated": _not_simulated(evidence),
        "faults": [row(f"{name}: {meaning}", f"{name}/{SHAPE}/{DEVICE}") for name, meaning in faults.items()],
        "shapes_without_jit": [row(shape, f"jit_missing/{shape}/{DEVICE}") for shape in shapes],
        "shapes_healthy": [row(shape, f"healthy/{shape}/{DEVICE}") for shape in shapes],
        "devices": [row(device, f"jit_missing/{SHAPE}/{device}") for device in devices],
        "retries": [
            row(f"{fault}: {evidence.facts('retries').get(retry, retry)}", f"{fault}/{SHAPE}/{DEVICE}/{retry}")
            for fault, retry in retried
        ],
        "alike": _alike(evidence, versions),
    }


def short(answer: str) -> str:
    """``plan CUFFT_INVALID_SIZE`` -> ``INVALID_SIZE``; a stage other than the plan is kept: ``exec INTERNAL_ERROR``."""
    return answer.replace("CUFFT_", "").removeprefix("plan ")


def _not_simulated(evidence: Evidence) -> list[str]:
    return [
        f"cuFFT {version} (torch {evidence.releases_of.get(version, '–')}) could not be tested: it {reason}"
        for version, reason in evidence.not_simulated.items()
    ]


def _alike(evidence: Evidence, versions: list[str]) -> bool:
    """Whether the four ways in which PTX may fail to compile give the same answers everywhere."""
    ways = ("jit_missing", "jit_disabled", "jit_failing", "jit_version")
    for version in versions:
        answers = evidence.answers[version]
        tables = [
            {name.partition("/")[2]: answer for name, answer in answers.items() if name.startswith(way + "/")}
            for way in ways
        ]
        shared = set.intersection(*(set(table) for table in tables))
        if any(len({table[name] for table in tables}) > 1 for name in shared):
            return False
    return bool(versions)
