"""The inputs that fuzzing kept: what broke a promise once as files, what merely reaches far in one archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
_WHEN = (2000, 1, 1, 0, 0, 0)
"""The date of everything in an archive: the same inputs give the same bytes."""


def found(target: str) -> dict[str, bytes]:
    """By name, the inputs that broke a promise once: `corpus/TARGET/found-NAME`."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.joinpath(target).glob("found-*"))}


def kept(target: str) -> dict[str, bytes]:
    """By name, the inputs that reach all that was reached: `corpus/TARGET.zip`."""
    with zipfile.ZipFile(_archive(target)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def keep(target: str, inputs: dict[str, bytes]) -> None:
    """Put these inputs in the place of those kept before; what was found stays."""
    with zipfile.ZipFile(_archive(target), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(inputs):
            archive.writestr(zipfile.ZipInfo(name, _WHEN), inputs[name], zipfile.ZIP_DEFLATED)


def lay_out(target: str, folder: Path) -> Path:
    """Write all inputs of a target into `folder`, as libFuzzer wants them."""
    folder.mkdir()
    for name, content in {**kept(target), **found(target)}.items():
        (folder / name).write_bytes(content)
    return folder


def _archive(target: str) -> Path:
    return FOLDER / f"{target}.zip"
