"""The evidence: what cuFFT does in every PyTorch release, with a GPU and under a simulated driver.

`versions.toml` lists the releases, `nox -s repro-<torch>` installs one and runs the pytest files of `matrix/` in it,
and each run leaves one JSON file in `results/`. The FFT part needs torch, numpy and pytest alone, so that any file can
be taken out and run elsewhere.
"""

import importlib.util
import os
import sys
from pathlib import Path

if importlib.util.find_spec("cufft_harness") is None:
    # A checkout that nobody installed: the environment of an old PyTorch release, or a machine without a network. Child
    # processes find the package the same way.
    _ROOT = Path(__file__).resolve().parent.parent
    sys.path[:0] = _SOURCES = [str(_ROOT), str(_ROOT / "harness")]
    os.environ["PYTHONPATH"] = os.pathsep.join([*_SOURCES, *filter(None, [os.environ.get("PYTHONPATH")])])
