"""The first release where an outcome changes, by halving. What it needs to know it reads from the results.

So it resumes by itself: a row that is done is not run again, and an interrupted bisection goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cufft_harness.probes.outcome import Verdict

from repro import store
from repro.matrix import rows
from repro.matrix.outcomes import ScenarioOutcome, SimulatedOutcome

UNKNOWN = {None, Verdict.NOT_TESTED}


class CannotBisect(Exception):
    """There is nothing to halve; the message is one line."""


def outcome_of(torch: str, test: str, chosen: rows.Options) -> str | None:
    """The outcome of a test in this machine's results for a release; None if there is none (yet).

    `test` is the name of a scenario, such as ``fft.stft``, or of an experiment of the simulated driver, such as
    ``jit_missing/r2c 512/sm_86``. On a machine with a GPU a scenario is the one on the GPU.
    """
    path = rows.RESULTS / f"{rows.run_name(torch, chosen)}.json"
    try:
        run = store.read(path)
    except ValueError:
        return None
    found: dict[str, str] = {}
    for row in run.outcomes:
        simulated, one = SimulatedOutcome.from_row(row), ScenarioOutcome.from_row(row)
        if simulated and simulated.experiment == test:
            return simulated.answer
        if one and one.scenario == test and one.tier == "native" and one.verdict not in UNKNOWN:
            found[one.device] = one.code or str(one.verdict)
    return found.get("cuda", found.get("cpu"))


def first_change(good: int, bad: int, outcome: Callable[[int], str | None]) -> tuple[int, int]:
    """The neighbours (last as good, first not as good) between two positions; rows without an outcome are stepped over.

    Raises:
        CannotBisect: an end has no outcome, or both have the same.
    """
    reference, end = outcome(good), outcome(bad)
    if reference is None or end is None:
        raise CannotBisect(
            "one of the two releases has no outcome for this test: it was not run or could not be tested"
        )
    if reference == end:
        raise CannotBisect(f"both releases have the same outcome: {reference}")
    while True:
        between = range(min(good, bad) + 1, max(good, bad))
        middle = sorted(between, key=lambda number: abs(number - (good + bad) / 2))
        known = next(((number, answer) for number in middle if (answer := outcome(number)) is not None), None)
        if known is None:
            return good, bad
        good, bad = (known[0], bad) if known[1] == reference else (good, known[0])


def bisect(arguments: list[str], run: Callable[[str, list[str]], None]) -> str:
    """Halve between two releases; `run` runs one row. One sentence that says where the outcome changes.

    Raises:
        CannotBisect: unknown release or test, or nothing to find.
    """
    parser = argparse.ArgumentParser(prog="nox -s bisect --")
    parser.add_argument("--good", required=True, metavar="TORCH")
    parser.add_argument("--bad", required=True, metavar="TORCH")
    parser.add_argument("--test", required=True, metavar="NAME", help="fft.stft, or jit_missing/r2c 512/sm_86")
    known, rest = parser.parse_known_args(arguments)
    chosen, releases = rows.options(rest), list(rows.ROWS)
    for torch in (known.good, known.bad):
        if torch not in releases:
            raise CannotBisect(f"no row for torch {torch}; there are {', '.join(releases)}")

    def outcome(number: int) -> str | None:
        torch = releases[number]
        if not rows.is_done(torch, chosen):
            run(torch, chosen.as_arguments())
        return outcome_of(torch, known.test, chosen)

    good, bad = first_change(releases.index(known.good), releases.index(known.bad), outcome)
    before, after = outcome(good), outcome(bad)
    skipped = [releases[number] for number in range(min(good, bad) + 1, max(good, bad))]
    words = f"{known.test}: {before} with torch {releases[good]}, {after} with torch {releases[bad]}"
    return words + (f"; not known between them: {', '.join(skipped)}" if skipped else "")
