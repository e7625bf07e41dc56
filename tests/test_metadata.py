"""cufft_harness.dataset.metadata: the layouts people have."""

from pathlib import Path

import pytest
from cufft_harness.dataset.metadata import Row, built_in, read_data_set, split
from cufft_harness.errors import UserError


def test_built_in_data_has_short_pt_and_en_sentences():
    """At least 24 clips in both languages come with the package, and each file is there."""
    data = read_data_set(None, "pt", 0.1)
    rows = [*data.train, *data.validation]
    assert len(rows) >= 24
    assert {row.language for row in data.train} == {row.language for row in data.validation} == {"pt", "en"}
    assert all((built_in() / row.clip).is_file() for row in rows)


def test_accepted_line_formats(tmp_path: Path):
    """`path|text`, `path|text|language` and LJSpeech's `id|text|normalised text` are understood."""
    (tmp_path / "metadata_train.csv").write_text(
        "wavs/a.wav|Olá.\nwavs/b.flac|Hello.|en\n\nLJ001|Dr. No|Doctor No\n", encoding="utf-8"
    )
    (tmp_path / "metadata_val.csv").write_text("wavs/c.wav|Sim.\n", encoding="utf-8")
    data = read_data_set(tmp_path, "pt", 0.1)
    assert data.train == [
        Row("metadata_train.csv:1", "wavs/a.wav", "Olá.", "pt"),
        Row("metadata_train.csv:2", "wavs/b.flac", "Hello.", "en"),
        Row("metadata_train.csv:4", "wavs/LJ001.wav", "Doctor No", "pt"),
    ]


def test_a_plain_metadata_file_is_split_reproducibly(tmp_path: Path):
    """The same rows go to the same side, also when rows are added later."""
    rows = [Row("m:1", f"wavs/{number}.wav", f"text {number}", "pt") for number in range(200)]
    train, validation = split(rows, 0.1)
    assert 5 <= len(validation) <= 40
    more_train, more_validation = split([*rows, Row("m:1", "wavs/new.wav", "new", "pt")], 0.1)
    assert set(train) <= set(more_train)
    assert set(validation) <= set(more_validation)


@pytest.mark.parametrize("fraction", [0.0001, 0.9999])
def test_two_rows_are_enough_to_split(fraction: float):
    """Both sides get a row, whatever the fraction."""
    rows = [Row("m:1", "a.wav", "a", "pt"), Row("m:2", "b.wav", "b", "pt")]
    assert [len(part) for part in split(rows, fraction)] == [1, 1]


def test_missing_data_is_a_user_error(tmp_path: Path):
    """No folder, no metadata, no UTF-8: one line that says what is expected."""
    with pytest.raises(UserError, match="no data set"):
        read_data_set(tmp_path / "none", "pt", 0.1)
    with pytest.raises(UserError, match="neither"):
        read_data_set(tmp_path, "pt", 0.1)
    (tmp_path / "metadata.csv").write_bytes("wavs/a.wav|Olá\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_data_set(tmp_path, "pt", 0.1)
