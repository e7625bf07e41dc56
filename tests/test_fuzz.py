"""What fuzzing found once stays mended: the corpus of `nox -s fuzz` is replayed, without atheris."""

from __future__ import annotations

from pathlib import Path

import pytest
from cufft_harness.errors import UserError
from cufft_harness.files import expanded
from cufft_harness.training.settings import Settings, read_settings

from repro.fuzz import corpus
from repro.fuzz.targets import TARGETS, Broken


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_breaks_no_promise(target: str, record_property):
    """Each input that reached something new, and each that broke something once."""
    inputs = [*corpus.kept(target).values(), *corpus.found(target).values()]
    assert len(inputs) > 10
    for content in inputs:
        TARGETS[target](content)
    record_property("tried", len(inputs))


def test_the_targets_notice_a_broken_promise(monkeypatch: pytest.MonkeyPatch):
    """A settings reader whose error spans lines is seen."""

    def break_it(*_: object) -> Settings:
        error = UserError("")
        error.message = "two\nlines"
        raise error

    monkeypatch.setattr("repro.fuzz.targets.read_settings", break_it)
    with pytest.raises(Broken, match="not one printable line"):
        TARGETS["settings"](b"num_epochs = 1")


def test_an_error_is_one_line_that_steers_no_terminal():
    """Whatever it quotes: escape sequences, line ends, bytes that are no text."""
    error = UserError("unknown setting `\x1b[31m\u202ered\udc8b`\nin x.toml", "See\r\n\x07 help.")
    assert error.message == str(error) == "unknown setting `?[31m?red?` in x.toml"
    assert error.advice == "See  ? help."


@pytest.mark.parametrize("name", ["model", "data", "output", "sample_reference"])
@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "a\0b"])
def test_a_path_that_cannot_be_is_a_user_error(name: str, path: str):
    """The home of nobody and a NUL character are refused before any work, not met later as a traceback."""
    with pytest.raises(UserError, match=r"no such home directory|NUL character"):
        read_settings({name: path})


def test_the_home_of_nobody_is_a_user_error():
    """Also where a path is no setting, such as `sample --checkpoint`."""
    with pytest.raises(UserError, match="no such home directory"):
        expanded(Path("~nobody-of-this-name/x"))
