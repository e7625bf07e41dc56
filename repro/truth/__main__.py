"""`nox -s truth`: score `diagnose` on the labelled reports and write the result for the report.

    python -m repro.truth --results repro/results
    python -m repro.truth --folder CASES --show          any other folder of labelled reports
    python -m repro.truth --command "OTHER diagnose --json -" --name truth-before

Wrong answers are shown for the two thirds of the threads that may be looked at; the other third is only scored.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from repro.store import RunFile
from repro.truth.cases import FOLDER, load
from repro.truth.measure import Judged, ask_command, ask_package, judge, score


def main() -> int:
    """Read the arguments, judge every case, print the scores, write the results."""
    parser = argparse.ArgumentParser(prog="python -m repro.truth", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="Labelled reports, one YAML file each.")
    parser.add_argument("--command", help="Ask this command instead of the package here.")
    parser.add_argument(
        "--show", action="store_true", help="Print each wrong answer of the part that may be looked at."
    )
    parser.add_argument("--results", type=Path, help="Folder for the results file.")
    parser.add_argument("--name", default="truth", help="Name of the results file.")
    parser.add_argument("--what", default="this version", help="What is scored, for the report.")
    arguments = parser.parse_args()
    ask = ask_command(arguments.command) if arguments.command else ask_package
    judged = [judge(case, ask(case.log)) for case in load(arguments.folder)]
    if arguments.show:
        for one in judged:
            if one.part == "seen" and not one.accepted:
                print(f"{one.id}: said {one.first} ({one.confidence}), is {one.label}")
    for line in summary(judged):
        print(line)
    if arguments.results:
        run = RunFile(arguments.results, arguments.name, "truth", {"what": arguments.what})
        run.extend([one.as_row() for one in judged])
        run.finish()
    return 0


def summary(judged: list[Judged]) -> list[str]:
    """A line for each part, established cases and weakly labelled ones apart."""
    lines = []
    for established, kind in ((True, "established"), (False, "weakly labelled")):
        for part in ("seen", "kept"):
            group = [one for one in judged if one.part == part and one.established is established]
            if group:
                found = score(group)
                lines.append(
                    f"{kind}, {part}: {found.cases} cases, first {found.accepted:.0%}, named {found.named:.0%}, exact "
                    f"{found.exact:.0%}, within three {found.within_three:.0%}, overconfident {found.overconfident}"
                )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
