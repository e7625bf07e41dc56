"""The suite as users run it: in a process of its own, leaving a results file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from cufft_harness import processes

ROOT = Path(__file__).parent.parent


def run_suite(results, *words, **environment):
    command = [sys.executable, "-m", "pytest", "repro/matrix", "--results", str(results), "--no-tts", *words]
    return processes.run(command, timeout_s=120, cwd=ROOT, env={**os.environ, **environment})


def test_simulated_driver_table_ends_up_in_one_complete_results_file(tmp_path):
    """A run leaves a file with environment, machine and every answer, and nothing partial."""
    pytest.importorskip("torch")
    finished = run_suite(tmp_path, "-k", "tabled")

    assert finished.returncode == 0, finished.stdout
    (file,) = tmp_path.iterdir()
    content = json.loads(file.read_text())
    assert (content["schema"], content["kind"], content["status"]) == (1, "repro", "complete")
    answers = [one for one in content["outcomes"] if one.get("scenario") == "simulated driver"]
    assert len(answers) > 200
    assert {one["verdict"] for one in answers} == {"as expected"}
    assert str(ROOT) not in file.read_text()


def test_what_has_no_gpu_is_written_down_as_not_run(tmp_path):
    """Without a GPU its scenarios are in the file, with the reason."""
    pytest.importorskip("torch")
    finished = run_suite(tmp_path, "-k", "memory", CUDA_VISIBLE_DEVICES="")

    content = json.loads(next(tmp_path.iterdir()).read_text())
    assert finished.returncode == 0, finished.stdout
    assert {"not run"} == {one["verdict"] for one in content["outcomes"]}
    assert {"no GPU on this machine", "--no-tts"} >= {one["detail"] for one in content["outcomes"]}


def test_unwritable_results_are_one_clear_line(tmp_path):
    """A results folder that cannot be made ends the run at once, in words."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    finished = run_suite(blocked / "results")

    assert "cannot write results" in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stdout + finished.stderr
