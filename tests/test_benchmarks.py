"""benchmarks, the sections made from them, and the one command for a GPU: what they say, and when they say nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from repro import gpu
from repro.benchmarks.pairs import Pair
from repro.benchmarks.sample import _difference
from repro.report import document, stages
from repro.report.sections import goals, scale
from repro.store import RunFile, read

np = pytest.importorskip("numpy")


def measured(folder: Path, name: str, device: str, *outcomes: dict[str, object], size: str = "full") -> None:
    facts = {"title": name, "note": "", "columns": {"what": "what"}, "size": size, "device": device}
    run = RunFile(folder, f"bench-{name}-{size}-{device}", "benchmark", facts)
    run.extend(list(outcomes))
    run.finish()


def pair(*values: tuple[float, float], **facts: str) -> Pair:
    found = Pair(**{"what": "x", **facts})
    for baseline, ours in values:
        found.add(baseline, ours)
    return found


def test_a_ratio_is_that_of_pairs():
    """The ratio is the median of the pairs' ratios, so a load that meets both sides of a pair cancels out."""
    outcome = pair((10, 2), (20, 4), (30, 5)).outcome()
    assert (outcome["ratio"], outcome["spread"], outcome["pairs"]) == (5, "5 to 6", 3)


@pytest.mark.parametrize(
    ("values", "different", "reason"),
    [
        ([(10, 1), (10, 2)], "", "too far apart"),
        ([(10, 1), (10, 1)], "4 and 5 samples", "different work: 4 and 5 samples"),
        ([(10, 1)], "", "too few pairs"),
    ],
)
def test_no_figure_where_nothing_can_be_said(values: list[tuple[float, float]], different: str, reason: str):
    """A wide spread, different work or a single pair gives the reason in place of a figure."""
    outcome = pair(*values, different=different).outcome()
    assert "ratio" not in outcome
    assert str(outcome["remark"]).startswith("no figure: ")
    assert reason in str(outcome["remark"])


def test_different_waveforms_are_different_work():
    """The plain path must give stock TTS's waveform; of the fast path only the length is compared."""
    wave = np.sin(np.arange(1000) / 10).astype(np.float32)
    assert _difference(wave, wave, exact=True) == ""
    assert "differ by 0.1" in _difference(wave, wave + np.float32(0.1), exact=True)
    assert _difference(wave, wave + np.float32(0.1), exact=False) == ""
    assert "1000 and 900 samples" in _difference(wave, wave[:900], exact=False)


def row(goal: str, ratio: float | None, **more: object) -> dict[str, object]:
    figures = {"ratio": ratio, "baseline": ratio, "ours": 1.0, "spread": f"{ratio} to {ratio}"} if ratio else {}
    return {"what": goal, "goal": goal, "unit": "s", "remark": "", **figures, **more}


def test_goals_are_met_missed_or_not_run(tmp_path: Path):
    """Each goal's cell is its figure with a verdict, or why there is none; a missed goal is followed by a sentence."""
    none = row("memory", None, remark="no figure: too few pairs")
    measured(tmp_path, "flow", "cpu", row("standstill", 500.0), none)
    measured(tmp_path, "step", "cpu", row("step", 1.2))
    measured(tmp_path, "step", "cpu", row("step", 9.0), size="tiny")
    found = goals.data(document.load(tmp_path))
    assert found is not None
    cells = {what: (cpu, cuda) for what, _wanted, cpu, cuda in found["rows"]}
    by_name = {goal.name: cells[goal.what] for goal in goals.GOALS}
    assert by_name["standstill"][0].endswith("met")
    assert by_name["step"] == ("1.2 (1.2 to 1.2); 1.2 s / 1 s: **missed**", "not run")
    assert by_name["memory"] == ("no figure: too few pairs", "not run")
    assert by_name["cpu sample"] == ("not run", "")
    assert by_name["epoch"] == ("", "not run")
    assert [what for what, _why in found["missed"]] == ["training step: GPTTrainer over ours"]


