"""The sampler's ladder under every kind of failure on every tier: each order ends in a sample or in its reasons.

The worker is a real process of its own with the real protocol, but speaks without torch, so that all of the table fits
into seconds; test_sampling does some of the same with the real worker.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cufft_harness import processes
from cufft_harness.dataset.metadata import built_in
from cufft_harness.files import read_json_lines
from cufft_harness.sampling import process
from cufft_harness.sampling.artefacts import SampleFolder, examine
from cufft_harness.sampling.orders import Begun, Order, Record, Spec, Utterance, utterances
from cufft_harness.sampling.priority import Account, Priority
from cufft_harness.sampling.supervisor import Supervisor
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
    "other-stage": "nonsense",
    "odd-stage": "nonsense",
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
        spec = Spec(1, 1.0, time_limit)
        self.supervisor = Supervisor(self.plan, self.samples, placements("cuda:0"), spec, self.worker_log)

    def fail(self, kind: str, tiers: tuple[str, ...]) -> None:
        """Fail so on these tiers from now on."""
        self.plan.write_text(json.dumps({"kind": kind, "tiers": tiers}))

    def sample(self, epoch: int) -> Record:
        """Order a sample and wait for what becomes of it."""
        self.supervisor.order(self.an_order(epoch))
        assert self.supervisor.wait(60), "the order never ended"
        return self.record()

    def an_order(self, epoch: int, reference: Path | None = None, **more: Any) -> Order:
        """An order of one utterance."""
        return Order(epoch, self.plan, (Utterance(1, "Olá.", "pt", reference or self.reference),), **more)

    def record(self) -> Record:
        """The one record in the news."""
        (record,) = [event for event in self.supervisor.news() if not isinstance(event, Begun)]
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


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


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
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("hang", "did not answer within 0.5 s"),
        ("stages-without-end", "did not answer within 0.5 s"),
        ("stopped", "it was stopped by a signal"),
    ],
)
def test_a_worker_that_never_answers_is_given_up_on_each_tier(
    bench: Bench, kind: str, reason: str, tiers: tuple[str, ...]
):
    """It ignores SIGTERM, goes on telling that it is at work, or somebody has stopped it; the time limit ends it."""
    check(bench, kind, reason, tiers)


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


class Processor:
    """Stands in for the kernel's accounts: the worker waits for the processor for this share of the time."""

    def __init__(self, waits: float) -> None:
        self.waits, self._began = waits, time.monotonic()

    def of(self, _process_id: int) -> Account:
        """What `Account.of` would read."""
        passed = 10 * (time.monotonic() - self._began)  # a second here is ten, so that the tests need not wait
        return Account((1 - self.waits) * passed, self.waits * passed)


class Seen(Priority):
    """Remembers what was done to each worker; what it says of the right to restore is made up."""

    by_nice: ClassVar[list[bool]] = []
    calls: ClassVar[list[str]] = []
    is_allowed = True

    def __init__(self, leader: int, by_nice: bool = True) -> None:
        super().__init__(leader, by_nice)
        self.by_nice.append(by_nice)

    def lower(self) -> None:
        """Note it."""
        self.calls.append("lower")
        self.is_low = True

    def restore(self) -> None:
        """Note it."""
        self.calls.append("restore")
        self.is_low, self.is_stuck = False, self._by_nice and not self.is_allowed


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> type[Seen]:
    """The priorities given."""
    Seen.by_nice.clear()
    Seen.calls.clear()
    monkeypatch.setattr(Seen, "is_allowed", True)
    monkeypatch.setattr(process, "Priority", Seen)
    monkeypatch.setattr(process, "START_LIMIT", 60.0)
    monkeypatch.setattr(process, "TICK", 0.1)
    return Seen


