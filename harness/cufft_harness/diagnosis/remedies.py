"""What to do about a cause, in the terms of the program that failed: never a tool of another framework."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cufft_harness.diagnosis import builds
from cufft_harness.diagnosis.catalogue import Cause, Remedy
from cufft_harness.diagnosis.facts import Environment, Version
from cufft_harness.diagnosis.programs import Framework, title_of
from cufft_harness.diagnosis.toml import load

_PLACE = re.compile(r"\{([a-z\-]+)(?::([a-z\d.]+))?\}")
_LINES = ("build", "keep-build", "reinstall")


def remedy_for(cause: Cause, framework: Framework, environment: Environment | None = None) -> Remedy:
    """What to do about `cause` in this framework; commands fit the versions and cards of `environment`."""
    known = environment or Environment()
    written = cause.remedy(framework)
    if written is None:
        text = f"This cause exists in {title_of(Framework(cause.only))} only; nothing here fits {title_of(framework)}."
        return Remedy((text,), "", "Look at the other causes.")
    fix = tuple(line for entry in written.fix for line in _lines(entry, framework, known))
    return Remedy(fix, _inline(written.meanwhile, framework), _inline(written.next_experiment, framework))


def _lines(entry: str, framework: Framework, environment: Environment) -> Iterator[str]:
    match = _PLACE.fullmatch(entry)
    if match is None or match[1] not in _LINES:
        yield entry
    elif match[1] == "reinstall":
        yield from builds.reinstall(environment)
    elif match[1] == "build":
        yield from builds.at_least(_wanted(match[2], environment), framework, environment)
    else:
        yield from builds.at_most(_allowed(match[2], environment), framework, environment)


def _wanted(word: str, environment: Environment) -> Version:
    """ "11.8", or "card": what the cards need."""
    if word == "card":
        return builds.cuda_for_card(environment) or (12, 8)
    return tuple(map(int, word.split(".")))


def _allowed(word: str, environment: Environment) -> Version:
    """ "12.6", "card" or "driver": what they still support."""
    if word == "card":
        return builds.last_cuda_for_card(environment) or (12, 9)
    if word == "driver":
        return builds.last_cuda_for_driver(environment)
    return tuple(map(int, word.split(".")))


def _inline(text: str, framework: Framework) -> str:
    """The text with {stand-in} and {cpu} in this framework's words."""

    def words(match: re.Match[str]) -> str:
        table: dict[str, str] = load("remedies.toml")[match[1]]
        return table.get(framework.value, table["any"])

    return _PLACE.sub(words, text)
