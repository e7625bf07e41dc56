"""What each cuFFT answered when its table was taken, so that a change is seen: ``expected.json``.

``python -m repro.simdriver.expected VERSION PATH/libcufft.so.11`` takes the table of one library anew. Look at the
difference before you commit it: a code that changed is a finding about cuFFT or about the simulated driver.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from repro.simdriver.build import build
from repro.simdriver.experiments import all_experiments
from repro.simdriver.run import Answer, run

FILE = Path(__file__).with_name("expected.json")


def load() -> dict[str, dict[str, str]]:
    """Version of the cuFFT wheel -> name of the experiment -> answer."""
    tables = json.loads(FILE.read_text())
    return {
        version: {f"{fault}/{rest}": answer for fault, answers in faults.items() for rest, answer in answers.items()}
        for version, faults in tables.items()
    }


def save(version: str, answers: list[Answer]) -> None:
    """Put one version's table into the file, one line a fault; the others stay as they are."""
    tables = json.loads(FILE.read_text()) if FILE.exists() else {}
    table: dict[str, dict[str, str]] = {}
    for answer in answers:
        fault, _, rest = answer.experiment.name.partition("/")
        table.setdefault(fault, {})[rest] = answer.text
    tables[version] = table
    versions = sorted(tables, key=lambda one: [int(part) for part in one.split(".")])
    blocks = [
        f"  {json.dumps(one)}: {{\n"
        + ",\n".join(f"    {json.dumps(fault)}: {json.dumps(rows)}" for fault, rows in tables[one].items())
        + "\n  }"
        for one in versions
    ]
    FILE.write_text("{\n" + ",\n".join(blocks) + "\n}\n")


def take(library: Path) -> list[Answer]:
    """All answers of a library; the first alone if it does not run under the simulated driver at all."""
    experiments = all_experiments()
    with tempfile.TemporaryDirectory() as folder:
        driver = build(Path(folder).resolve())
        first = next(run(library, driver, experiments[:1]))
        if first.code != "ok":
            return [first]
        return list(run(library, driver, experiments))


if __name__ == "__main__":
    save(sys.argv[1], take(Path(sys.argv[2]).resolve()))
