"""TOML files of this package, on every supported Python."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def load(name: str) -> dict[str, Any]:
    """The table in `name`, a file beside this module."""
    with (Path(__file__).parent / name).open("rb") as stream:
        return tomllib.load(stream)
