"""The child that tries a program's own shapes: ``for_shapes SHAPES RESULT DEVICE NAME...``.

SHAPES is a JSON list with the fields of `StftShape`; a NAME is "stft" (with the library) or "bypass" (without).
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from cufft_harness.fft.context import fft_context
from cufft_harness.probes.outcome import Outcome
from cufft_harness.probes.record import record
from cufft_harness.probes.shapes import StftShape
from cufft_harness.probes.stft import check_stft
from cufft_harness.tiers import Tier

_TIERS = {"stft": Tier.NATIVE, "bypass": Tier.BYPASS}


def main(shapes: str, result: str, device: str, names: list[str]) -> None:
    """Run the shapes on `device` as each of `names` says, writing to the file `result`."""
    wanted = [StftShape(**fields) for fields in json.loads(shapes)]
    record(Path(result), dict, {name: partial(_run, _TIERS[name], device, wanted) for name in names})


def _run(tier: Tier, device: str, shapes: list[StftShape]) -> Outcome:
    with fft_context(tier, device):
        return check_stft(device, shapes)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
