"""What comparisons a report draws: the same works on another card, at a smaller size, in another process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from cufft_harness.diagnosis.facts import Environment, Fact, Gpu, Version
from cufft_harness.diagnosis.matching import Sign
from cufft_harness.diagnosis.toml import load


def contrasts_in(text: str, environment: Environment) -> Iterator[Fact]:
    """The comparisons of a lower-case text; between cards as `environment` has them."""
    yield from _between_cards(environment)
    for name, says, sign in _signs():
        if sign.shows(text):
            yield Fact(name, says)


def _between_cards(environment: Environment) -> Iterator[Fact]:
    failing = [_capability(gpu) for gpu in environment.gpus if gpu.capability]
    working = [_capability(gpu) for gpu in environment.working_gpus if gpu.capability]
    if not failing or not working:
        return
    names = " and ".join(gpu.name for gpu in environment.working_gpus[:2])
    text = f"the same works on {names} and fails on {environment.gpus[0].name}"
    yield Fact("other-card-works", text)
    if max(failing) > max(working):
        yield Fact("newer-card-fails", f"{text}, a newer card")
    elif max(failing) < min(working):
        yield Fact("older-card-fails", f"{text}, an older card")


def _capability(gpu: Gpu) -> Version:
    return gpu.capability or ()


@cache
def _signs() -> tuple[tuple[str, str, Sign], ...]:
    return tuple((name, entry["says"], Sign.parse(entry)) for name, entry in load("contrasts.toml").items())
