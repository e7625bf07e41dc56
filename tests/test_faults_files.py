"""Files from outside, damaged or made to harm: found, named in one line, and never able to run code or fill the memory.

Each test records how many inputs it tried.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cufft_harness.checkpoints import BEST, BrokenCheckpoint, CheckpointFolder, load, verify
from cufft_harness.errors import HarnessError, MachineError, UserError
from cufft_harness.files import append_json_line, read_json_lines
from cufft_harness.sampling.artefacts import BrokenSample, examine
from cufft_harness.training.events import CheckpointWritten
from cufft_harness.training.settings import read_settings
from cufft_harness.weights import weights_digest
from test_checkpoints import as_written, checkpoint
from test_training import final, run, watch

from repro import store

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "faults"


class Evil:
    """A pickle that makes a folder when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


SIZE = 4 << 20
"""Bytes that a file of a model has at the least, or it is refused for that."""


def plain_pickle(evil: Evil, path: Path) -> None:
    path.write_bytes(pickle.dumps(evil))
    os.truncate(path, SIZE)


def in_an_archive(evil: Evil, path: Path) -> None:
    torch.save({"model": evil, "format": 1, "encoder.0.0.weight": evil, "more": torch.zeros(SIZE // 4)}, path)


def in_an_old_archive(evil: Evil, path: Path) -> None:
    torch.save({"model": evil, "more": torch.zeros(SIZE // 4)}, path, _use_new_zipfile_serialization=False)


def in_a_tar_archive(evil: Evil, path: Path) -> None:
    """PyTorch's format of before 0.1.10: three pickles and the storages in a tar."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(evil, protocol=2)
            part = tarfile.TarInfo(name)
            part.size = len(content)
            archive.addfile(part, io.BytesIO(content))
    os.truncate(path, SIZE)


EVIL = [plain_pickle, in_an_archive, in_an_old_archive, in_a_tar_archive]


@pytest.mark.parametrize("write", EVIL)
@pytest.mark.parametrize("name", ["model.pth", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth"])
def test_no_file_of_a_model_can_run_code(
    tiny: Path, tmp_path: Path, name: str, write: Callable[[Evil, Path], None], record_property
):
    """A pickle that would run a command, in each file of a model directory: a user error, and nothing was run."""
    from cufft_harness.xtts.directory import ModelDirectory, load_dvae, read_mel_stats
    from cufft_harness.xtts.directory import load as load_model

    directory = shutil.copytree(tiny, tmp_path / "model", copy_function=os.link)
    (directory / name).unlink(missing_ok=True)
    write(Evil(tmp_path / "owned"), directory / name)
    reader = {"dvae.pth": load_dvae, "mel_stats.pth": read_mel_stats}.get(name, load_model)
    if name == "speakers_xtts.pth":
        reader(ModelDirectory.at(directory))  # not read at all
    else:
        with pytest.raises(UserError, match=name.replace(".", r"\.") if reader is not load_model else "cannot load"):
            reader(ModelDirectory.at(directory))
    assert not (tmp_path / "owned").exists()
    record_property("tried", 1)


@pytest.mark.parametrize("write", EVIL)
def test_no_checkpoint_can_run_code(tmp_path: Path, write: Callable[[Evil, Path], None]):
    """Nor by looking for the newest one, nor by naming it to `sample`."""
    from cufft_harness.sampling.offline import find

    folder = CheckpointFolder(tmp_path / "checkpoints")
    path = folder.epoch_path(1)
    write(Evil(tmp_path / "owned"), path)
    assert folder.newest() is None
    for named in (path, folder.folder, tmp_path):
        with pytest.raises(UserError, match="no valid checkpoint"):
            find(named)
    assert not (tmp_path / "owned").exists()


def test_a_flipped_bit_anywhere_is_found_or_harmless(tmp_path: Path, record_property):
    """Some hundred places of a checkpoint: it is refused with one line, or loads the very same values."""
    folder = CheckpointFolder(tmp_path)
    path = folder.save(checkpoint(1))
    good, expected = path.read_bytes(), load(path)
    rng = random.Random(0)
    # the archive's own records and the pickle are where flips are most interesting, so every other one goes there
    directory = good.rfind(b"PK\x01\x02", 0, good.rfind(b"PK\x05\x06"))
    tried = 3000 if LONG else 400
    for number in range(tried):
        place = rng.randrange(directory - 600, len(good)) if number % 2 else rng.randrange(len(good))
        data = bytearray(good)
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            verify(path)
            found = load(path)
        except BrokenCheckpoint as problem:
            assert len(str(problem).splitlines()) == 1  # noqa: PT017
            continue
        assert weights_digest(found.gpt) == weights_digest(expected.gpt)
        assert (found.position, found.history, found.settings) == (
            expected.position,
            expected.history,
            expected.settings,
        )
    record_property("tried", tried)


def test_a_checkpoint_cut_anywhere_is_found(tmp_path: Path, record_property):
    """Every length but the whole one is refused."""
    path = CheckpointFolder(tmp_path).save(checkpoint(1))
    good = path.read_bytes()
    lengths = random.Random(0).sample(range(len(good)), 300 if LONG else 60)
    for length in lengths:
        path.write_bytes(good[:length])
        with pytest.raises(BrokenCheckpoint):
            verify(path)
    record_property("tried", len(lengths))


def compressed_bomb(path: Path) -> None:
    """A quarter of a GiB of zeros in a quarter of a MiB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in (("archive/data.pkl", 1 << 28), ("archive/version", 2)):
            with archive.open(name, "w", force_zip64=True) as part:
                for _ in range(max(1, size >> 20)):
                    part.write(bytes(min(size, 1 << 20)))


def overlapping_bomb(path: Path) -> None:
    """Many names for the same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
        first = archive.filelist[0]
        for number in range(2000):
            twin = zipfile.ZipInfo(f"archive/data/{number}")
            for field in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(twin, field, getattr(first, field))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin


def endless_tensor(path: Path) -> None:
    """One value that claims to be a trillion."""
    torch.save(as_written(checkpoint(1)) | {"gpt": {"a": torch.ones(1).expand(10**12)}}, path)


def endless_bytes(path: Path) -> None:
    """A pickle that asks for a pebibyte."""
    pickled = b"\x80\x02cbuiltins\nbytearray\n" + b"\x8a\x07" + (2**50).to_bytes(7, "little") + b"\x85R."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("write", [compressed_bomb, overlapping_bomb, endless_tensor, endless_bytes])
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, write: Callable[[Path], None]):
    """A small file that would unpack to gigabytes is no checkpoint, and was not unpacked to find that out."""
    path = CheckpointFolder(tmp_path).epoch_path(1)
    write(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BrokenCheckpoint):
        verify(path)
    with pytest.raises(BrokenCheckpoint):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB


@pytest.mark.parametrize(
    "change",
    [
        {"settings": "none"},
        {"settings": None},
        {"position": {"epoch": "x", "batch": 0, "update": 0}},
        {"position": {"epoch": -3, "batch": 0, "update": 0}},
        {"position": []},
        {"history": [{"epoch": 1}]},
        {"history": 7},
        {"gpt": {"a": 3}},
        {"gpt": [torch.ones(2)]},
        {"rng": 3},
        {"weights_sha256": 5},
        {"surprise": 1},
        {"format": 2},
    ],
    ids=str,
)
def test_a_checkpoint_of_the_wrong_contents_is_refused(tmp_path: Path, change: dict[str, Any]):
    """Sound as an archive, but not what a checkpoint holds: one line, not an error somewhere later."""
    data = as_written(checkpoint(1))
    path = CheckpointFolder(tmp_path).epoch_path(1)
    torch.save(data, path)
    verify(path)
    torch.save(data | change, path)
    with pytest.raises(BrokenCheckpoint):
        verify(path)


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_whose_checkpoints_are_all_broken_does_not_start_over(
    short_run: dict[str, Any], tmp_path: Path, resume: bool
):
    """Nothing is overwritten: the run stops with one line that says what to do."""
    folder = CheckpointFolder(tmp_path / "checkpoints")
    for epoch in (1, 2):
        folder.epoch_path(epoch).write_bytes(b"PK" * 1000)
    with pytest.raises(MachineError, match=r"none of the 2 checkpoints .* is valid"):
        run(short_run, tmp_path, resume=resume)
    assert [folder.epoch_path(epoch).stat().st_size for epoch in (1, 2)] == [2000, 2000]


def test_what_a_kill_cut_off_is_made_up_for(short_run: dict[str, Any], tmp_path: Path):
    """Killed before best_model.pt got its name, with a half-written file about: the next start puts both right."""
    assert run(short_run, tmp_path) == 0
    folder = CheckpointFolder(tmp_path / "checkpoints")
    best = min(final(tmp_path).history, key=lambda losses: losses.validation).epoch
    shutil.copyfile(folder.epoch_path(3 - best), folder.folder / "other")
    (folder.folder / "other").replace(folder.folder / BEST)
    for half in ("checkpoints/.best_model.pt.7-7", ".rejected.tsv.7-7", "cache/.x.safetensors.7-8"):
        (tmp_path / f"{half}.partial").write_bytes(b"half")
    assert run(short_run, tmp_path) == 0
    assert load(folder.folder / BEST).complete_epochs == best
    assert not list(tmp_path.rglob(".*.partial"))


def test_features_that_go_bad_during_a_run_end_it_with_a_line(short_run: dict[str, Any], tmp_path: Path):
    """The run says what happened and what to do; doing it leads to the end."""

    def spoil() -> None:
        for event in watch(short_run, tmp_path):
            if isinstance(event, CheckpointWritten):
                for path in (tmp_path / "cache").iterdir():
                    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(MachineError, match="cannot be read any more"):
        spoil()
    assert run(short_run, tmp_path) == 0
    assert len(final(tmp_path).history) == short_run["num_epochs"]


def test_a_damaged_manifest_costs_its_damaged_lines_only(tmp_path: Path, record_property):
    """Whatever is between them, the sound lines are read, and a new one can be added."""
    path = tmp_path / "manifest.jsonl"
    rubbish = [b"", b"{", b"[" * 100_000, b"\xff\xfe\x00", b"null", b"3", b'"x"', b'{"epoch": ', b"\x00" * 50, b"NaN"]
    for line in rubbish:
        path.write_bytes(b'{"epoch": 1}\n' + line + b"\n" + b'{"epoch": 2}\n' + line)
        append_json_line(path, {"epoch": 3, "text": "a\u2028b\x85c\ud800"})
        assert [record.get("epoch") for record in read_json_lines(path)] == [1, 2, 3]
    record_property("tried", len(rubbish))


@pytest.mark.parametrize(
    "lines",
    [
        '{"outcome": "made"}',
        '{"outcome": "made", "epoch": []}',
        '{"outcome": "made", "epoch": "1"}',
        '{"outcome": {}, "epoch": 1}',
        '{"outcome": "made", "epoch": 1, "number": {}}',
        "",
    ],
)
def test_catching_up_reads_any_manifest(tmp_path: Path, lines: str):
    """Lines of the wrong types tell nothing, and hurt nothing."""
    from types import SimpleNamespace

    from cufft_harness.sampling.artefacts import SampleFolder
    from cufft_harness.training.samples import RunSamples

    folder = SampleFolder(tmp_path)
    if lines:
        folder.manifest.write_text(lines + "\n" + '{"outcome": "made", "epoch": 7}\n')
    else:
        folder.manifest.mkdir()
    fake = SimpleNamespace(folder=folder)
    assert RunSamples._made_before(fake) == ({(7, 1)} if lines else set())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content", ["", "[", "[" * 100_000, "{}", '{"schema": 1}', "null", "\ud800", "NaN", '{"schema": 1e999}']
)
def test_a_results_file_that_is_none_is_one_line(tmp_path: Path, content: str):
    """The report names the file and goes on."""
    (tmp_path / "x.json").write_bytes(content.encode(errors="surrogatepass"))
    runs, problems = store.read_all(tmp_path)
    assert runs == []
    assert len(problems) == 1
    assert "\n" not in problems[0]


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"num_epochs = ", b"num_epochs = 'three'", b"num_epochs = -1", b"num_epochs = 1e400", b"x" * 10_000,
     b"[num_epochs]", b"seed = 99999999999999999999999999", b"output = []", b"\x00", b"a" + b".a" * 5_000 + b" = 1",
     b"sample_text = '  '", b"resume = 'maybe'", b"data = 5", b"a = " + b"[" * 5_000],
    ids=range(15),
)  # fmt: skip
def test_settings_that_are_none_are_one_line(tmp_path: Path, content: bytes):
    """A user error that names the file or the setting."""
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        read_settings({}, path)
    assert "\n" not in caught.value.message


def test_a_sample_that_is_a_bomb_is_not_read(tmp_path: Path):
    """FLAC of an hour of silence is small; it is refused for its format, before its samples are read."""
    import soundfile

    path = tmp_path / "spoken.wav"
    with soundfile.SoundFile(path, "w", 22_050, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(3600):
            file.write(np.zeros(22_050, dtype=np.int16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BrokenSample, match="not 16-bit mono WAV"):
        examine(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def riff(channels: int = 1, rate: int = 22_050, bits: int = 16, data: int = 400, promised: int | None = None) -> bytes:
    """A WAV with the header one likes."""
    promised = data if promised is None else promised
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", 1, channels % 65536, rate, (rate * block) % 2**32, block % 65536, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", promised % 2**32)
    return b"RIFF" + struct.pack("<I", min(2**32 - 1, len(body) + promised)) + body + b"\x10\x20" * (data // 2)


LIES = {
    "rate 0": riff(rate=0),
    "rate 2^32-1": riff(rate=2**32 - 1),
    "0 channels": riff(channels=0),
    "500 channels": riff(channels=500),
    "65535 channels": riff(channels=65_535),
    "0 bits": riff(bits=0),
    "255 bits": riff(bits=255),
    "2^31 samples": riff(promised=2**32 - 2),
    "2^32-1 bytes": riff(promised=2**32 - 1),
    "no data": riff(data=0),
    "odd data": riff(data=40_000, promised=39_999),
    "format 0": riff().replace(b"fmt \x10\x00\x00\x00\x01", b"fmt \x10\x00\x00\x00\x00"),
    "fmt of 2^32-1 bytes": riff().replace(b"fmt \x10\x00\x00\x00", b"fmt \xff\xff\xff\xff"),
    "fmt of 0 bytes": riff().replace(b"fmt \x10\x00\x00\x00", b"fmt \x00\x00\x00\x00"),
    "two data chunks": riff() + b"data\xff\xff\xff\xff",
    "RIFX": b"RIFX" + riff()[4:],
    "RF64": b"RF64\xff\xff\xff\xffWAVEds64\x1c\x00\x00\x00" + b"\xff" * 28 + riff()[12:],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_a_row_left_out(tmp_path: Path, lie: str):
    """The check of the data set names a reason or measures what is really there; memory stays small either way."""
    from cufft_harness.dataset.audit import Limits, Rejected, RowCheck
    from cufft_harness.dataset.clips import ClipFolder
    from cufft_harness.dataset.metadata import Row

    (tmp_path / "a.wav").write_bytes(LIES[lie])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits = Limits(11.6, 400, 1)
    result = RowCheck(ClipFolder(tmp_path), lambda text, language: [5], limits)(Row("m:1", "a.wav", "Olá.", "pt"))
    assert isinstance(result, Rejected) or result.seconds <= 1.0
    assert "\n" not in str(result)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


HOSTILE_NAMES = [
    "../secret.wav",
    "/etc/passwd",
    "wavs/../../secret.wav",
    "link.wav",
    "linked-folder/secret.wav",
    "loop.wav",
    "pipe.wav",
    "a\0b.wav",
    "x" * 5000 + ".wav",
    "/dev/zero",
    "folder.wav",
    "\x1b]0;owned\x07\x1b[2J.wav",
    "~/secret.wav",
    "..",
    "",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_no_row_leads_out_of_the_data_set_or_steers_a_terminal(tmp_path: Path, name: str):
    """Traversal, links, loops, pipes, devices and control characters: the row is left out with a printable reason."""
    from cufft_harness.dataset.audit import Limits, Rejected, RowCheck
    from cufft_harness.dataset.clips import ClipFolder
    from cufft_harness.dataset.metadata import Row

    root = tmp_path / "data"
    root.mkdir()
    sound = riff(data=44_100)
    (tmp_path / "secret.wav").write_bytes(sound)
    (root / "link.wav").symlink_to(tmp_path / "secret.wav")
    (root / "linked-folder").symlink_to(tmp_path)
    (root / "loop.wav").symlink_to(root / "loop.wav")
    (root / "folder.wav").mkdir()
    os.mkfifo(root / "pipe.wav")
    check = RowCheck(ClipFolder(root), lambda text, language: [5], Limits(11.6, 400, 1))
    result = check(Row("m:1", name, "Olá.", "pt"))
    assert isinstance(result, Rejected)
    assert str(result).isprintable()


def test_names_and_texts_do_not_steer_log_or_table(short_run: dict[str, Any], tmp_path: Path):
    """Escape sequences in a data set reach neither the screen, the log file nor rejected.tsv."""
    from cufft_harness.dataset.metadata import built_in

    data = shutil.copytree(built_in(), tmp_path / "data")
    with (data / "metadata_train.csv").open("a") as stream:
        stream.write("wavs/\x1b[31mred\x9b2J.wav|Olá.\nwavs/x.wav|a\x1b]0;title\x07\n")
    run(short_run, tmp_path / "out", data=data, num_epochs=1)
    for name in ("train.log", "rejected.tsv"):
        text = (tmp_path / "out" / name).read_text()
        assert not [c for c in text if not c.isprintable() and c not in "\n\t\r"], name
    assert "?[31mred?2J" in (tmp_path / "out" / "rejected.tsv").read_text()


def test_the_json_of_a_report_is_read_without_code(tmp_path: Path):
    """Results are JSON only; an object hook or a class name in it is data."""
    content = {
        "schema": 1,
        "kind": "repro",
        "name": "x",
        "status": "complete",
        "outcomes": [{"__class__": "x"}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    (found,) = store.read_all(tmp_path)[0]
    assert found.outcomes == [{"__class__": "x"}]


def test_a_terminal_that_is_gone_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bars, lines and the end of the display go on after every write to the terminal fails."""
    import sys

    from cufft_harness.training.display import Display

    class Gone:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

        flush = isatty = lambda self: True

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setenv("TERM", "xterm")
    with Display(tmp_path) as display, display.steps("epoch", 3) as advance:
        for _ in range(3):
            advance(1)
            display.say("a line")
    assert (tmp_path / "train.log").read_text().count("a line") == 3


def test_audio_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path):
    """What takes errors of the disk in its stride takes this one, too."""
    from cufft_harness.audio import write_pcm16

    with pytest.raises(OSError, match="cannot write"):
        write_pcm16(tmp_path / "gone" / "a.wav", np.zeros(10, dtype=np.float32), 22_050)
