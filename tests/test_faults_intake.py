"""Fuzzed intake: whatever bytes settings, metadata, audio and pasted logs hold, the answer is one line or a result.

`nox -s faults` tries 500 examples of each, the test suite a hundred.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from cufft_harness.audio import AudioError, read_header, read_mono
from cufft_harness.dataset.audit import Limits, RowCheck
from cufft_harness.dataset.clips import ClipFolder
from cufft_harness.dataset.metadata import read_data_set
from cufft_harness.diagnosis import render
from cufft_harness.diagnosis.from_text import read_log
from cufft_harness.diagnosis.log_input import read
from cufft_harness.diagnosis.rules import rank
from cufft_harness.errors import HarnessError, UserError
from cufft_harness.files import read_json_lines
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.training.settings import SETTINGS, Settings, read_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from test_faults_files import LIES, riff


@pytest.fixture(autouse=True)
def count(record_property):
    """Tell how many examples are tried."""
    record_property("tried", settings.default.max_examples)


NAMES = st.sampled_from([*SETTINGS, "unknown", "", "model.path"])
VALUES = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=20).map(repr),
    st.just("[1]"),
    st.just("{a = 1}"),
    st.text(),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_any_settings_file_gives_settings_or_one_line(tmp_path: Path, items: list[tuple[str, object]]):
    """Known names with any values, unknown names, and what is no TOML."""
    path = tmp_path / "settings.toml"
    text = "\n".join(f"{name} = {str(value).lower() if isinstance(value, bool) else value}" for name, value in items)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        found = read_settings({}, path)
    except HarnessError as error:
        assert len(error.message.splitlines()) <= 1  # noqa: PT017
    else:
        assert isinstance(found, Settings)


@given(st.binary(max_size=300))
def test_any_bytes_as_settings_are_settings_or_one_line(tmp_path: Path, content: bytes):
    """Bytes that are no text at all, too."""
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    try:
        read_settings({}, path)
    except HarnessError as error:
        assert len(error.message.splitlines()) <= 1  # noqa: PT017


LINES = st.one_of(st.text(max_size=60), st.from_regex(r"\A([^\n]{0,12}|[0-9])\|[^\n]{0,20}(\|[^\n]{0,8})?\Z"))


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(LINES, max_size=8).map(lambda lines: "\n".join(lines).encode("utf-8", "replace")),
    )
)
def test_any_metadata_gives_rows_with_reasons_or_one_line(tmp_path: Path, content: bytes):
    """Each row is checked to its end: it is left out with a printable reason, as no clip is there."""
    (tmp_path / "metadata.csv").write_bytes(content)
    for name in "0123456789":  # the first column has to name a clip that is there
        (tmp_path / f"{name}.wav").write_bytes(b"no audio")
    try:
        data = read_data_set(tmp_path, "pt")
    except UserError as error:
        assert len(error.message.splitlines()) <= 1  # noqa: PT017
        return
    check = RowCheck(ClipFolder(tmp_path), lambda text, language: [5], Limits(11.6, 400, 1))
    for result in (*data.rejected, *map(check, data.rows)):
        assert str(result).isprintable()


@given(st.data())
def test_any_audio_file_gives_samples_or_one_line(tmp_path: Path, data: st.DataObject):
    """Headers that lie, with some bytes changed and cut anywhere; no more is read than was asked for."""
    content = bytearray(data.draw(st.sampled_from([*LIES.values(), riff(data=4000), riff(channels=2, rate=8000)])))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, min(len(content), 80) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.wav"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_header(path)
        samples = read_mono(path, 22_050, max_seconds=1.0)
    except AudioError as problem:
        assert len(str(problem).splitlines()) == 1  # noqa: PT017
    else:
        assert samples.ndim == 1
        assert len(samples) <= 2 * 22_050 + 100


WORDS = st.sampled_from(
    [
        "cuFFT error: CUFFT_INVALID_SIZE",
        "cufft error code: 8",
        "torch==2.1.0",
        "[1, 99999999, 99999999]",
        "Driver Version: 535.1",
        "CUDA out of memory",
        "RuntimeError:",
        "not ",
        "+cu121",
        "9" * 60,
        "(((",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "\ufeff",
    ]
)
TEXTS = st.lists(st.one_of(WORDS, st.text(max_size=20)), max_size=30).map(" ".join)


@given(st.one_of(st.binary(max_size=400), TEXTS.map(lambda text: text.encode("utf-8", "replace"))))
def test_any_pasted_log_gets_an_answer(content: bytes):
    """`diagnose` ranks causes or says that it found none; what it prints holds no control characters."""
    evidence = read_log(read(io.BytesIO(content)))
    findings = rank(evidence)
    shown = render.markdown(findings, evidence) + str(render.as_dict(findings, evidence))
    assert not [character for character in shown if not character.isprintable() and character != "\n"]


@given(st.binary(max_size=400))
def test_any_manifest_can_be_read(tmp_path: Path, content: bytes):
    """What is no record is left out."""
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    assert all(isinstance(record, dict) for record in read_json_lines(path))


@given(st.text(max_size=40))
def test_any_injection_is_understood_or_one_line(text: str):
    """The `inject` setting: a list of failures, or a user error."""
    try:
        rehearsal.parse(text)
    except UserError as error:
        assert error.advice  # noqa: PT017
