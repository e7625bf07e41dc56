"""The sampler's ladder under every kind of failure on every tier: each order ends in a sample or in its reasons.

The worker is a real process of its own with the real protocol, but speaks without torch, so that all of the table fits
into seconds; test_sampling does some of the same with the real worker.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cufft_harness import processes
from cufft_harness.dataset.metadata import built_in
from cufft_harness.files import read_json_lines
from cufft_harness.sampling import process
from cufft_harness.sampling.artefacts import SampleFolder, examine
from cufft_harness.sampling.supervisor import Order, Record, Spec, Supervisor
from cufft_harness.tiers import placements

WORKER = Path(__file__).with_name("stand_in_worker.py")
KINDS = {
    "segfault": "SIGSEGV",
    "killed": "SIGKILL",
    "exit": "exit status 3",
    "garbage": "nonsense",
    "nested": "nonsense",
    "endless": "without a line end",
    "half-a-line": "the worker is gone",
    "other-number": "nonsense",
    "twice": "nonsense",
    "not-made": "CUFFT_INVALID_SIZE",
    "wrong-types": "nonsense",
    "odd-stages": "nonsense",
    "not-a-number": "nonsense",
    "no-file": "unreadable",
    "empty-file": "unreadable",
    "cut-file": "cut short",
    "no-samples": "only 0.000 s",
    "other-rate": "not 16-bit mono WAV",
    "stereo": "not 16-bit mono WAV",
}
"""How a worker fails, and what the reason must name."""
TIERS = ("native", "bypass", "cpu")
ON = [TIERS[:1], TIERS[:2], TIERS] if os.environ.get("HYPOTHESIS_PROFILE") == "faults" else [TIERS[:1], TIERS]
"""The tiers that fail together; `nox -s faults` tries all."""


class Bench:
    """A supervisor with the stand-in for a worker."""

    def __init__(self, folder: Path, time_limit: float) -> None:
        self.plan, self.worker_log = folder / "plan.json", folder / "worker.log"
        self.reference = sorted((built_in() / "wavs").iterdir())[0]
        self.samples = SampleFolder(folder / "samples")
        self.fail("", ())
        spec = Spec("Olá.", "pt", 1, 1.0, time_limit)
        self.supervisor = Supervisor(self.plan, self.samples, placements("cuda:0"), spec, self.worker_log)

    def fail(self, kind: str, tiers: tuple[str, ...]) -> None:
        """Fail so on these tiers from now on."""
        self.plan.write_text(json.dumps({"kind": kind, "tiers": tiers}))

    def sample(self, epoch: int) -> Record:
        """Order a sample and wait for what becomes of it."""
        self.supervisor.order(Order(epoch, self.plan, self.reference))
        assert self.supervisor.wait(60), "the order never ended"
        (record,) = self.supervisor.news()
        return record


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """A bench whose time limits are short."""
    start = processes.start

    def stand_in(command: list[str], **streams: Any) -> Any:
        return start([sys.executable, "-S", str(WORKER), *command[-2:]], **streams)

    monkeypatch.setattr(processes, "start", stand_in)
    monkeypatch.setattr(process, "START_LIMIT", 1.0)
    made = Bench(tmp_path, getattr(request, "param", 10.0))
    yield made
    made.supervisor.close()


def check(bench: Bench, kind: str, reason: str, tiers: tuple[str, ...]) -> None:
    """Two samples: one with the failure on these tiers, one after it has passed."""
    bench.fail(kind, tiers)
    record = bench.sample(1)
    chance = kind != "not-made"  # what may be chance is tried once more at the end
    assert [given_up["placement"].split()[0] for given_up in record.why] == list(
        tiers + tiers[-1:] if len(tiers) == 3 and chance else tiers
    )
    assert all(reason in given_up["reason"] for given_up in record.why)
    assert all(given_up["reason"].isprintable() for given_up in record.why)
    if len(tiers) == 3:
        assert record.outcome == "failed"
    else:
        assert (record.outcome, record.tier) == ("made", TIERS[len(tiers)])
        assert examine(bench.samples.output(1)).seconds == pytest.approx(0.2)
    bench.fail("", ())
    assert bench.sample(2).outcome == "made"
    lines = read_json_lines(bench.samples.manifest)
    assert [(line["epoch"], line["outcome"]) for line in lines] == [(1, record.outcome), (2, "made")]


@pytest.mark.parametrize("tiers", ON, ids="+".join)
@pytest.mark.parametrize("kind", KINDS)
def test_each_failure_on_each_tier_ends_in_a_sample_or_its_reasons(bench: Bench, kind: str, tiers: tuple[str, ...]):
    """The order goes down the tiers, every step given up has its reason, and the next sample is made."""
    check(bench, kind, KINDS[kind], tiers)


@pytest.mark.parametrize("bench", [0.5], indirect=True)
@pytest.mark.parametrize("tiers", [TIERS[:1], TIERS], ids="+".join)
def test_a_hanging_worker_is_given_up_on_each_tier(bench: Bench, tiers: tuple[str, ...]):
    """It ignores SIGTERM; the time limit ends it."""
    check(bench, "hang", "did not answer within", tiers)


@pytest.mark.parametrize("bench", [2.0], indirect=True)
@pytest.mark.parametrize("kind", ["hang", "segfault", "exit", "garbage", "other-number", "endless"])
def test_a_worker_that_cannot_start_is_a_reason(bench: Bench, kind: str):
    """No greeting, or a wrong one: each tier is tried, the reasons are recorded, and a later start is tried again."""
    bench.fail(f"start-{kind}", ())
    record = bench.sample(1)
    assert record.outcome == "failed"
    assert len(record.why) == 4
    bench.fail("", ())
    assert bench.sample(2).outcome == "made"


@pytest.mark.parametrize("when", ["starts", "speaks"])
def test_a_run_that_ends_does_not_wait_for_a_sample_under_way(bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str):
    """A worker that would take for ever to start, or to speak, is given up; the manifest says that the run ended."""
    monkeypatch.setattr(process, "START_LIMIT", 300.0)
    bench.fail("start-hang" if when == "starts" else "hang", TIERS)
    bench.supervisor.order(Order(1, bench.plan, bench.reference))
    while not (bench.worker_log.exists() and bench.worker_log.stat().st_size):  # until it hangs
        time.sleep(0.01)
    bench.supervisor.close()
    (record,) = bench.supervisor.news()
    assert (record.outcome, record.why[-1]["reason"]) == ("dropped", "the run ended first")


@pytest.mark.parametrize("what", ["no folder", "manifest is a folder", "target is a folder", "reference is gone"])
def test_what_the_disk_does_to_a_sample_ends_in_a_record(bench: Bench, tmp_path: Path, what: str):
    """The thread that samples never dies: the next sample, on a healthy disk, is made."""
    bench.sample(1)
    broken = {
        "no folder": bench.samples.folder,
        "manifest is a folder": bench.samples.manifest,
        "target is a folder": bench.samples.output(2),
    }.get(what)
    kept = tmp_path / "kept"
    if broken is not None:
        if broken.exists():
            broken.rename(kept)
        if what != "no folder":
            broken.mkdir()
        record = bench.sample(2)
        if what != "no folder":
            broken.rmdir()
        if kept.exists():
            kept.rename(broken)
    else:
        bench.supervisor.order(Order(2, bench.plan, tmp_path / "gone.wav"))
        assert bench.supervisor.wait(60)
        (record,) = bench.supervisor.news()
    assert record.outcome == ("made" if what == "manifest is a folder" else "failed")
    assert record.why or record.outcome == "made"
    assert bench.sample(3).outcome == "made"
