"""What is fuzzed: functions that take any bytes and raise where a promise is broken.

They need no atheris, so that the tests can replay the corpus.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from unittest import mock

from cufft_harness.audio import AudioError, read_mono
from cufft_harness.dataset.audit import Clip, Limits, RowCheck
from cufft_harness.dataset.clips import ClipFolder
from cufft_harness.dataset.metadata import Row
from cufft_harness.diagnosis import render
from cufft_harness.diagnosis.from_text import read_log
from cufft_harness.diagnosis.log_input import read
from cufft_harness.diagnosis.rules import rank
from cufft_harness.errors import UserError
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling.artefacts import BrokenSample, examine
from cufft_harness.training.setting import PREFIX
from cufft_harness.training.settings import Settings, read_settings
from rich.console import Console

ENVIRONMENT = b"$"
"""Settings that begin so are variables of the environment, one a line; all others are a TOML file."""


class Broken(AssertionError):
    """A promise about input from outside is broken."""


def log(data: bytes) -> None:
    """`diagnose`: any log gets an answer, for people, programs and issue trackers, without control characters."""
    evidence = read_log(read(io.BytesIO(data)))
    findings = rank(evidence)
    shown = render.markdown(findings, evidence)
    if len(data) % 8 == 0:  # rich takes five times as long as all the rest
        screen = io.StringIO()
        render.show(findings, evidence, Console(file=screen, width=100))
        shown += screen.getvalue()
    _demand(_printable(shown), f"control characters in the answer: {shown!r}")
    json.dumps(render.as_dict(findings, evidence), allow_nan=False)


def wav(data: bytes) -> None:
    """Audio of a data set, a reference clip, a worker's sample: measured, or left out with a reason of one line."""
    path = _folder() / "a.wav"
    path.write_bytes(data)
    row = Row("metadata.csv:1", path.name, "Olá.", "pt")
    checked = RowCheck(ClipFolder(path.parent), lambda text, language: [5], Limits(1.0, 400, 1))(row)
    if isinstance(checked, Clip):
        _demand(0.5 <= checked.seconds <= 1.01, f"a clip of {checked.seconds} s")
    else:
        _demand(str(checked).isprintable(), f"control characters in the reason: {checked}")
    try:
        samples = read_mono(path, 22_050, max_seconds=0.1)
        _demand(samples.ndim == 1 and len(samples) < 0.2 * 22_050 + 100, f"{samples.shape} samples")
    except AudioError as problem:
        _demand_one_line(str(problem))
    try:
        examine(path)
    except BrokenSample as problem:
        _demand_one_line(str(problem))


def settings(data: bytes) -> None:
    """A settings file or variables: settings a run can begin with, or a user error of one line."""
    file: Path | None = None
    variables: dict[str, str] = {}
    if data.startswith(ENVIRONMENT):
        variables = _variables(data)
    else:
        file = _folder() / "settings.toml"
        file.write_bytes(data)
    try:
        with _environment(variables):
            found = read_settings({}, file)
            rehearsal.parse(found.inject)
    except UserError as error:
        _demand_one_line(error.message)
        _demand_one_line(error.advice)
        return
    for path in (found.output, found.data, *(found.sample_reference or ()), Path(found.model)):
        if path is not None:  # what a run does with it first
            path.expanduser().is_dir()
            _demand(b"\0" not in os.fsencode(path), f"a path no system can have: {path!r}")
    _demand(Settings(**found.as_json()).as_json() == found.as_json(), "settings that a checkpoint cannot hold")
    json.dumps(found.as_json(), allow_nan=False)


def checkpoint(data: bytes) -> None:
    """A checkpoint with anything anywhere: the run goes on from it, or from the one before, and can make a step."""
    from repro.fuzz.checkpoints import resume_from

    resume_from(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "log": log,
    "wav": wav,
    "settings": settings,
    "checkpoint": checkpoint,
}


def _demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


def _demand_one_line(text: str) -> None:
    _demand(text.isprintable(), f"not one printable line: {text!r}")


def _printable(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def _variables(data: bytes) -> dict[str, str]:
    """`name=value` lines as variables a process can have; names in capitals, behind the prefix."""
    lines = (line.partition(b"=") for line in data[1:].split(b"\n") if b"\0" not in line)
    return {f"{PREFIX}{os.fsdecode(name).upper()}": os.fsdecode(value) for name, _, value in lines if name}


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, variables):
        yield


def _folder() -> Path:
    """A folder for the file under test; it goes with this process."""
    return Path(_temporary().name)


@lru_cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")
