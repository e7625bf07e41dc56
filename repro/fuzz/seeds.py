"""Where each target starts, and the words libFuzzer may put together."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path

import numpy as np
import soundfile
import yaml
from cufft_harness.diagnosis.log_input import _TELLING
from cufft_harness.training.settings import SETTINGS

REPORTS = Path(__file__).parent.parent.parent / "tests" / "data" / "reports.yaml"


def seeds(target: str) -> list[bytes]:
    """Small files that are as they should be, and some that lie."""
    return {"log": _logs, "wav": _audio, "settings": _settings, "checkpoint": _choices}[target]()


def words(target: str) -> list[str]:
    """libFuzzer's dictionary: one quoted word a line."""
    found: list[str] = []
    if target == "log":
        found = [*_TELLING, "NVIDIA GeForce RTX 4090", "torch==2.1.0+cu121", "cufft error code: 8", "[0, 16000]"]
    elif target == "wav":
        found = ["RIFF", "RIFX", "RF64", "WAVE", "fmt ", "data", "ds64", "fact", "LIST", "PEAK", "fLaC", "OggS", "FORM"]
    elif target == "settings":
        found = [*SETTINGS, *map(str.upper, SETTINGS), "true", "false", "1e400", "-1", "nan"]
        found += ["CUFFT_INVALID_SIZE@2", "hang,crash@3", "~nobody/x", "\\\\u0000", "\\\\u001b", "[table]"]
    return ['"' + word.replace('"', '\\"') + '"' for word in found]


def _choices() -> list[bytes]:
    """Bytes that decide what is put where."""
    return [bytes([number]) for number in range(64)]


def _logs() -> list[bytes]:
    reports = yaml.safe_load(REPORTS.read_text(encoding="utf-8"))
    logs = [report["log"].encode() for report in reports]
    return [*logs, logs[0].decode().encode("utf-16"), b"\x1f\x8b\x08" + logs[0], b"\x1b[31m" + logs[1]]


def _audio() -> list[bytes]:
    tone = np.sin(np.arange(1200) * 2 * math.pi * 0.02).astype(np.float32) * 0.3
    made = []
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_16")):
        for channels in (1, 2):
            stream = io.BytesIO()
            soundfile.write(stream, np.stack([tone] * channels, 1), 2000, format=kind, subtype=subtype)
            made.append(stream.getvalue())
    ours = io.BytesIO()
    soundfile.write(ours, tone, 22_050, format="WAV", subtype="PCM_16")
    lies = [(0, 1), (2**32 - 1, 1), (22_050, 0), (22_050, 500), (1000, 64)]
    return [*made, ours.getvalue(), *(_riff(rate, channels) for rate, channels in lies)]


def _riff(rate: int, channels: int) -> bytes:
    """A WAV header of 16 bits a sample that promises four gigabytes, and 80 bytes of sound."""
    wrapped = rate * channels * 2 % 2**32
    form = b"fmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, channels, rate, wrapped, channels * 2 % 2**16, 16)
    return b"RIFF\xff\xff\xff\xffWAVE" + form + b"data\xff\xff\xff\xff" + b"\x10\x20" * 40


def _settings() -> list[bytes]:
    values = {name: one.default for name, one in SETTINGS.items() if one.default is not None}
    lines = [f"{name} = {str(value).lower() if isinstance(value, bool | int | float) else repr(str(value))}"
             for name, value in values.items()]  # fmt: skip
    variables = "\n".join(f"{name}={value}" for name, value in values.items())
    return ["\n".join(lines).encode(), *map(str.encode, lines), b"$" + variables.encode(), b"$num_epochs=3"]
