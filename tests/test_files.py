"""cufft_harness.files: whole or not there; lines that survive a crash."""

import errno
import os
import re
import resource
from pathlib import Path

import pytest
import torch
from cufft_harness.files import (
    append_json_line,
    atomic_path,
    make_folder,
    read_json_lines,
    sha256_of,
    write_atomically,
)


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path):
    """While it is written the name does not exist; afterwards the temporary name does not."""
    target = tmp_path / "a.txt"
    with atomic_path(target) as path:
        path.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    """An error on the way keeps what was there and leaves no half file behind."""
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as path:
            path.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was flushed (fsync), in order."""
    found: list[Path] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return found


def test_a_new_folder_survives_a_power_cut(tmp_path: Path, flushed: list[Path]):
    """The folder above it is flushed, and of several each; one that a killed run made is flushed with its names."""
    make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path, tmp_path / "a"]
    make_folder(tmp_path / "a" / "b")
    assert flushed[2:] == [tmp_path / "a", tmp_path / "a" / "b"]


def test_a_new_file_of_records_survives_a_power_cut(tmp_path: Path, flushed: list[Path]):
    """With the first record its name is flushed, too; from then on the content alone."""
    path = tmp_path / "records.jsonl"
    append_json_line(path, {"epoch": 1})
    append_json_line(path, {"epoch": 2})
    assert flushed == [path, tmp_path, path]


def test_a_whole_file_survives_a_power_cut(tmp_path: Path, flushed: list[Path]):
    """The content is flushed under its temporary name, the folder after the rename."""
    write_atomically(tmp_path / "a.txt", "olá \udce9")
    assert flushed[0].name.endswith(".partial")
    assert flushed[1:] == [tmp_path]
    assert (tmp_path / "a.txt").read_bytes() == "olá \\udce9".encode()


def test_a_disk_that_cannot_flush_folders_takes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Some network disks refuse it; any other refusal is an error."""
    fsync, refusal = os.fsync, errno.EINVAL

    def refuse(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(refusal, os.strerror(refusal))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    make_folder(tmp_path / "a")
    write_atomically(tmp_path / "a" / "b", "c")
    refusal = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(tmp_path / "a" / "b", "d")


def test_records_after_a_cut_line_are_kept(tmp_path: Path):
    """A line that a crash cut short costs that record only."""
    path = tmp_path / "records.jsonl"
    append_json_line(path, {"epoch": 1})
    with path.open("a") as stream:
        stream.write('{"epoch": 2, "tier"')
    append_json_line(path, {"epoch": 3, "text": "síntese"})
    assert read_json_lines(path) == [{"epoch": 1}, {"epoch": 3, "text": "síntese"}]


def test_a_missing_file_has_no_records(tmp_path: Path):
    """Reading records of a run that made none is no error."""
    assert read_json_lines(tmp_path / "none.jsonl") == []


def test_sha256_is_the_known_one(tmp_path: Path):
    """The digest is that of the file's bytes (value from FIPS 180-2's example "abc")."""
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_full_disk_is_named_also_where_a_library_hides_it(tmp_path: Path):
    """PyTorch says of a write that failed where in its archive it was; the disk, asked again, says why."""

    def write() -> None:
        with atomic_path(tmp_path / "a.pt") as path:
            torch.save(torch.zeros(100_000), path)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # Python ignores the signal that comes with it
    try:
        with pytest.raises(OSError, match=r"may not grow that large here \(File too large\)") as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full (No space left on device)"), (errno.EACCES, "Permission denied")],
)
def test_a_full_disk_is_said_in_plain_words(tmp_path: Path, number: int, words: str):
    """The system's own words stay behind ours; errors that are not the disk's keep their words and their kind."""

    def write() -> None:
        with atomic_path(tmp_path / "a"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=re.escape(words)) as caught:
        write()
    assert caught.value.errno == number
    assert type(caught.value) is type(OSError(number, ""))


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path: Path):
    """Where the disk takes more, the writer's own error is what went wrong."""

    def write() -> None:
        with atomic_path(tmp_path / "a") as path:
            path.write_text("half")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        write()
    assert list(tmp_path.iterdir()) == []
