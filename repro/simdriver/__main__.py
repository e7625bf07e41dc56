"""``python -m repro.simdriver PATH/libcufft.so.11 [WORDS]``: one library's table, of the experiments with all WORDS."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from repro.simdriver.build import CannotBuild, build
from repro.simdriver.experiments import all_experiments
from repro.simdriver.run import get_version, run


def main() -> int:
    """Print one line an experiment; 2 for wrong input, 1 if the driver cannot be built."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    library, words = Path(sys.argv[1]).resolve(), sys.argv[2:]
    experiments = [one for one in all_experiments() if all(word in one.name for word in words)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            driver = build(Path(folder).resolve())
            print(f"{library.name}, cufftGetVersion {get_version(library)}")
            for answer in run(library, driver, experiments):
                print(
                    f"{answer.experiment.name:60s} {answer.text}"
                    + (f"  (first: {answer.first})" if answer.first else "")
                )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except CannotBuild as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
