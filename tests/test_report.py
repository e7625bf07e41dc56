"""REPORT.md: the same bytes for the same results, every claim from them, gaps shown as gaps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cufft_harness.errors import UserError

from repro.report import document
from repro.report.__main__ import write_report
from repro.report.runs import Cell
from repro.report.sections.matrix import mark
from repro.store import RunFile

ROOT = Path(__file__).parent.parent
ROWS = """
[[row]]
torch = "2.8.0"
cuda = "12.8"
cufft = { version = "11.3.3.83" }
[[row]]
torch = "2.10.0"
cuda = "12.8"
cufft = { version = "11.3.3.83" }
[[row]]
torch = "2.11.0"
cuda = "13.0"
cufft = { version = "12.0.0.61" }
"""
FACTS = {
    "torch": "2.8.0",
    "row": {"torch": "2.8.0", "cuda": "12.8", "cufft": {"version": "11.3.3.83"}},
    "options": {"cufft": None},
    "machine": {"processor": "P", "cores": 2, "memory_gb": 24, "system": "Linux", "gpu": None},
    "environment": {"torch": "2.8.0+cu128", "loaded": ["libcufft.so.11"]},
    "packages": ["numpy==2.4.6"],
    "scenarios": [["fft.stft", "STFT", False], ["fft.stft without JIT", "STFT, JIT off", True]],
    "cufft": {"version": "11.3.3.83", "get_version": 11303},
    "simulated": {"status": "complete", "faults": {"healthy": "works", "jit_missing": "no compiler"}, "retries": {}},
}
OUTCOMES = [
    {"scenario": "fft.stft", "device": "cpu", "tier": "native", "verdict": "pass"},
    {
        "scenario": "fft.stft",
        "device": "cuda",
        "tier": "native",
        "verdict": "not run",
        "detail": "no GPU on this machine",
    },
    {"scenario": "simulated driver", "experiment": "healthy/r2c 512/sm_86", "answer": "ok", "verdict": "as expected"},
    {
        "scenario": "simulated driver",
        "experiment": "jit_missing/r2c 512/sm_86",
        "answer": "plan CUFFT_INVALID_SIZE",
        "verdict": "as expected",
    },
]


@pytest.fixture
def results(tmp_path):
    (tmp_path / "matrix").mkdir()
    (tmp_path / "matrix" / "versions.toml").write_text(ROWS)
    folder = tmp_path / "results"
    run = RunFile(folder, "torch-2.8.0_no-gpu", "repro", FACTS)
    run.extend(OUTCOMES)
    run.finish()
    return folder


def report(results):
    return document.render(document.load(results), "matrix.svg")


def line_of(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def test_same_results_give_the_same_bytes(results, tmp_path):
    """Report and picture written twice do not differ, and --check agrees; a new result makes it stale."""
    output = tmp_path / "REPORT.md"
    write_report(results, output)
    first = output.read_bytes(), (tmp_path / "matrix.svg").read_bytes()
    write_report(results, output)

    assert first == (output.read_bytes(), (tmp_path / "matrix.svg").read_bytes())
    assert write_report(results, output, check=True) == 0
    RunFile(results, "torch-2.10.0_no-gpu", "repro", {**FACTS, "row": {**FACTS["row"], "torch": "2.10.0"}}).finish()
    assert write_report(results, output, check=True) == 1
    assert first[0] == output.read_bytes()


def test_what_was_not_run_is_shown_as_not_run(results):
    """A release without results has a row of gaps and a line that says so."""
    text = report(results)

    assert line_of(text, "| 2.8.0 ").endswith("| pass / – |")
    assert line_of(text, "| 2.11.0 ").endswith("| – |")
    assert "- torch 2.11.0: not run" in text
    assert "| STFT, JIT off | not run |" in text
    assert "not run (GPU; 1 times, torch 2.8.0): no GPU on this machine" in text
    assert "Not run: no results of kind `benchmark` are here." in text


def test_releases_are_in_the_order_of_their_numbers(results):
    """2.10 comes after 2.8."""
    text = report(results)

    assert text.index("| 2.8.0 ") < text.index("| 2.10.0 ") < text.index("| 2.11.0 ")


def test_verdict_says_what_the_answers_say(results):
    """The sentence about the driver appears because the answer is in the results, and changes with it."""
    assert "to valid sizes is CUFFT_INVALID_SIZE, and under one that has it all is well" in report(results)

    path = next(results.iterdir())
    path.write_text(path.read_text().replace("plan CUFFT_INVALID_SIZE", "plan CUFFT_INTERNAL_ERROR"))
    assert "no cuFFT that was tried gives CUFFT_INVALID_SIZE" in report(results)


def test_a_failing_install_is_not_a_failure_of_cufft(results):
    """A row that could not be installed is shown as such, with the reason."""
    facts = {"row": {**FACTS["row"], "torch": "2.11.0"}, "options": {"cufft": None}, "machine": FACTS["machine"]}
    RunFile(results, "torch-2.11.0_no-gpu", "repro", facts).finish("could not be tested", reason="No solution found")

    text = report(results)
    assert "- torch 2.11.0: could not be tested: No solution found" in text
    assert line_of(text, "| 2.11.0 ").endswith("| – |")


def test_damaged_and_foreign_files_are_named_and_left_out(results, capsys):
    """One clear line for each, in the report and on the terminal; the rest is used."""
    (results / "cut.json").write_text('{"schema": 1, "kin')
    (results / "foreign.json").write_text('{"schema": 7}')

    text = report(results)
    assert "- cut.json: cut off or no JSON" in text
    assert "- foreign.json: schema 7, but this version reads schema 1" in text
    assert line_of(text, "| 2.8.0 ").endswith("| pass / – |")
    write_report(results, results.parent / "REPORT.md")
    assert "left out: foreign.json" in capsys.readouterr().err


def test_changed_answer_is_a_finding(results):
    """An answer that differs from the tabled one is reported in the verdict."""
    path = next(results.iterdir())
    content = json.loads(path.read_text())
    content["outcomes"][3].update(verdict="changed", expected="ok")
    path.write_text(json.dumps(content))

    assert "**Findings.**" in report(results)
    assert "jit_missing/r2c 512/sm_86: ok then, plan CUFFT_INVALID_SIZE now" in report(results)


def test_gpu_results_copied_in_appear(results):
    """A file from a machine with a GPU fills the GPU table and the verdict."""
    machine = {**FACTS["machine"], "gpu": "NVIDIA H200", "driver": "580.1", "driver_cuda": "13.0"}
    run = RunFile(results, "torch-2.8.0_nvidia-h200", "repro", {**FACTS, "machine": machine})
    failed = {"device": "cuda", "tier": "native", "verdict": "failed", "code": "CUFFT_INVALID_SIZE"}
    run.add({"scenario": "fft.stft without JIT", **failed})
    run.finish()

    text = report(results)
    assert "on NVIDIA H200 switching the compiler off reproduced the failure with torch 2.8.0" in text
    assert "| – | INVALID_SIZE / – |" in text


def test_benchmarks_of_others_become_a_table(results):
    """A file of kind "benchmark" needs no code here: title, columns and outcomes are its own."""
    facts = {"title": "Tiers", "note": "Medians.", "columns": {"tier": "tier", "seconds": "s per sample"}}
    run = RunFile(results, "bench-tiers", "benchmark", facts)
    run.extend([{"tier": "bypass", "seconds": 1.23456}, {"tier": "native"}])
    run.finish()

    text = report(results)
    assert "### Tiers\n\nMedians.\n\n| tier | s per sample |\n|---|---|\n| bypass | 1.235 |\n| native | – |" in text


@pytest.mark.parametrize(
    ("native", "bypass", "text"),
    [
        (Cell("pass"), Cell("pass"), "pass"),
        (Cell("failed", "CUFFT_INVALID_SIZE"), Cell("pass"), "INVALID_SIZE / pass"),
        (Cell("could not be tested"), Cell(), "n/t / –"),
        (Cell("wrong numbers"), Cell("hung"), "wrong numbers / hung"),
    ],
)
def test_cells_keep_the_verdicts_apart(native, bypass, text):
    """Failed, wrong, hung and untested never look alike."""
    assert text == mark(native, bypass)


def test_missing_folder_is_one_line(tmp_path):
    """A wrong --results is the user's error, with advice."""
    with pytest.raises(UserError, match=r"no results: .* is not a folder"):
        write_report(tmp_path / "nowhere", tmp_path / "REPORT.md")


def test_committed_report_is_that_of_the_committed_results():
    """REPORT.md is up to date; `nox -s report -- --check` says so of the picture, too, which differs by matplotlib."""
    text = document.render(document.load(ROOT / "repro" / "results"), "repro/matrix.svg")

    assert text == (ROOT / "REPORT.md").read_text(encoding="utf-8")
