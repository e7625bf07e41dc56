"""Result files survive crashes, full disks and strangers."""

from __future__ import annotations

import json

import pytest

from repro import store
from repro.store import RunFile


def test_every_outcome_is_on_disk_when_it_is_known(tmp_path):
    """A run that dies leaves all it had measured, under a name that says it is not whole."""
    run = RunFile(tmp_path, "torch-2.8.0_no-gpu", "repro", {"torch": "2.8.0"})
    run.add({"scenario": "fft.stft", "verdict": "pass"})

    (read,), problems = store.read_all(tmp_path)
    assert (read.status, read.outcomes, problems) == ("running", [{"scenario": "fft.stft", "verdict": "pass"}], [])


def test_interrupted_run_does_not_replace_a_complete_one(tmp_path):
    """A second run that breaks off leaves the first one's results in place."""
    RunFile(tmp_path, "a", "repro", {"number": 1}).finish()
    RunFile(tmp_path, "a", "repro", {"number": 2}).add({"scenario": "x"})

    (read,), _ = store.read_all(tmp_path)
    assert (read.status, read.content["number"]) == ("complete", 1)


def test_complete_run_takes_the_place_of_its_partial_file(tmp_path):
    """After the end there is one file, and no temporary one."""
    run = RunFile(tmp_path, "a", "repro", {})
    run.extend([{"scenario": "x"}, {"scenario": "y"}])
    path = run.finish()

    assert [path] == list(tmp_path.iterdir())
    assert len(store.read(path).outcomes) == 2


def test_full_disk_keeps_what_was_written(tmp_path, monkeypatch):
    """When writing fails the last whole state stays readable and no temporary file is left."""
    run = RunFile(tmp_path, "a", "repro", {})
    run.add({"scenario": "x"})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        run.add({"scenario": "y"})
    monkeypatch.undo()

    (read,), problems = store.read_all(tmp_path)
    assert (read.outcomes, problems) == ([{"scenario": "x"}], [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.partial.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1, "kind": "rep', "cut off or no JSON"),
        ("", "cut off or no JSON"),
        ("[1, 2]", "names no schema"),
        ('{"schema": 99}', "schema 99, but this version reads schema 1"),
        ('{"schema": 1, "kind": "repro", "name": "x", "status": "complete"}', "'outcomes' is missing"),
        ('{"schema": 1, "kind": "repro", "name": "x", "status": "complete", "outcomes": [3]}', "no outcome"),
    ],
)
def test_unusable_file_is_one_line_and_the_rest_goes_on(tmp_path, text, message):
    """A file that is cut off or of another schema is named; the others are read."""
    (tmp_path / "bad.json").write_text(text)
    RunFile(tmp_path, "good", "repro", {}).finish()

    runs, (problem,) = store.read_all(tmp_path)
    assert [run.file for run in runs] == ["good.json"]
    assert problem.startswith("bad.json: ")
    assert message in problem
    assert "\n" not in problem


def test_one_outcome_is_one_line(tmp_path):
    """Files differ by the lines of what changed."""
    run = RunFile(tmp_path, "a", "repro", {})
    run.extend([{"scenario": str(number)} for number in range(5)])

    assert sum('"scenario"' in line for line in run.partial.read_text().splitlines()) == 5
    assert json.loads(run.partial.read_text())


def test_names_cannot_leave_the_folder(tmp_path):
    """A name with a slash is refused."""
    with pytest.raises(ValueError, match="no name for a results file"):
        RunFile(tmp_path, "../a", "repro", {})
