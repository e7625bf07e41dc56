"""The sampler's ladder with the real worker: a fault in each stage, on each tier, ends in a sample or its reasons.

Part of `nox -s faults`, not of the test suite: each fault gets a run of 24 epochs, and each epoch's sample is a case of
its own. The CPU stands in for the accelerator, so that there are three tiers without one.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from cufft_harness.cufft import CufftResult, pytorch_message
from cufft_harness.files import read_json_lines
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling import supervisor
from cufft_harness.sampling.artefacts import SampleFolder, examine
from cufft_harness.sampling.protocol import Answer, Request
from cufft_harness.sampling.worker import Worker
from cufft_harness.tiers import Ladder, Placement
from cufft_harness.xtts.speech import Stages
from cufft_harness.xtts.tiny import build

from repro.kills import rounds
from repro.kills.children import ended, fork, train

TIERS = ("native", "bypass", "cpu")
STAGES = ("load", "probe", "voice", "condition", "decode", "vocode", "write", "answer")
"""All stages of a sample; in the last it is made, but not yet answered for."""
SEED = int(os.environ.get("FAULTS_SEED", "0"))


@dataclass(frozen=True)
class Case:
    """What befalls the sample of one epoch: a fault in this stage on the first so many tiers."""

    stage: str
    tiers: tuple[str, ...]


CASES = [Case(stage, TIERS[:count]) for count in (1, 2, 3) for stage in STAGES]
"""One for each epoch of a run."""


def raise_error() -> NoReturn:
    """Raise what no part of the worker raises."""
    raise RuntimeError("acted out")


def run_out_of_memory() -> NoReturn:
    """Raise what PyTorch raises when a GPU's memory is full."""
    raise torch.cuda.OutOfMemoryError("acted out")


def crash() -> None:
    """End as a process with a wild pointer does."""
    os.kill(os.getpid(), signal.SIGSEGV)


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "error": (raise_error, "RuntimeError: acted out"),
    "out of memory": (run_out_of_memory, "out of memory: acted out"),
    "crash": (crash, "SIGSEGV"),
    "hang": (rehearsal.hang_in_native_code, "did not answer within"),
}
"""What each does in the worker, and what the reason must name."""


class EachTime(Ladder):
    """A ladder that learns nothing, so that each case begins on the first tier; what it learns is tested elsewhere."""

    def order(self) -> tuple[Placement, ...]:
        """All tiers."""
        return self.steps


def always_from_the_top() -> None:
    """In the trainer, before it starts: no case depends on the one before."""
    supervisor.Ladder = EachTime  # type: ignore[attr-defined]


def arm(fault: str, cases: list[Case | None]) -> None:
    """In the trainer, before it starts: its worker, forked from it, will meet the cases."""
    handle, timed = Worker.handle, Stages.stage
    misbehave, _reason = FAULTS[fault]
    now: list[str] = []

    def handle_case(self: Worker, request: Request) -> Answer:
        found = re.search(r"_epoch_(\d+)", str(request.checkpoint))
        case = cases[int(found[1]) - 1] if found else None
        now[:] = [case.stage] if case and request.placement.tier.value in case.tiers else []
        answer = handle(self, request)
        if now == ["answer"]:
            misbehave()
        return answer

    @contextmanager
    def stage(self: Stages, name: str) -> Iterator[None]:
        with timed(self, name):
            if now == [name]:
                misbehave()
            yield

    always_from_the_top()
    Worker.handle, Stages.stage = handle_case, stage  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model and the uninterrupted run; the session's, where there is one."""
    if given := os.environ.get("FAULTS_FOLDER"):
        return Path(given)
    made = tmp_path_factory.mktemp("ladder")
    # in a child: a process that has computed with torch has threads, and cannot be forked any more
    assert ended(fork(lambda: build(made / "tiny"), made / "build.log"), 120) == 0
    rounds.reference(made / "tiny", made)
    return made


def run(folder: Path, output: Path, before: Callable[[], object], *more: str) -> list[dict[str, Any]]:
    """Train with samples, in turns; gives the manifest. The losses are those of a run without samples, bit by bit."""
    log = output.with_suffix(".log")
    command = rounds.flags(folder / "tiny", output, "--take-turns=always", *more)
    status = ended(fork(train(command, before), log), 600)
    assert status == 0, log.read_text()[-2000:]
    assert rounds.state(output) == rounds.state(folder / "reference")
    lines = read_json_lines(output / "samples" / "manifest.jsonl")
    assert [line["epoch"] for line in lines] == list(range(1, rounds.EPOCHS + 1))
    return lines


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_each_stage_on_each_tier(fault: str, folder: Path, tmp_path: Path, record_property: Any) -> None:
    """The order goes down the tiers as far as the fault goes; each tier given up has its reason; losses are the same.

    A hang takes its time limit each time, so of its cases only each third is run: the seed says which.
    """
    hang = fault == "hang"
    cases: list[Case | None] = [
        None if hang and (STAGES.index(case.stage) + len(case.tiers) + SEED) % 3 else case for case in CASES
    ]
    record_property("tried", sum(case is not None for case in cases))
    # inject nothing, which makes the CPU stand in for the accelerator
    flags = ["--inject=raise@999", *(["--sample-time-limit=5"] if hang else [])]
    lines = run(folder, tmp_path / "run", lambda: arm(fault, cases), *flags)
    for line, case in zip(lines, cases, strict=True):
        tiers = case.tiers if case else ()
        dies = hang or fault == "crash" or (case is not None and case.stage == "answer")
        again = tiers[-1:] if len(tiers) == 3 and dies else ()  # what may be chance is tried once more at the end
        given_up = line["why"]
        assert tuple(one["placement"].split()[0] for one in given_up) == tiers + again, line
        reason = FAULTS[fault][1] if hang or fault == "crash" or not dies else "the worker is gone (exit status"
        assert all(reason in one["reason"] for one in given_up), line
        if len(tiers) == 3:
            assert line["outcome"] == "failed"
        else:
            assert (line["outcome"], line["tier"]) == ("made", TIERS[len(tiers)])
            assert examine(SampleFolder(tmp_path / "run" / "samples").output(line["epoch"])).seconds > 0


def test_each_error_of_cufft_is_met_by_the_bypass(folder: Path, tmp_path: Path, record_property: Any) -> None:
    """In the real worker every FFT on the accelerator fails with the code: the probe names it, the bypass speaks."""
    codes = list(CufftResult)[1:]
    record_property("tried", len(codes))
    flags = [f"{code.name}@{epoch}" for epoch, code in enumerate(codes, start=1)]

    lines = run(folder, tmp_path / "run", always_from_the_top, f"--inject={','.join(flags)}")
    for line, code in zip(lines, codes, strict=False):
        (given_up,) = line["why"]
        assert (given_up["placement"], line["outcome"], line["tier"]) == ("native on cpu", "made", "bypass")
        assert pytorch_message(code).split(": ")[-1] in given_up["reason"]
    assert [line["tier"] for line in lines[len(codes) :]] == ["native"] * (rounds.EPOCHS - len(codes))
