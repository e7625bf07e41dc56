"""Weights as a mapping from name to tensor: read from files that anybody may have made, and their identity."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.torch_version import TorchVersion

from cufft_harness.errors import MachineError, first_line

GptState = dict[str, torch.Tensor]
"""Plain weights of XTTS's GPT by name, as `GPT.state_dict` gives them before inference adds its views."""

SAFE_SINCE = "2.6"
"""Until 2.5.1 a file could run code though it was read with `weights_only=True`: CVE-2025-32434 (GHSA-53q9-r3pm-6pq6).

From then to 2.9.1 one can still be made so that reading it corrupts memory: CVE-2026-24747 (GHSA-63cw-57p8-fm3p).
"""


class BrokenFile(ValueError):
    """The file holds no weights that can be read; the message says why, in one line."""


def read_weights(path: Path, archive: bool = False) -> Any:
    """Read what `torch.save` wrote. Every file of weights is read here: no code in it runs, nothing of it is unpacked.

    Tensors come on the CPU. Those of an archive, the format since PyTorch 1.6, stay in the file until they are used.

    Args:
        path: the file.
        archive: take nothing but an archive.

    Raises:
        MachineError: this PyTorch would run code that the file holds.
        BrokenFile: it is damaged, or holds more than tensors and plain data.
        OSError: it cannot be read.
    """
    if TorchVersion(torch.__version__) < SAFE_SINCE:
        raise MachineError(
            f"PyTorch {torch.__version__} can be made to run code by a file of weights (CVE-2025-32434), "
            f"so {path.name} is not read.",
            "pip install 'torch>=2.6'",
        )
    with path.open("rb"):  # what the system has to say goes first
        archive = archive or zipfile.is_zipfile(path)
    if archive:
        with _opened(path):
            pass
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ... for broken files
        raise BrokenFile(_why_unreadable(error)) from error


def first_damaged_part(path: Path) -> str | None:
    """The first part of an archive whose CRC-32 is not what the archive says; None if all are.

    Raises:
        BrokenFile: it is no whole archive.
        OSError: it cannot be read.
    """
    with path.open("rb"):
        pass
    with _opened(path) as archive:
        return archive.testzip()


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, if it can be one that `torch.save` wrote: nothing in it is compressed.

    So reading it takes no more memory than the file is long, whoever made it.

    Raises:
        BrokenFile: it is no archive, is damaged, or would unpack to more than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise BrokenFile("parts of it are compressed, which no file of weights' are")
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise BrokenFile("its parts are larger than the file")
            yield archive
    except BrokenFile:
        raise
    except Exception as error:  # zipfile raises BadZipFile, RuntimeError, ValueError, struct.error ... for broken ones
        raise BrokenFile(f"not a whole archive ({error})") from error


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all tensors in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _why_unreadable(error: Exception) -> str:
    """Why PyTorch could not read a file, in one plain line; its own words may advise to run the code that is in it."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds Python objects beside its weights, which are never read"
    return first_line(error, 200)
