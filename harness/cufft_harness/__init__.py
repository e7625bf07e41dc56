"""cufft-harness: why cuFFT fails, proof across PyTorch and CUDA versions, and training that goes on regardless.

The names in `__all__` are what programs may rely on. Each is loaded when it is first asked for: importing the package
imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cufft_harness.api import diagnose as diagnose
    from cufft_harness.api import pick_device as pick_device
    from cufft_harness.cufft import CufftResult as CufftResult
    from cufft_harness.cufft import Fault as Fault
    from cufft_harness.diagnosis.rules import Finding as Finding
    from cufft_harness.doctor.examination import Examination as Examination
    from cufft_harness.doctor.examination import examine as examine
    from cufft_harness.errors import HarnessError as HarnessError
    from cufft_harness.errors import MachineError as MachineError
    from cufft_harness.errors import UserError as UserError
    from cufft_harness.fft import Account as Account
    from cufft_harness.fft import bypass as bypass
    from cufft_harness.fft import guard as guard
    from cufft_harness.fft import inject as inject
    from cufft_harness.probes.shapes import StftShape as StftShape
    from cufft_harness.status import Status as Status
    from cufft_harness.tiers import Placement as Placement
    from cufft_harness.tiers import Tier as Tier

_PLACES = {
    "cufft_harness.fft": ("guard", "bypass", "inject", "Account"),
    "cufft_harness.api": ("diagnose", "pick_device"),
    "cufft_harness.doctor.examination": ("examine", "Examination"),
    "cufft_harness.diagnosis.rules": ("Finding",),
    "cufft_harness.status": ("Status",),
    "cufft_harness.tiers": ("Placement", "Tier"),
    "cufft_harness.probes.shapes": ("StftShape",),
    "cufft_harness.cufft": ("CufftResult", "Fault"),
    "cufft_harness.errors": ("HarnessError", "UserError", "MachineError"),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

__all__ = sorted(_PLACE_OF)


def __getattr__(name: str) -> Any:
    """The public names, and `__version__`: reading package metadata costs more than the rest of the start."""
    if name in _PLACE_OF:
        value = getattr(importlib.import_module(_PLACE_OF[name]), name)
        globals()[name] = value
        return value
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cufft-harness")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    """The public names, for completion."""
    return [*globals(), *__all__, "__version__"]
