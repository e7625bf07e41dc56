"""The trainer's side of sampling: a thread that hands orders to the worker and brings back checked files.

The trainer calls `order` (returns at once), `news` (what has happened since) and, at the end, `wait` and `close`.
Nothing here can raise into the training loop: what goes wrong becomes a record with its reasons.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cufft_harness.files import append_json_line, sha256_of
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling.artefacts import BrokenSample, Examination, SampleFolder, examine
from cufft_harness.sampling.process import WorkerFailed, WorkerProcess
from cufft_harness.sampling.protocol import Answer, Request
from cufft_harness.tiers import Ladder, Placement

log = logging.getLogger(__name__)

MANIFEST_FORMAT = 1
LONGEST_QUEUE = 3
RUN_ENDED = "the run ended first"


@dataclass(frozen=True)
class Spec:
    """What all samples of a run have in common.

    Attributes:
        max_seconds: a sample is cut there.
        time_limit: seconds a sample may take at one placement.
        fast: on the CPU, use what is faster there at less than float32.
    """

    text: str
    language: str
    seed: int
    max_seconds: float
    time_limit: float
    fast: bool = False


@dataclass(frozen=True)
class Order:
    """One sample wanted.

    Attributes:
        checkpoint: the file whose weights are to speak.
        in_epochs: wanted among the epochs' samples.
        in_best: wanted in `best`.
        rest_after: the worker shall leave the accelerator when done.
        trainer_stages: seconds the trainer spent making room, if it did ("unload").
    """

    epoch: int
    checkpoint: Path
    reference: Path
    in_epochs: bool = True
    in_best: bool = False
    rest_after: bool = False
    trainer_stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What became of an order; one line of the manifest.

    Attributes:
        outcome: "made", "failed" or "dropped".
        why: each placement that was given up, and the reason.
        stages: seconds of each; "start" where the worker had to be started, "unload" where the trainer made room.
        real_time_factor: seconds of the worker's stages per second of speech; its start is not among them.
        precision: "float32", or what was computed with less.
    """

    epoch: int
    outcome: str
    tier: str | None = None
    device: str | None = None
    why: tuple[dict[str, str], ...] = ()
    files: tuple[str, ...] = ()
    weights_sha256: str | None = None
    stages: dict[str, float] = field(default_factory=dict)
    audio_seconds: float = 0.0
    real_time_factor: float | None = None
    precision: str = ""
    examination: Examination | None = None

    def __str__(self) -> str:
        if self.outcome != "made":
            reason = self.why[-1]["reason"] if self.why else "no reason is known"
            return f"sample of epoch {self.epoch} {self.outcome}: {reason}"
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.stages.items() if seconds >= 0.05)
        remarks = "".join(f", {remark}" for remark in self.examination.remarks()) if self.examination else ""
        less = f" with {self.precision}" if self.precision not in ("", "float32") else ""
        return (
            f"sample of epoch {self.epoch}: {self.files[0]} ({self.audio_seconds:.1f} s{remarks}; "
            f"tier {self.tier}{less}; {times}; real-time factor {self.real_time_factor:.2f})"
        )


