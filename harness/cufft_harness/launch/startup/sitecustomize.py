"""Found by every Python process that `cufft-harness run` starts, through PYTHONPATH: guards its FFTs.

The `sitecustomize` that this one hides is run first, as if this one were not there.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _run_hidden() -> None:
    path = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _guard() -> None:
    # By its file: this Python need not be the one that the package is installed in.
    spec = importlib.util.spec_from_file_location("_cufft_harness_launch", _HERE.parent / "process.py")
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.install()


_guard()
_run_hidden()
