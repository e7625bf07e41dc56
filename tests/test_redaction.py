"""cufft_harness.redaction: what is meant for others says nothing of who made it, and still what a maintainer needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cufft_harness.doctor.examination import conclude
from cufft_harness.doctor.issue import write_issue
from cufft_harness.driver import DriverReport, SystemReport
from cufft_harness.probes.runner import Results
from cufft_harness.redaction import Redaction

PRIVATE = Redaction(("/srv/people/mallory",), ("mallory",), ("athena.example.org", "athena"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/people/mallory/env/lib/libcufft.so.11", "~/env/lib/libcufft.so.11"),
        ("/srv/people/mallory", "~"),
        ("LD_PATH=/srv/people/mallory/lib:/usr/local/cuda/lib64", "LD_PATH=~/lib:/usr/local/cuda/lib64"),
        ("/home/somebody/x.so", "~/x.so"),
        ("C:\\Users\\Somebody\\x.dll", "~\\x.dll"),
        ("/data/secret/venv/lib/python3.11/site-packages/nvidia/cufft/lib/libcufft.so.11",
         "<...>/site-packages/nvidia/cufft/lib/libcufft.so.11"),
        ("opened '/data/secret/libcufft.so'", "opened '<...>/libcufft.so'"),
        ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"),
        ("Mallory on ATHENA.example.org (athena)", "<user> on <host> (<host>)"),
        ("mallory_runs on athena-2", "<user>_runs on <host>-2"),
        ("athenaeum", "athenaeum"),
        ("https://pytorch.org/docs and 3/4", "https://pytorch.org/docs and 3/4"),
        ("cuFFT error: CUFFT_INVALID_SIZE", "cuFFT error: CUFFT_INVALID_SIZE"),
    ],
)  # fmt: skip
def test_what_is_private_is_taken_out_and_the_rest_stays(text: str, expected: str):
    """Home, user, host and folders of one's own; library names, system paths and links stay."""
    assert PRIVATE.text(text) == expected


def test_names_that_every_text_is_full_of_are_left(monkeypatch: pytest.MonkeyPatch):
    """A user called as the subject is would leave nothing of it."""
    monkeypatch.setenv("USER", "cuda")
    monkeypatch.setenv("HOME", "/home/cuda")
    assert Redaction.of_this_machine().text("CUDA 12 in /home/cuda/x") == "CUDA 12 in ~/x"


def test_no_file_of_an_issue_names_who_wrote_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In none of the three, wherever it was in the examination; and the JSON is JSON still."""
    monkeypatch.setenv("USER", "mallory")
    monkeypatch.setenv("HOME", "/srv/people/mallory")
    monkeypatch.setattr("platform.node", lambda: "athena.example.org")
    system = SystemReport(
        variables=(("LD_LIBRARY_PATH", "/srv/people/mallory/lib"), ("PYTHONPATH", "/data/mallory/athena"))
    )
    examination = conclude("cpu", system, DriverReport(problem="on athena: no CUDA device"), Results({}), probes=())
    for path in write_issue(examination, tmp_path / "issue"):
        text = path.read_text()
        assert not [name for name in ("mallory", "athena", "/srv/people", "/data") if name in text], path.name
    found = json.loads((tmp_path / "issue" / "environment.json").read_text())
    assert found["system"]["variables"]["LD_LIBRARY_PATH"] == "~/lib"
