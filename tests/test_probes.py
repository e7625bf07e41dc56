"""The runner of experiments: for each verdict a child that behaves so."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cufft_harness import processes
from cufft_harness.probes import runner
from cufft_harness.probes.outcome import Outcome, Verdict, as_dict, from_dict
from cufft_harness.probes.registry import PROBES, Probe, Role
from cufft_harness.probes.runner import Results, run_probes

CHILDREN = Path(__file__).parent / "simulated" / "children.py"
TWO = (Probe("matmul", "first", timeout_s=1.0), Probe("stft", "second", timeout_s=20.0))
PATIENT = (Probe("matmul", "first", timeout_s=20.0), TWO[1])


def _run(behaviour, probes=TWO, **settings):
    settings = {"startup_s": 20.0, "grace_s": 0.3, **settings}
    return run_probes(probes, "cpu", command=(sys.executable, str(CHILDREN), behaviour), **settings)


@pytest.mark.parametrize(
    ("behaviour", "verdict", "code"),
    [
        ("raises", Verdict.FAILED, "CUFFT_INVALID_SIZE"),
        ("wrong-on-call-two", Verdict.WRONG_NUMBERS, None),
        ("leaves-silently", Verdict.FAILED, "no result"),
        ("leaves-with-status", Verdict.FAILED, "no result"),
        ("half-a-json", Verdict.FAILED, "broken result"),
        ("nonsense", Verdict.FAILED, "broken result"),
        ("segfaults", Verdict.CRASHED, "SIGSEGV"),
        ("aborts", Verdict.CRASHED, "SIGABRT"),
        ("allocates", Verdict.CRASHED, "SIGKILL"),
        ("sleeps", Verdict.HUNG, None),
        ("ignores-signals", Verdict.HUNG, None),
        ("holds-the-gil", Verdict.HUNG, None),
        ("talks", Verdict.PASS, None),
        ("well", Verdict.PASS, None),
    ],
)
def test_each_way_to_end_has_its_verdict(behaviour, verdict, code):
    """Whatever the first experiment's child does, it gets its verdict, and the second one still runs."""
    outcomes = _run(behaviour, TWO if verdict is Verdict.HUNG else PATIENT).outcomes
    assert (outcomes["matmul"].verdict, outcomes["matmul"].code) == (verdict, code)
    assert outcomes["stft"].verdict is Verdict.PASS


def test_nonsense_is_remembered_however_the_file_is_read(tmp_path):
    """A line that is no entry counts also when a later look at the file finds nothing new."""
    results = tmp_path / "result.jsonl"
    results.write_bytes(b"7\n")
    reader = runner._Reader(results, list(TWO), Results(), lambda probe, outcome: None)
    for _ in range(3):
        reader.read()
        assert reader.broken


def test_half_a_line_is_forgiven_once_it_is_whole(tmp_path):
    """Reading while the child writes: half an entry is broken only as long as the rest of it does not come."""
    results = tmp_path / "result.jsonl"
    results.write_bytes(b'{"begin": ')
    reader = runner._Reader(results, list(TWO), Results(), lambda probe, outcome: None)
    reader.read()
    assert reader.broken
    results.write_bytes(b'{"begin": "matmul"}\n')
    reader.read()
    assert not reader.broken


def test_grandchildren_do_not_survive(tmp_path, monkeypatch):
    """A child that hangs and has a child of its own takes it along when it is ended."""
    note = tmp_path / "pid"
    monkeypatch.setenv("GRANDCHILD", str(note))
    assert _run("leaves-grandchildren").outcomes["matmul"].verdict is Verdict.HUNG
    pid = int(note.read_text())
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    pytest.fail("the grandchild is still there")


def test_an_interpreter_that_never_comes_up_is_a_hang():
    """No answer within the start-up time is a hang of each experiment in turn, not an endless wait."""
    outcomes = _run("never-comes-up", probes=TWO[:1], startup_s=0.8).outcomes
    assert outcomes["matmul"].verdict is Verdict.HUNG


