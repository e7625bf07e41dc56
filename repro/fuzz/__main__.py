"""`nox -s fuzz`: the log reader, audio intake, settings and checkpoints, each fuzzed for a while.

    python -m repro.fuzz --seconds 60 --only log,wav --results repro/results --keep

An input that breaks a promise is written to build/fuzz and makes the exit status 1. Mend what it shows, and put it into
`corpus/TARGET/` under a name that begins with `found-`: `tests/test_fuzz.py` replays the corpus.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from repro.fuzz import corpus
from repro.fuzz.seeds import seeds, words
from repro.fuzz.targets import TARGETS
from repro.store import RunFile

HERE = Path(__file__).parent
FINDINGS = Path("build") / "fuzz"
LONGEST_INPUT = 4096
INPUT_LIMIT = 10
"""Seconds one input may take: a pattern that backtracks for ever is a finding, too."""
KEPT_BYTES = 60_000
"""Of each target's corpus, the smallest inputs up to so many bytes in all."""
COLUMNS = {
    "target": "target",
    "executions": "inputs tried",
    "edges": "edges reached",
    "corpus": "inputs kept",
    "broken": "broken now",
    "mended": "found and mended before",
}
WHAT = {
    "log": "pasted logs (`diagnose`)",
    "wav": "audio",
    "settings": "settings files and variables",
    "checkpoint": "contents of checkpoints (`train`, resumed)",
}


@dataclass(frozen=True)
class Fuzzed:
    """What came of one target: inputs tried, edges of the code reached, files with findings, and the traceback."""

    executions: int
    edges: int
    findings: list[Path]
    traceback: str


def main() -> int:
    """Read the arguments, fuzz each target, write the results."""
    parser = argparse.ArgumentParser(prog="python -m repro.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="For each target.")
    parser.add_argument("--only", default=",".join(TARGETS), help=f"Of {', '.join(TARGETS)}.")
    parser.add_argument("--keep", action="store_true", help="Renew the corpus with what was found interesting.")
    parser.add_argument("--results", type=Path, help="Folder for the results file.")
    arguments = parser.parse_args()
    rows, broken = [], 0
    for target in arguments.only.split(","):
        with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
            fuzzed = fuzz(target, arguments.seconds, Path(name))
            if arguments.keep:
                keep(target, Path(name))
        mended = len(corpus.found(target))
        broken += len(fuzzed.findings)
        inputs = mended + len(corpus.kept(target))
        row = {"target": WHAT[target], "executions": fuzzed.executions, "edges": fuzzed.edges, "corpus": inputs}
        rows.append(row | {"broken": len(fuzzed.findings), "mended": mended})
        sys.stdout.write(f"{target}: {fuzzed.executions} inputs, {fuzzed.edges} edges\n")
        for path in fuzzed.findings:
            sys.stdout.write(f"BROKEN: {path}\n{fuzzed.traceback}\n")
        sys.stdout.flush()
    if arguments.results:
        note = (
            f"`nox -s fuzz -- --seconds {arguments.seconds}` with atheris {importlib.metadata.version('atheris')}, one "
            f"core, inputs of at most {LONGEST_INPUT} bytes. Broken is what raises anything but the program's own "
            f"errors, answers with more than one printable line, takes over {INPUT_LIMIT} s or two gigabytes."
        )
        facts = {"title": "Fuzzing of what reads files from outside", "note": note, "columns": COLUMNS}
        file = RunFile(arguments.results, "resilience-fuzz", "resilience", facts)
        file.extend(rows)
        file.finish()
    return 1 if broken else 0


def fuzz(target: str, seconds: int, folder: Path) -> Fuzzed:
    """Fuzz one target in a process of its own.

    Args:
        folder: gets `kept`, the corpus, and `new`, what libFuzzer found interesting beside it.

    Raises:
        RuntimeError: the fuzzer itself could not run.
    """
    begin, new, dictionary = folder / "begin", folder / "new", folder / "words"
    begin.mkdir()
    new.mkdir()
    kept = corpus.lay_out(target, folder / "kept")
    FINDINGS.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds(target)):
        (begin / str(number)).write_bytes(content)
    dictionary.write_text("\n".join(words(target)), encoding="utf-8")
    before = set(FINDINGS.iterdir())
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={INPUT_LIMIT}",
        f"-dict={dictionary}",
    ]
    flags.append("-print_final_stats=1")
    output = _run(target, [new, kept, begin], [*flags, f"-artifact_prefix={FINDINGS}/{target}-"], folder)
    tried = re.findall(r"^stat::number_of_executed_units: +(\d+)", output, re.MULTILINE)
    edges = re.findall(r" cov: (\d+)", output)
    if not (tried and edges):
        raise RuntimeError(f"fuzzing {target}: {output[-2000:]}")
    exception = output.partition(" === Uncaught Python exception: ===")[2].partition("\n==")[0]
    return Fuzzed(int(tried[-1]), int(edges[-1]), sorted(set(FINDINGS.iterdir()) - before), exception.strip())


def keep(target: str, folder: Path) -> None:
    """Renew the corpus: what reaches all that is reached, the smallest first; what was found broken once stays."""
    merged = folder / "merged"
    merged.mkdir()
    _run(target, [merged, *(folder / name for name in ("begin", "kept", "new"))], ["-merge=1"], folder)
    inputs: dict[str, bytes] = {}
    for path in sorted(merged.iterdir(), key=lambda path: path.stat().st_size):
        inputs[path.name[:12]] = path.read_bytes()
        if sum(map(len, inputs.values())) > KEPT_BYTES:
            inputs.pop(path.name[:12])
            break
    corpus.keep(target, inputs)


def _run(target: str, corpora: list[Path], flags: list[str], folder: Path) -> str:
    command = [sys.executable, str(HERE / "child.py"), target, *map(str, corpora), *flags]
    environment = os.environ | {"TMPDIR": str(folder)}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.stdout.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
