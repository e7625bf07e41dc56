"""Write what a maintainer upstream wants: environment, results, and one script that needs nothing of this package."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

from cufft_harness.doctor.examination import Examination
from cufft_harness.doctor.report import as_json, markdown
from cufft_harness.errors import MachineError, UserError
from cufft_harness.files import make_folder, write_atomically
from cufft_harness.probes.shapes import ALL_SHAPES, XTTS_SHAPES, StftShape
from cufft_harness.redaction import Redaction

_SCRIPT = Template('''\
"""Self-contained: `python repro.py` runs one torch.stft twice on $device and compares it with float64 on the CPU.

Exit status 0: both calls are right. 1: the call fails, or its numbers are wrong.
"""

import sys

import torch

print("torch", torch.__version__, "CUDA", torch.version.cuda, "HIP", torch.version.hip)
if torch.cuda.is_available():
    print(torch.cuda.get_device_name(), torch.cuda.get_device_capability(), "free/total", torch.cuda.mem_get_info())

device = sys.argv[1] if len(sys.argv) > 1 else "$device"
n_fft, hop_length, win_length = $n_fft, $hop_length, $win_length  # $name
torch.manual_seed(0)
signal = torch.randn(1, $samples, dtype=torch.float64)


def stft(x):
    window = torch.${window}_window(win_length, dtype=x.dtype, device=x.device)
    return torch.stft(x, n_fft, hop_length, win_length, window, return_complex=True)


reference = stft(signal)
ones = torch.ones(64, 64, device=device)
print("control, a matrix product:", float((ones @ ones).sum()))
for call in (1, 2):
    try:
        answer = stft(signal.to(device, torch.float32)).cpu()
    except RuntimeError as error:
        sys.exit(f"call {call}: {error}")
    deviation = float((answer - reference).abs().max() / reference.abs().max())
    print(f"call {call}: relative error {deviation:.1e}")
    if not deviation < 1e-4:
        sys.exit(f"call {call}: wrong numbers")
print("passed")
''')


def refuse_unfit(folder: Path) -> None:
    """Refuse a folder that something would be lost in.

    Raises:
        UserError: it exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{str(folder)!r} exists and is not an empty folder.", "Give a new folder to --issue.")


def write_issue(examination: Examination, folder: Path) -> list[Path]:
    """Write issue.md, environment.json and repro.py into `folder`, without home, user and host.

    Raises:
        UserError: the folder exists and is not empty; nothing was written.
        MachineError: it cannot be written.
    """
    refuse_unfit(folder)
    private = Redaction.of_this_machine()
    files = {
        "issue.md": _body(examination, private),
        "environment.json": json.dumps(private.everywhere(as_json(examination)), indent=2) + "\n",
        "repro.py": repro_script(examination),  # shapes and a device alone
    }
    try:
        make_folder(folder)
        for name, text in files.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise MachineError(f"{str(folder)!r} cannot be written: {error.strerror}.") from error
    return [folder / name for name in files]


def repro_script(examination: Examination) -> str:
    """The script for the shape that failed, or for the speaker encoder's if none did."""
    shape = _failing_shape(examination)
    return _SCRIPT.substitute(
        device=examination.device,
        name=shape.name,
        n_fft=shape.n_fft,
        hop_length=shape.hop_length,
        win_length=shape.win_length,
        window=shape.window,
        samples=shape.sample_rate,
    )


def _failing_shape(examination: Examination) -> StftShape:
    stft = examination.results.outcomes.get("stft")
    return next((shape for shape in ALL_SHAPES if stft and shape.name == stft.case), XTTS_SHAPES[0])


def _body(examination: Examination, private: Redaction) -> str:
    return (
        private.text(markdown(examination))
        + "\n\n`repro.py` shows the failure without any other package: `python repro.py`.\n"
        + "`environment.json` holds all versions, libraries and variables.\n"
    )