def test_a_child_that_has_answered_need_not_leave():
    """Outcomes count although the interpreter then refuses to end."""
    outcomes = _run("does-not-leave").outcomes
    assert [outcome.verdict for outcome in outcomes.values()] == [Verdict.PASS, Verdict.PASS]


def test_an_unkillable_child_is_reported_and_nothing_more_is_started(monkeypatch):
    """After a child that survives SIGKILL the device is not touched again; the rest could not be tested."""
    real = processes.end

    def survives(process, grace_s=2.0):
        real(process, 0.1)
        return False

    monkeypatch.setattr(processes, "end", survives)
    outcomes = _run("sleeps").outcomes
    assert outcomes["matmul"].verdict is Verdict.UNKILLABLE
    assert outcomes["stft"].verdict is Verdict.NOT_TESTED
    assert "could not be killed" in outcomes["stft"].detail


def test_gpu_experiments_are_not_started_without_a_gpu():
    """They say *could not be tested* and why; the others run."""
    probes = (TWO[0], Probe("low_memory", "", needs_gpu=True, alone=True))
    outcomes = _run("well", probes, no_gpu="no device").outcomes
    assert outcomes["low_memory"] == Outcome(Verdict.NOT_TESTED, None, "no device")
    assert outcomes["matmul"].verdict is Verdict.PASS


def test_an_experiment_alone_gets_its_own_interpreter_and_variables(tmp_path, monkeypatch):
    """Those that may do harm are not mixed with others, and the contrast gets its variables."""
    script = tmp_path / "child.py"
    script.write_text(
        "import json, os, sys\n"
        "for name in sys.argv[3:]:\n"
        "    entry = {'verdict': 'pass', 'code': None, 'relative_error': None, 'seconds': 0,\n"
        "             'detail': f\"{len(sys.argv) - 3} {os.environ.get('CUDA_DISABLE_PTX_JIT', '')}\"}\n"
        "    print(json.dumps({'end': name, **entry}), file=open(sys.argv[1], 'a'))\n"
        "print(json.dumps({'end': 'all'}), file=open(sys.argv[1], 'a'))\n"
    )
    monkeypatch.delenv("CUDA_DISABLE_PTX_JIT", raising=False)
    outcomes = run_probes(PROBES, "cuda", command=(sys.executable, str(script))).outcomes
    assert outcomes["jit_disabled"].detail == "1 1"
    assert outcomes["low_memory"].detail == "1 "
    assert outcomes["stft"].detail == f"{sum(not probe.alone for probe in PROBES)} "


def test_the_real_experiments_run_on_the_cpu():
    """All experiments that make sense on a CPU pass there, but for the known limits, which fail with their code."""
    results = run_probes(PROBES, "cpu", no_gpu="no device")
    for probe in PROBES:
        outcome = results.outcomes[probe.name]
        if probe.needs_gpu:
            assert outcome.verdict is Verdict.NOT_TESTED
        elif probe.role is Role.LIMIT:
            assert outcome.verdict in (Verdict.PASS, Verdict.FAILED)
            assert outcome.verdict is Verdict.PASS or outcome.code
        else:
            assert outcome.verdict is Verdict.PASS, (probe.name, outcome)
    assert results.environment["torch"]


def test_every_experiment_has_a_module():
    """The registry names modules that exist and have `run`."""
    for probe in PROBES:
        assert callable(importlib.import_module(f"cufft_harness.probes.{probe.name}").run)


def test_the_parent_imports_no_torch():
    """The registry and the runner load no torch, so the parent cannot initialise CUDA."""
    code = "import sys, cufft_harness.probes.runner, cufft_harness.probes.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_outcomes_survive_the_way_through_json():
    """What a child writes is what the parent reads; anything else is refused."""
    outcome = Outcome(Verdict.WRONG_NUMBERS, None, "call 2", 0.5, 1.25)
    assert from_dict(as_dict(outcome)) == outcome
    for broken in ({}, {"verdict": "splendid"}, {**as_dict(outcome), "seconds": None}):
        with pytest.raises(ValueError, match=r"outcome|Verdict"):
            from_dict(broken)