def test_pairs_far_apart_can_still_meet_a_goal(tmp_path: Path):
    """Ratios of 4,000 and 9,000 agree in being above 100; ratios of 2 and 4 do not agree about 3."""
    wide = pair((4000, 1), (9000, 1), what="still", goal="standstill").outcome()
    narrow = pair((2, 1), (4, 1), what="sample", goal="cpu sample").outcome()
    measured(tmp_path, "flow", "cpu", wide, narrow)
    found = goals.data(document.load(tmp_path))
    assert found is not None
    cells = [cpu for _what, _wanted, cpu, _cuda in found["rows"] if "too far apart" in cpu]
    assert cells == [
        "no figure: the pairs are too far apart (4e+03 to 9e+03); every pair: met",
        "no figure: the pairs are too far apart (2 to 4)",
    ]


def test_every_goal_that_can_be_missed_on_a_cpu_and_is_has_a_reason():
    """In the committed report no shortfall is left without a sentence why."""
    results = Path(__file__).parent.parent / "repro" / "results"
    found = goals.data(document.load(results))
    assert found is not None
    assert all(why != "No reason is known." for _what, why in found["missed"])


def test_the_picture_is_the_same_for_the_same_figures():
    """SVG without dates and random names."""
    sides = {"stock on cpu": {"load": 1.0, "decode": 2.0}, "cpu": {"load": 0.1, "decode": 2.0}}
    assert stages.draw(sides) == stages.draw(sides)
    assert stages.draw(sides) != stages.draw({"cpu": sides["cpu"]})


def test_the_queue_is_simulated_as_it_works():
    """Long epochs lose no sample; at half the pace needed one worker makes half, and two make all."""
    assert scale.simulate(period=10, sample=5, workers=1) == 1
    assert scale.simulate(period=5, sample=10, workers=1) == pytest.approx(0.5, abs=0.01)
    assert scale.simulate(period=5, sample=10, workers=2) == 1


def test_the_queue_of_the_simulation_is_the_supervisors():
    """The same number may wait."""
    from cufft_harness.sampling.waiting import LONGEST_QUEUE

    assert scale.QUEUE == LONGEST_QUEUE


def steps(*codes: tuple[str, str]) -> list[gpu.Step]:
    return [gpu.Step(name, [sys.executable, "-c", code], 20.0) for name, code in codes]


def run_gpu(out: Path, monkeypatch: pytest.MonkeyPatch, *codes: tuple[str, str], budget: str = "60") -> dict[str, str]:
    monkeypatch.setattr(gpu, "steps", lambda *_: steps(*codes))
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(out), "--device", "cpu", "--budget", budget])
    status = gpu.main()
    outcomes = {one["step"]: one["outcome"] for one in read(out / "gpu-run.json").outcomes}
    assert (status == 0) == (set(outcomes.values()) == {"done"})
    return outcomes


def test_the_gpu_command_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A step that was done is not run again, one that failed is, and no failure stops the others."""
    mark = f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"
    assert run_gpu(tmp_path, monkeypatch, ("a", mark), ("b", "raise SystemExit(7)"), ("c", mark)) == {
        "a": "done",
        "b": "failed",
        "c": "done",
    }
    assert run_gpu(tmp_path, monkeypatch, ("a", mark), ("b", "print('RESULT {}')"), ("c", mark)) == {
        "a": "done",
        "b": "done",
        "c": "done",
    }
    assert (tmp_path / "ran").read_text() == "xx"


def test_the_gpu_command_keeps_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is slow is cut off at the budget, and what comes after it is not run and says so."""
    slow = "import time; time.sleep(60)"
    outcomes = run_gpu(tmp_path, monkeypatch, ("slow", slow), ("after", "pass"), budget="6")
    assert outcomes == {"slow": "cut off", "after": "not run"}


def test_every_step_for_a_gpu_is_one_that_exists():
    """The modules that the command runs are there, and the most wanted experiment comes first."""
    found = gpu.steps(Path("out"), "cuda", quick=False)
    assert [step.name for step in found][:3] == ["stft", "stft-without-jit", "stft-without-jit-bypass"]
    assert found[1].env == {"CUDA_DISABLE_PTX_JIT": "1", "CUDA_CACHE_DISABLE": "1"}
    assert len({step.name for step in found}) == len(found)


def test_a_healthy_stft_passes_the_experiment(tmp_path: Path):
    """The child of the JIT experiment, on the CPU: it computes, compares and reports."""
    (step,) = [step for step in gpu.steps(tmp_path, "cpu", quick=True) if step.name == "stft-without-jit-bypass"]
    outcome = gpu.perform(step, tmp_path, 100.0)
    assert outcome["outcome"] == "done"
    assert json.loads(str(outcome["detail"]))["verdict"] == "pass"
