"""Turn whatever was handed in (100 MB, binary, UTF-16, full of escape codes) into a bounded, clean text.

Memory: never more than a few MiB. Time: one pass over the input, at most `READ_LIMIT` bytes of it. The beginning, the
end and the surroundings of telling words in between are kept; nothing in the text is ever executed or printed as it is.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cufft_harness.errors import UserError

READ_LIMIT = 128 * 2**20
HEAD = TAIL = 96 * 2**10
MIDDLE = 64 * 2**10
_CHUNK = 2**20
_AROUND = 700
_EACH_WORD = 8
# Looked for, in exactly this spelling, in the part of a large input that is neither its beginning nor its end.
_TELLING = (
    "cuFFT error", "CUFFT_", "hipFFT", "nvJitLink", "CUDA out of memory", "CUDA error", "MKL FFT", "PTX JIT",
    "device-side assert", "Segmentation fault", "Unsupported dtype", "RuntimeError", "PyTorch version",
    "Driver Version", "NVIDIA GeForce", "torch==", "+cu1", "cufft plan", "no kernel image", "forked subprocess",
    "stream is capturing", "ZLUDA", "Padding size", "powers of two", "CUFFT error", "CUFFTError", "CuFFTError",
    "cuFFT batched plan", "initializing FFT", "fail to plan", "creation failed", "undefined symbol", "shared object",
    "library not found", "WinError", "stub version", "OUT_OF_MEMORY", "memory was insufficient", "illegal memory",
    "context is destroyed", "what():", "terminate called", "invalid device function", "CUDA Build Version",
)  # fmt: skip

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd]")
_COMPRESSED = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"(\xb5/\xfd": "zstd",
    b"\x89PNG": "PNG image", b"\xff\xd8\xff": "JPEG image", b"%PDF": "PDF",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A clean text: printable characters, tabs and newlines only.

    Attributes:
        text: at most about a quarter of a MiB of it.
        notes: what was noticed on the way (compressed, binary, cut), one sentence each.
    """

    text: str
    notes: tuple[str, ...] = ()


def clean(text: str) -> str:
    """Remove escape sequences, control and invisible characters; unify line ends and quotes."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"')
    return _CONTROL.sub("", text.replace("\u00a0", " "))


def open_log(name: str) -> AbstractContextManager[BinaryIO]:
    """Open the log file `name`, or standard input for ``-``; the latter is not closed.

    Raises:
        UserError: there is no such file, it is a directory, or it may not be read.
    """
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except FileNotFoundError:
        raise UserError(f"There is no log {name!r}.", "Give a file, or - and paste the log.") from None
    except OSError as error:
        raise UserError(f"The log {name!r} cannot be read: {error.strerror}.", "Give a text file, or -.") from None


def read(stream: BinaryIO) -> Source:
    """Read a log to its end (or to `READ_LIMIT`) and keep what may tell something."""
    head = stream.read(HEAD)
    notes = []
    kind = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), None)
    if kind:
        notes.append(f"The input is not text but a {kind} file: unpack it, or paste the text in it.")
    encoding = _encoding(head)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    first = decoder.decode(head)
    pieces, tail, total = [first], "", len(head)
    found: Counter[str] = Counter()
    kept = 0
    while total < READ_LIMIT and (block := stream.read(_CHUNK)):
        total += len(block)
        window = tail + decoder.decode(block)
        ready, tail = window[:-TAIL], window[-TAIL:]
        for piece in _telling_pieces(ready, found):
            if kept < MIDDLE:
                pieces.append(piece)
                kept += len(piece)
    if total >= READ_LIMIT:
        notes.append(f"Only the first {READ_LIMIT // 2**20} MiB were read.")
    if total > HEAD + TAIL:
        notes.append(f"The log is long ({total / 2**20:.1f} MiB): its beginning, its end and telling lines were read.")
    pieces.append(tail)
    raw = "\n".join(filter(None, pieces)) if kept or total > HEAD + TAIL else "".join(pieces)
    unprintable = sum(map(raw.count, ("\x00", "\ufffd")))
    if not kind and unprintable > len(raw) / 10:
        notes.append("The input looks binary; only its readable parts were used.")
    text = clean(raw)
    if not text.strip():
        notes.append("The log is empty.")
    return Source(text, tuple(notes))


def _encoding(head: bytes) -> str:
    """UTF-16 and UTF-32 are known by their marks, or by every second byte being zero; all else is taken for UTF-8."""
    for mark, name in ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
                       (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip
        if head.startswith(mark):
            return name
    pairs = len(head) // 2
    if pairs > 8:
        if head[1::2].count(0) > 0.6 * pairs and head[::2].count(0) < 0.1 * pairs:
            return "utf-16-le"
        if head[::2].count(0) > 0.6 * pairs and head[1::2].count(0) < 0.1 * pairs:
            return "utf-16-be"
    return "utf-8"


def _telling_pieces(text: str, found: Counter[str]) -> list[str]:
    """The surroundings of telling words, each word a few times at most over the whole input."""
    pieces = []
    for word in _TELLING:
        start = 0
        while found[word] < _EACH_WORD and (at := text.find(word, start)) >= 0:
            found[word] += 1
            pieces.append(text[max(0, at - _AROUND) : at + _AROUND])
            start = at + _AROUND
    return pieces