def let_wait(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(process.Account, "of", Processor(share).of)


@pytest.mark.parametrize("bench", [0.4], indirect=True)
def test_waiting_for_the_processor_stretches_a_limit_but_not_for_ever(
    bench: Bench, seen: type[Seen], monkeypatch: pytest.MonkeyPatch
):
    """A worker that never answers and always waits is given up after so many times its limit; the reason says both."""
    let_wait(monkeypatch, 1.0)
    monkeypatch.setattr(process, "MOST_STRETCH", 4)
    bench.fail("hang", TIERS[:1])
    began = time.monotonic()
    record = bench.sample(1)
    assert (record.outcome, record.tier) == ("made", "bypass")
    assert time.monotonic() - began > 4 * 0.4
    assert re.fullmatch(
        r"the worker did not answer within 0\.4 s, the \d+ s it waited for a processor not counted",
        record.why[0]["reason"],
    )


def test_training_goes_first_up_to_a_bound(bench: Bench, seen: type[Seen], monkeypatch: pytest.MonkeyPatch):
    """A worker kept from the processor longer than the bound gets its share, though training goes on."""
    let_wait(monkeypatch, 0.9)
    monkeypatch.setattr(process, "LONGEST_YIELD", 4.0)
    bench.supervisor.training_goes_first = True
    bench.fail("hang", TIERS[:1])
    bench.supervisor.order(bench.an_order(1))
    wait_for(lambda: "restore" in seen.calls)
    assert seen.calls[0] == "lower"
    status = bench.supervisor.status()
    assert status is not None
    assert "sample of epoch 1: decoding, waiting for the processor" in str(status)
    bench.supervisor.close()


def test_a_worker_gets_its_share_when_training_is_over(bench: Bench, seen: type[Seen]):
    """Low from its start, and restored within a sample as soon as nobody trains any more."""
    bench.supervisor.training_goes_first = True
    bench.sample(1)
    assert seen.calls == ["lower"]
    bench.fail("hang", TIERS[:1])
    bench.supervisor.order(bench.an_order(2))
    bench.supervisor.training_goes_first = False
    wait_for(lambda: seen.calls == ["lower", "restore"])
    bench.supervisor.close()


def test_a_worker_that_cannot_be_given_its_share_is_replaced(
    bench: Bench, seen: type[Seen], monkeypatch: pytest.MonkeyPatch
):
    """Without the right to put nice values back it would starve: another is started whose nice values stay."""
    monkeypatch.setattr(seen, "is_allowed", False)
    let_wait(monkeypatch, 0.99)
    bench.supervisor.training_goes_first = True
    bench.sample(1)
    bench.fail("hang-once", TIERS)
    bench.supervisor.order(bench.an_order(2))
    bench.supervisor.training_goes_first = False
    assert bench.supervisor.wait(60)
    records = [event for event in bench.supervisor.news() if not isinstance(event, Begun)]
    assert [(record.outcome, record.tier, record.why) for record in records] == [("made", "native", ())]
    assert seen.by_nice == [True, False]


def test_a_worker_made_ready_ahead_serves_the_first_order(bench: Bench, seen: type[Seen]):
    """It is started before anything is ordered; the first sample needs no start."""
    bench.supervisor.make_ready()
    wait_for(lambda: seen.by_nice and bench.supervisor.status() is None)
    assert "start" not in bench.sample(1).stages
    assert len(seen.by_nice) == 1


def test_a_run_that_ends_does_not_wait_for_a_worker_made_ready(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """One that would take for ever to start is given up."""
    monkeypatch.setattr(process, "START_LIMIT", 300.0)
    bench.fail("start-hang", ())
    bench.supervisor.make_ready()
    wait_for(lambda: bench.worker_log.exists() and bench.worker_log.stat().st_size)
    assert str(bench.supervisor.status()).startswith("sampler: starting (")
    bench.supervisor.close()
    assert bench.supervisor.status() is None


def test_the_record_waits_for_the_trainers_return(bench: Bench):
    """The accelerator is free before that; the one line of the manifest has the seconds of unload and of reload."""
    bench.supervisor.order(bench.an_order(1, unload=0.25))
    assert bench.supervisor.wait_until_spoken(60)
    assert not bench.supervisor.wait(0)
    assert bench.samples.output(1).exists()
    bench.supervisor.came_back(0.5)
    assert bench.supervisor.wait(60)
    (line,) = read_json_lines(bench.samples.manifest)
    assert (line["stages"]["unload"], line["stages"]["reload"]) == (0.25, 0.5)


def test_several_utterances_have_their_own_names_and_lines(bench: Bench):
    """The first keeps the plain name; each line of the manifest says what was said in which voice."""
    other = sorted((built_in() / "wavs").iterdir())[1]
    said = utterances(("Olá.", "Hello."), ("pt", "en"), (bench.reference, other))
    bench.supervisor.order(Order(3, bench.plan, said, in_best=True))
    assert bench.supervisor.wait(60)
    news = bench.supervisor.news()
    assert [str(event).split(":")[0] for event in news if isinstance(event, Begun)] == [
        f"sample of epoch 3 ({number} of 4) begins" for number in (1, 2, 3, 4)
    ]
    lines = read_json_lines(bench.samples.manifest)
    found = [(line["number"], line["text"], line["language"], line["reference"], line["files"][0]) for line in lines]
    assert found == [
        (1, "Olá.", "pt", bench.reference.name, "epoch_3_output.wav"),
        (2, "Olá.", "pt", other.name, "epoch_3_output_2.wav"),
        (3, "Hello.", "en", bench.reference.name, "epoch_3_output_3.wav"),
        (4, "Hello.", "en", other.name, "epoch_3_output_4.wav"),
    ]
    names = {path.name for path in bench.samples.folder.iterdir()}
    assert {"epoch_3_reference.wav", "epoch_3_reference_2.wav"} <= names
    assert "epoch_3_reference_3.wav" not in names
    assert (bench.samples.folder / "best" / "epoch_3_output_4.wav").exists()


def test_texts_and_languages_must_go_together():
    """One language for all texts or one for each; else it is said how many there are."""
    voice = (Path("a.wav"),)
    assert [one.language for one in utterances(("a", "b"), ("pt",), voice)] == ["pt", "pt"]
    assert [one.text for one in utterances(("a",), ("pt", "en"), voice)] == ["a", "a"]
    with pytest.raises(ValueError, match="3 texts, but 2 languages"):
        utterances(("a", "b", "c"), ("pt", "en"), voice)


@pytest.mark.parametrize("when", ["starts", "speaks"])
def test_a_run_that_ends_does_not_wait_for_a_sample_under_way(bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str):
    """A worker that would take for ever to start, or to speak, is given up; the manifest says that the run ended."""
    monkeypatch.setattr(process, "START_LIMIT", 300.0)
    bench.fail("start-hang" if when == "starts" else "hang", TIERS)
    bench.supervisor.order(bench.an_order(1))
    while not (bench.worker_log.exists() and bench.worker_log.stat().st_size):  # until it hangs
        time.sleep(0.01)
    bench.supervisor.close()
    record = bench.record()
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
        bench.supervisor.order(bench.an_order(2, tmp_path / "gone.wav"))
        assert bench.supervisor.wait(60)
        record = bench.record()
    assert record.outcome == ("made" if what == "manifest is a folder" else "failed")
    assert record.why or record.outcome == "made"
    assert bench.sample(3).outcome == "made"