class Supervisor:
    """Takes orders and sees to them in a thread of its own.

    Args:
        model: the base model's directory.
        folder: where samples and the manifest go.
        steps: placements, best first.
        spec: what all samples have in common.
        rehearsals: failures to act out.
        worker_log: file that gets what the worker prints.
    """

    def __init__(
        self,
        model: Path,
        folder: SampleFolder,
        steps: tuple[Placement, ...],
        spec: Spec,
        worker_log: Path,
        rehearsals: tuple[rehearsal.Rehearsal, ...] = (),
    ) -> None:
        self._model, self._folder, self._spec, self._log = model, folder, spec, worker_log
        self._ladder = Ladder(steps)
        self._rehearsals = rehearsals
        self._worker: WorkerProcess | None = None
        self._number = 0
        self._waiting: deque[Order] = deque()
        self._current: Order | None = None
        self._done: deque[Record] = deque()
        self._closing = False
        self._changed = threading.Condition()
        folder.prepare()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)
        self._thread.start()

    def order(self, order: Order) -> None:
        """Queue a sample; the oldest of a full queue is dropped, with a word in the log and the manifest."""
        with self._changed:
            dropped = self._waiting.popleft() if len(self._waiting) >= LONGEST_QUEUE else None
            self._waiting.append(order)
            self._changed.notify_all()
        if dropped is not None:
            reason = f"sampling is slower than training: {LONGEST_QUEUE} newer samples were waiting"
            self._report(dropped, Record(dropped.epoch, "dropped", why=({"placement": "", "reason": reason},)))

    def news(self) -> list[Record]:
        """Records since the last call, in the order things happened."""
        with self._changed:
            records = list(self._done)
            self._done.clear()
        return records

    def pending_epochs(self) -> set[int]:
        """Epochs whose checkpoints are still needed."""
        with self._changed:
            return {order.epoch for order in (*self._waiting, self._current) if order is not None}

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is pending; True when so, False when the time ran out."""
        deadline = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and self._current is None, max(0.0, deadline - time.monotonic())
            )

    def close(self) -> None:
        """End the worker. Orders still waiting are recorded as dropped; one under way is given up."""
        with self._changed:
            self._closing = True
            unmade, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
        for order in unmade:
            why = ({"placement": "", "reason": RUN_ENDED},)
            self._report(order, Record(order.epoch, "dropped", why=why))
        worker = self._worker  # whoever sees both, `_closing` and the worker, ends it: here, or in `_start_worker`
        if worker is not None and self.pending_epochs():
            worker.give_up()
        self._thread.join(self._spec.time_limit)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    break
                self._current = order = self._waiting.popleft()
            try:
                record = self._make(order)
            except Exception as error:  # a full disk under the sample, say: never the end of sampling
                log.warning("sampling epoch %d: %s", order.epoch, error, exc_info=not isinstance(error, OSError))
                why = ({"placement": "", "reason": f"{type(error).__name__}: {error}"},)
                record = Record(order.epoch, "failed", why=why)
            self._report(order, record)
            with self._changed:
                self._current = None
                self._changed.notify_all()
        if self._worker is not None:
            self._worker.end()

    def _make(self, order: Order) -> Record:
        given_up: list[dict[str, str]] = []
        rehearse = rehearsal.for_epoch(self._rehearsals, order.epoch)
        to_try = deque(self._ladder.order())
        tried_again = False
        start: dict[str, float] = {}
        while to_try:
            placement = to_try.popleft()
            try:
                # Failures of the process strike the first attempt; a broken cuFFT stays broken on the next tier.
                act_out = "" if given_up and not rehearse.startswith("CUFFT_") else rehearse
                start |= self._start_worker()
                answer = self._ask(order, placement, act_out)
                examination = examine(self._folder.spoken(order.epoch))
                files = self._folder.publish(order.epoch, order.reference, order.in_epochs, order.in_best)
            except (WorkerFailed, BrokenSample, _NotMade) as problem:
                given_up.append({"placement": str(placement), "reason": str(problem)})
                log.warning("epoch %d, %s: %s", order.epoch, placement, problem)
                self._ladder.failed(placement)
                if self._closing:
                    why = (*given_up, {"placement": "", "reason": RUN_ENDED})
                    return Record(order.epoch, "dropped", why=why)
                # What can be chance (a process killed for memory, a half-written file) gets one more try at the end.
                if not to_try and not isinstance(problem, _NotMade) and not tried_again:
                    tried_again = True
                    to_try.append(placement)
                continue
            self._ladder.made(placement)
            return Record(
                epoch=order.epoch,
                outcome="made",
                tier=placement.tier.value,
                device=placement.device,
                why=tuple(given_up),
                files=tuple(str(path.relative_to(self._folder.folder)) for path in files),
                weights_sha256=answer.weights_sha256,
                stages={**order.trainer_stages, **start, **answer.stages},
                audio_seconds=round(examination.seconds, 3),
                real_time_factor=round(sum(answer.stages.values()) / examination.seconds, 3),
                precision=answer.precision,
                examination=examination,
            )
        return Record(order.epoch, "failed", why=tuple(given_up))

    def _start_worker(self) -> dict[str, float]:
        """Start the worker if there is none; gives the seconds that took, as a stage."""
        if self._worker is not None:
            return {}
        began = time.perf_counter()
        self._worker = WorkerProcess(self._model, self._log, self._spec.time_limit)
        if self._closing:
            self._worker.give_up()
        try:
            self._worker.wait_for_greeting()
        except WorkerFailed:
            self._worker = None
            raise
        return {"start": round(time.perf_counter() - began, 4)}

    def _ask(self, order: Order, placement: Placement, act_out: str) -> Answer:
        assert self._worker is not None  # noqa: S101 - `_start_worker` came before
        self._number += 1
        request = Request(
            number=self._number,
            placement=placement,
            checkpoint=str(order.checkpoint),
            text=self._spec.text,
            language=self._spec.language,
            reference=str(order.reference),
            seed=self._spec.seed,
            max_seconds=self._spec.max_seconds,
            target=str(self._folder.spoken(order.epoch)),
            rehearse=act_out,
            rest_after=order.rest_after,
            fast=self._spec.fast,
        )
        try:
            answer = self._worker.ask(request)
        except WorkerFailed:
            if self._worker.unkillable:
                self._ladder.forbid(placement.device)
            self._worker = None
            raise
        if not answer.made:
            raise _NotMade(answer.reason)
        return answer

    def _report(self, order: Order, record: Record) -> None:
        """Put the record into the manifest and the news."""
        try:
            append_json_line(self._folder.manifest, self._manifest_line(order, record))
        except Exception as error:  # the thread must live on, or the run would wait for its samples for ever
            log.warning("cannot write %s: %s", self._folder.manifest, error)
        with self._changed:
            self._done.append(record)

    def _manifest_line(self, order: Order, record: Record) -> dict[str, Any]:
        reference_sha256 = sha256_of(order.reference) if order.reference.exists() else None
        return {
            "format": MANIFEST_FORMAT,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **asdict(record),
            "best": order.in_best,
            "checkpoint": order.checkpoint.name,
            "reference": order.reference.name,
            "reference_sha256": reference_sha256,
            "text": self._spec.text,
            "language": self._spec.language,
            "seed": self._spec.seed,
        }


class _NotMade(RuntimeError):
    """The worker answered that it could not make the sample here."""
