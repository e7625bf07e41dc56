"""Run by torchrun, two processes: one run undisturbed, one stopped in the middle of an epoch that then goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from cufft_harness.training.events import Stepped
from cufft_harness.training.run import run, train
from cufft_harness.training.settings import Settings


def main() -> None:
    """Settings as JSON, then the folder for both outputs."""
    given, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    train(Settings(**given, output=folder / "undisturbed"))
    for event in run(Settings(**given, output=folder / "stopped")):
        if isinstance(event, Stepped) and event.update == 1 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)  # one of them is asked; both leave
    train(Settings(**given, output=folder / "stopped"))


if __name__ == "__main__":
    main()
