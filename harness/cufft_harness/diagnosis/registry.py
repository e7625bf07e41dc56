"""Every fact that can be known, by name: rules and readers are checked against this list as soon as they are loaded."""

from __future__ import annotations

from functools import cache

from cufft_harness.cufft import CufftResult
from cufft_harness.diagnosis.toml import load


@cache
def known_facts() -> frozenset[str]:
    """Signs, contrasts and harmless messages of a text, cuFFT's codes, and what facts.toml lists: derived, measured."""
    harmless = (name for name, entry in load("harmless.toml").items() if "says" in entry)
    return frozenset(
        [*load("signs.toml"), *load("contrasts.toml"), *harmless, *CufftResult.__members__, *load("facts.toml")]
    )
