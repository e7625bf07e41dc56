"""The rows of versions.toml, what is installed for them, and the halving between them."""

from __future__ import annotations

import json

import pytest
from cufft_harness.probes.outcome import Verdict

from repro import machine
from repro.matrix import bisect, rows, scenarios
from repro.matrix.outcomes import ScenarioOutcome, SimulatedOutcome
from repro.matrix.rows import ROWS, Options


def test_every_minor_release_from_2_0_to_2_15_has_a_row():
    """The matrix is complete and in order."""
    assert [f"2.{minor}" for minor in range(16)] == [torch.rpartition(".")[0] for torch in ROWS]


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_row_names_all_that_is_installed(row):
    """A row pins torch, torchaudio, TTS and transformers exactly and bounds numpy; old TTS goes with old numpy."""
    packages = rows.packages(row, Options())

    assert f"torch=={row['torch']}" in packages
    assert sum(name.startswith(("TTS==", "coqui-tts==")) for name in packages) == 1
    assert any(name.startswith("transformers==") for name in packages)
    assert any(name.startswith("torchaudio==") for name in packages)
    assert ("TTS==0.22.0" in packages) <= ("numpy<2" in packages)
    assert row["cufft"]["get_version"] == matrix_get_version(row["cufft"]["version"])


def matrix_get_version(version):
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return major * 1000 + minor * 100 + patch


def test_no_tts_leaves_torch_numpy_and_pytest_alone():
    """The FFT part of the suite needs three packages."""
    assert sorted(rows.packages(ROWS["2.8.0"], Options(no_tts=True))) == ["numpy>=1.26", "pytest>=8", "torch==2.8.0"]


def test_cufft_is_swapped_within_its_major_only():
    """Another major has another soname and would not be loaded."""
    assert rows.swapped_cufft(ROWS["2.8.0"], "11.2.1.3") == "nvidia-cufft-cu12==11.2.1.3"
    with pytest.raises(ValueError, match=r"torch 2\.8\.0 was built for cuFFT 11\.x and cannot load 12\.0\.0\.61"):
        rows.swapped_cufft(ROWS["2.8.0"], "12.0.0.61")


def test_options_are_read_and_written_back():
    """What follows `--` reaches the suite unchanged, pytest's own words included."""
    words = ["--cufft", "11.2.1.3", "--no-tts", "-k", "stft"]
    chosen = rows.options(words)

    assert Options(cufft="11.2.1.3", no_tts=True, pytest=("-k", "stft")) == chosen
    assert words == chosen.as_arguments()


def test_results_of_different_runs_have_different_names():
    """A swapped cuFFT or a part of the suite never takes the place of a whole run."""
    variants = [Options(), Options(cufft="11.2.1.3"), Options(no_tts=True), Options(gpu_only=True)]

    assert len({rows.run_name("2.8.0", chosen) for chosen in variants}) == 4


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    return tmp_path


def leave(results, torch, answer, status="complete"):
    content = {
        "schema": 1,
        "kind": "repro",
        "name": torch,
        "status": status,
        "outcomes": [SimulatedOutcome("x", answer, answer).as_row()] if answer else [],
    }
    (results / f"{rows.run_name(torch, Options())}.json").write_text(json.dumps(content))


