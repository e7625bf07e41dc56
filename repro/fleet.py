"""Made-up fleets with known faults: what `cufft-harness fleet` finds in them, in what time and memory.

    python -m repro.fleet --gpus 100,1000,10000,100000 --results repro/results

A fleet has machines of 8 GPUs in racks of 16 machines. Of each some have a fault:

- the driver's files mounted one by one, without the PTX compiler, on a part of the machines of one image;
- a driver of the CUDA major before the library's in one rack;
- one card whose driver hangs.

Recall and precision are those of the group that has most of a fault's machines; a fault is named where the facts that
separate this group are its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cufft_harness.fleet import groups, reading
from cufft_harness.fleet.document import Document
from cufft_harness.status import Status

from repro import machine
from repro.store import RunFile

GPUS_OF_MACHINE, MACHINES_OF_RACK = 8, 16
MOUNT_SHARE = 0.02
DAMAGED_SHARE = 0.001
MOUNT, RACK, CARD = "partial driver mount", "old driver in one rack", "one hung card"
# Any of these facts names the fault; a single card is named by its machine.
NAMED_BY = {
    MOUNT: {"PTX JIT compiler library", "container"},
    RACK: {"driver", "CUDA of the driver", "rack"},
    CARD: set[str](),
}
PASS = {"library_memory": "pass", "library_512": "pass", "library_400": "pass"}


@dataclass(frozen=True)
class Made:
    """A document and the fault that its GPU was given; "" for none."""

    document: Document
    fault: str


def fleet(gpus: int, seed: int = 0) -> Iterator[Made]:
    """Documents of `gpus` GPUs; the same seed gives the same."""
    chance = random.Random(seed)
    machines = max(1, gpus // GPUS_OF_MACHINE)
    racks = max(1, machines // MACHINES_OF_RACK)
    old_rack, hung = chance.randrange(racks), chance.randrange(gpus)
    count = 0
    for number in range(machines):
        image = chance.choice(["train-24.08", "train-24.10", "inference-7"])
        rack = number // MACHINES_OF_RACK
        mounted = image == "train-24.10" and chance.random() < MOUNT_SHARE * 3
        driver = "535.230.02" if rack == old_rack and racks > 1 else chance.choice(["580.95.05", "580.105.08"])
        attributes = {
            "GPU": "NVIDIA H100 80GB HBM3",
            "driver": driver,
            "CUDA of the driver": "12.2" if driver.startswith("535") else "13.0",
            "PTX JIT compiler library": "cannot be loaded" if mounted else "loads",
            "cuFFT": "12.0.0",
            "container": "lxc" if mounted else chance.choice(["docker", "none"]),
            "image": image,
            "rack": str(rack),
            "kernel": chance.choice(["6.8.0-48-generic", "6.8.0-50-generic"]),
        }
        for index in range(GPUS_OF_MACHINE):
            if count == gpus:
                return
            yield _one(number, index, count == hung, mounted, driver, attributes)
            count += 1


def _one(number: int, index: int, hung: bool, mounted: bool, driver: str, attributes: dict[str, str]) -> Made:
    fault = CARD if hung else MOUNT if mounted else RACK if driver.startswith("535") else ""
    status = Status.BROKEN if fault else Status.HEALTHY
    code = {MOUNT: "failed (CUFFT_INTERNAL_ERROR)", RACK: "failed (CUFFT_INTERNAL_ERROR)", CARD: "hung"}.get(fault)
    cause = {MOUNT: "ptx-jit-unavailable", RACK: "driver-too-old"}.get(fault, "")
    host, gpu = f"node{number:05}", f"GPU-{number:05}-{index}"
    verdicts = {**PASS, "library_512": code, "library_400": code} if code else PASS
    problem = f"library_512: {code}" if code else ""
    now = "2026-01-01T00:00:00Z"
    return Made(Document(host, gpu, index, now, status, cause, problem, attributes, verdicts), fault)


def measure(gpus: int) -> dict[str, Any]:
    """Write a fleet to a file, damaged lines and duplicates in it, read it, and hold the groups to what was made."""
    truth: dict[str, set[tuple[str, str]]] = {}
    damage = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.jsonl"
        with path.open("w") as stream:
            for made in fleet(gpus):
                text = json.dumps(made.document.as_dict())
                if damage.random() < DAMAGED_SHARE:
                    stream.write(text[: len(text) // 2] + "\n")
                    stream.write(text + "\n")  # a duplicate
                stream.write(text + "\n")
                truth.setdefault(made.fault, set()).add((made.document.host, made.document.gpu))
        began = time.perf_counter()
        read = reading.read(str(path), [])
        picture = groups.picture(read.documents.values())
        seconds = time.perf_counter() - began
    faults = {fault: {host for host, _ in keys} for fault, keys in truth.items() if fault}
    found = [_found(hosts, NAMED_BY[fault], picture) for fault, hosts in faults.items()]
    return {
        "gpus": gpus,
        "faults": len(faults),
        "groups": len(picture.groups),
        "recall": min((recall for recall, _, _ in found), default=1.0),
        "precision": min((precision for _, precision, _ in found), default=1.0),
        "named": sum(named for _, _, named in found),
        "damaged": read.left_out.total(),
        "seconds": round(seconds, 2),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _found(hosts: set[str], named_by: set[str], picture: groups.Picture) -> tuple[float, float, bool]:
    """Of the group that has most of a fault's machines: recall, precision, and whether its facts name the fault."""
    best = max(picture.groups, key=lambda group: len(hosts & set(group.hosts)))
    common = len(hosts & set(best.hosts))
    named = bool({name for name, _ in best.separates} & named_by) if named_by else len(best.hosts) == 1
    return round(common / len(hosts), 4), round(common / len(best.hosts), 4), named


COLUMNS = {
    "gpus": "GPUs",
    "faults": "faults made",
    "groups": "groups found",
    "recall": "recall, the worst fault",
    "precision": "precision, the worst fault",
    "named": "faults that the separating facts name",
    "damaged": "damaged documents left out",
    "seconds": "seconds",
    "memory_mb": "peak memory, MB",
}


def main() -> int:
    """Measure fleets of several sizes, each in a process of its own, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m repro.fleet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpus", default="100,1000,10000,100000", help="sizes of the fleets")
    parser.add_argument("--results", type=Path, help="folder for the results file")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return 0
    rows = []
    for size in map(int, given.gpus.split(",")):
        command = [sys.executable, "-m", "repro.fleet", "--one", str(size)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    if given.results:
        note = (
            "Made-up documents of machines with 8 GPUs: 2 % of all with the driver's files mounted one by one on one "
            "image, one rack with an old driver, one card that hangs, one document in a thousand cut off. Reading and "
            "grouping in one process; memory includes the interpreter. Recall and precision count machines."
        )
        facts = {"title": "Fleets with known faults", "note": note, "columns": COLUMNS, "machine": machine.facts()}
        file = RunFile(given.results, "fleet", "benchmark", facts)
        file.extend(rows)
        file.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