def test_only_a_complete_readable_run_counts_as_done(results):
    """An interrupted, failed or damaged row is run again."""
    leave(results, "2.8.0", "ok")
    leave(results, "2.7.1", None, status="could not be tested")
    (results / f"{rows.run_name('2.6.0', Options())}.json").write_text('{"schema": 1, "ki')

    assert [rows.is_done(torch, Options()) for torch in ("2.8.0", "2.7.1", "2.6.0", "2.5.1")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_failed_install_is_recorded_and_never_replaces_results(results):
    """`could not be tested: …` is written for the row, unless something was measured before."""
    leave(results, "2.8.0", "ok")
    for torch in ("2.8.0", "2.7.1"):
        rows.record_failure(torch, Options(), "No solution found")

    assert rows.is_done("2.8.0", Options())
    content = json.loads((results / f"{rows.run_name('2.7.1', Options())}.json").read_text())
    assert (content["status"], content["reason"]) == ("could not be tested", "No solution found")


NO_VERSION = """Using Python 3.11.7
error: No solution found when resolving dependencies
  cause: Because there is no version of torch==2.99.0, your requirements are unsatisfiable.
hint: try something else
"""
NO_NETWORK = """error: Request failed after 3 retries
  cause: Failed to fetch: http://index.example/simple/torch/
  cause: Connection refused (os error 111)
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            NO_VERSION,
            "error: No solution found when resolving dependencies "
            "cause: Because there is no version of torch==2.99.0, your requirements are unsatisfiable.",
        ),
        (NO_NETWORK, "error: Request failed after 3 retries cause: Connection refused (os error 111)"),
        ("", "the installer said nothing"),
    ],
)
def test_why_an_install_failed_is_one_line(log, reason):
    """The error and its cause, not the last line of advice."""
    assert reason == rows.reason_of(log)


def test_results_tell_nothing_of_the_machine():
    """Errors lose folders and addresses before they are written down, and keep what they say."""
    text = (
        "OSError: /home/jane/.venv/lib/libcufft.so.12: cannot\n open; see https://index.example/simple/torch/ for 1/2"
    )

    assert machine.anonymous(text) == "OSError: libcufft.so.12: cannot open; see (address) for 1/2"


def test_bisect_finds_the_first_change_and_runs_no_more_than_it_must(results):
    """Halving runs about log2 of the rows between, and never one that is done."""
    answers = {torch: "ok" if number < 9 else "changed" for number, torch in enumerate(ROWS)}
    ran = []

    def run(torch, flags):
        ran.append(torch)
        leave(results, torch, answers[torch])

    words = bisect.bisect(["--good", "2.0.1", "--bad", "2.15.0", "--test", "x"], run)

    assert words == "x: ok with torch 2.8.0, changed with torch 2.9.1"
    assert len(ran) <= 6
    ran.clear()
    bisect.bisect(["--good", "2.0.1", "--bad", "2.15.0", "--test", "x"], run)
    assert ran == []


def test_bisect_steps_over_rows_that_cannot_be_tested(results):
    """A row without an outcome is named, not guessed."""

    def run(torch, flags):
        leave(results, torch, None if torch == "2.7.1" else "ok" if torch < "2.7" else "changed")

    words = bisect.bisect(["--good", "2.6.0", "--bad", "2.8.0", "--test", "x"], run)

    assert words == "x: ok with torch 2.6.0, changed with torch 2.8.0; not known between them: 2.7.1"


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [("2.6.0", "9.9", "no row for torch 9.9"), ("2.6.0", "2.8.0", "both releases have the same outcome: ok")],
)
def test_bisect_refuses_what_it_cannot_halve(results, good, bad, message):
    """An unknown release or equal ends are one clear line."""
    with pytest.raises(bisect.CannotBisect, match=message):
        bisect.bisect(["--good", good, "--bad", bad, "--test", "x"], lambda torch, flags: leave(results, torch, "ok"))


def test_ends_of_a_child_are_told_apart():
    """A signal is a crash, silence is not testable, lateness is a hang; none is called a failure of cuFFT."""
    assert scenarios._silent(-11, "")[0].verdict is Verdict.CRASHED
    assert scenarios._silent(-11, "")[0].code == "SIGSEGV"
    assert scenarios._silent(1, "ImportError")[0].verdict is Verdict.NOT_TESTED
    assert scenarios._late(scenarios.SCENARIOS[0], unkillable=False)[0].verdict is Verdict.HUNG
    assert scenarios._late(scenarios.SCENARIOS[0], unkillable=True)[0].verdict is Verdict.UNKILLABLE


@pytest.mark.parametrize(
    "outcome",
    [
        ScenarioOutcome("fft.stft", "cuda", "native", Verdict.FAILED, "CUFFT_INVALID_SIZE", "words", None, 0.25),
        ScenarioOutcome("fft.stft", "cpu", "bypass", Verdict.PASS, relative_error=1e-7, seconds=1.0),
        ScenarioOutcome("xtts.fresh", "cuda", "native", None, detail="no GPU on this machine"),
        SimulatedOutcome("jit_missing/r2c 512/sm_86", "plan CUFFT_INTERNAL_ERROR", "plan CUFFT_INTERNAL_ERROR"),
        SimulatedOutcome("jit_missing/r2c 512/sm_86", "plan CUFFT_INTERNAL_ERROR", "ok"),
        SimulatedOutcome("new", "ok", None),
    ],
)
def test_a_row_is_read_as_it_was_written(outcome):
    """Through JSON and back nothing is lost, and no row is taken for one of the other kind."""
    row = json.loads(json.dumps(outcome.as_row()))
    assert [kind.from_row(row) for kind in (ScenarioOutcome, SimulatedOutcome) if kind.from_row(row)] == [outcome]
