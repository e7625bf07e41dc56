"""The trainer's side of sampling: a thread that hands orders to the worker and brings back checked files.

The trainer calls `order` (returns at once), `news` (what has happened since) and, at the end, `wait` and `close`.
Nothing here can raise into the training loop: what goes wrong becomes a record with its reasons.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cufft_harness.errors import HarnessError
from cufft_harness.files import append_json_line, sha256_of
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling.artefacts import BrokenSample, SampleFolder, examine
from cufft_harness.sampling.orders import Begun, Left, Order, Record, Spec, Utterance, not_made
from cufft_harness.sampling.process import Progress, Starved, WorkerFailed, WorkerProcess
from cufft_harness.sampling.protocol import Answer, Request
from cufft_harness.sampling.status import Status
from cufft_harness.sampling.waiting import LONGEST_QUEUE, Waiting
from cufft_harness.tiers import Ladder, Placement

log = logging.getLogger(__name__)

MANIFEST_FORMAT = 1
RUN_ENDED = "the run ended first"
RETURN_LIMIT = 600.0
"""Seconds that a record waits for the trainer to be back on the accelerator."""


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
        self._by_nice = True
        self._number = 0
        self._waiting = Waiting()
        self._current: Order | None = None
        self._speaking = False
        self._returned: float | None = None
        self._begun: tuple[int | None, float] = (None, time.monotonic())
        self._left_of_current = 0
        self._seconds_each: deque[float] = deque(maxlen=10)
        self._done: deque[Begun | Record] = deque()
        self._ready_ahead = self._talking = self._closing = False
        self.training_goes_first = False
        """Whether training needs the processor now and nobody waits for samples; the trainer sets it."""
        self._changed = threading.Condition()
        folder.prepare()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)
        self._thread.start()

    def make_ready(self) -> None:
        """Have a worker started and its model loaded before the first order."""
        with self._changed:
            self._ready_ahead = True
            self._changed.notify_all()

    def order(self, order: Order) -> None:
        """Queue a sample; of a full queue one is dropped, with a word in the log and the manifest (see `Waiting`)."""
        with self._changed:
            if order.unload is not None:
                self._returned = None
            dropped = self._waiting.add(order)
            self._changed.notify_all()
        if dropped is not None:
            reason = f"sampling is slower than training: {LONGEST_QUEUE} others were waiting"
            self._report(dropped, not_made(dropped, "dropped", reason))

    def heard(self, epochs: Iterable[int]) -> None:
        """Note epochs whose samples exist already."""
        with self._changed:
            for epoch in epochs:
                self._waiting.heard(epoch)

    def came_back(self, seconds: float) -> None:
        """Note that the trainer is on the accelerator again, and how long it took: the last stage of its sample."""
        with self._changed:
            self._returned = seconds
            self._changed.notify_all()

    def news(self) -> list[Begun | Record]:
        """What was begun and what became of it since the last call, in the order things happened."""
        with self._changed:
            news = list(self._done)
            self._done.clear()
        return news

    def status(self) -> Status | None:
        """What is going on; None while there is nothing to do."""
        worker = self._worker
        with self._changed:
            if not self._talking:
                return None
            epoch, began = self._begun
            left = self._left()
        progress = worker.progress if worker else Progress()
        return Status(epoch, progress, time.monotonic() - began, left)

    def _left(self) -> Left:
        """What is still to be made; for callers that hold the lock."""
        epoch, began = self._begun
        to_come = self._left_of_current + sum(len(order.utterances) for order in self._waiting)
        if not self._seconds_each:
            return Left(to_come)
        each = sum(self._seconds_each) / len(self._seconds_each)
        of_this = 0.0 if epoch is None else max(0.0, each - (time.monotonic() - began))
        return Left(to_come, each * to_come + of_this)

    def pending_epochs(self) -> set[int]:
        """Epochs whose checkpoints are still needed."""
        with self._changed:
            return {order.epoch for order in (*self._waiting, self._current) if order is not None}

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is pending; True when so, False when the time ran out."""
        return self._wait_until(lambda: not self._waiting and self._current is None, seconds)

    def wait_until_spoken(self, seconds: float) -> bool:
        """Wait until the worker has no use for the accelerator; True when so, False when the time ran out."""
        return self._wait_until(lambda: not self._waiting and not self._speaking, seconds)

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def close(self) -> None:
        """End the worker. Orders still waiting are recorded as dropped; one under way is given up."""
        with self._changed:
            self._closing = True
            unmade = self._waiting.clear()
            self._changed.notify_all()
        for order in unmade:
            self._report(order, not_made(order, "dropped", RUN_ENDED))
        worker = self._worker  # whoever sees both, `_closing` and the worker, ends it: here, or in `_start_worker`
        if worker is not None and self._talking:
            worker.give_up()
        self._thread.join(self._spec.time_limit)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing or self._ready_ahead)
                if self._closing and not self._waiting:
                    break
                ahead, self._ready_ahead = self._ready_ahead, False
                self._current = order = self._waiting.take() if self._waiting else None
                self._speaking = order is not None
                self._talking = True
            if order is not None:
                self._see_to(order)
            elif ahead:
                self._start_ahead()
            with self._changed:
                self._current = None
                self._speaking = self._talking = False
                self._changed.notify_all()
        if self._worker is not None:
            self._worker.end()

    def _start_ahead(self) -> None:
        self._begun = (None, time.monotonic())
        try:
            self._start_worker()
        except (WorkerFailed, OSError) as problem:  # the first order will try again, and record why not
            log.warning("the sampler could not be made ready: %s", problem)

    def _see_to(self, order: Order) -> None:
        """Make all of an order, and put what became of each part into the manifest and the news."""
        for number, utterance in enumerate(order.utterances, start=1):
            self._left_of_current = len(order.utterances) - number
            last = not self._left_of_current
            record = self._make_and_record(order, utterance, last)
            if last and order.unload is not None:
                record = self._with_return(record)
            self._report(order, [record])

    def _make_and_record(self, order: Order, utterance: Utterance, last: bool) -> Record:
        with self._changed:
            self._begun = (order.epoch, time.monotonic())
            self._done.append(Begun(order.epoch, utterance, len(order.utterances), self._left()))
        try:
            return self._make(order, utterance, last)
        except Exception as error:  # a full disk under the sample, say: never the end of sampling
            foreseen = isinstance(error, OSError | HarnessError)
            log.warning("sampling epoch %d: %s", order.epoch, error, exc_info=not foreseen)
            why = ({"placement": "", "reason": f"{type(error).__name__}: {error}"},)
            return Record(order.epoch, "failed", utterance.number, why=why)

    def _with_return(self, record: Record) -> Record:
        """Let the trainer have the accelerator again, and add the seconds that its return takes."""
        with self._changed:
            self._speaking = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._returned is not None or self._closing, RETURN_LIMIT)
            returned = self._returned
        return record if returned is None else replace(record, stages={**record.stages, "reload": round(returned, 4)})

    def _make(self, order: Order, utterance: Utterance, last: bool) -> Record:
        given_up: list[dict[str, str]] = []
        rehearse = rehearsal.for_epoch(self._rehearsals, order.epoch)
        to_try = deque(self._ladder.steps[-1:] if order.on_cpu else self._ladder.order())
        tried_again = False
        first = utterance is order.utterances[0]
        stages = {"unload": round(order.unload, 4)} if order.unload is not None and first else {}
        while to_try:
            placement = to_try.popleft()
            try:
                # Failures of the process strike the first attempt; a broken cuFFT stays broken on the next tier.
                act_out = "" if given_up and not rehearse.startswith("CUFFT_") else rehearse
                stages |= self._start_worker()
                asked = time.monotonic()
                answer, waited = self._ask(order, utterance, placement, act_out, last and order.unload is not None)
                examination = examine(self._folder.spoken(order.epoch, utterance.number))
                files = self._folder.publish(
                    order.epoch, utterance.reference, order.in_epochs, order.in_best, *_numbers(order, utterance)
                )
            except Starved as problem:  # nobody's failure: the next worker keeps its priority
                log.info("epoch %d: %s; another worker is started", order.epoch, problem)
                self._by_nice = False
                to_try.appendleft(placement)
                continue
            except (WorkerFailed, BrokenSample, _NotMade) as problem:
                given_up.append({"placement": str(placement), "reason": str(problem)})
                log.warning("epoch %d, %s: %s", order.epoch, placement, problem)
                self._ladder.failed(placement)
                if self._closing:
                    why = (*given_up, {"placement": "", "reason": RUN_ENDED})
                    return Record(order.epoch, "dropped", utterance.number, why=why)
                # What can be chance (a process killed for memory, a half-written file) gets one more try at the end.
                if not to_try and not isinstance(problem, _NotMade) and not tried_again:
                    tried_again = True
                    to_try.append(placement)
                continue
            self._ladder.made(placement)
            self._seconds_each.append(time.monotonic() - asked)
            return Record(
                epoch=order.epoch,
                outcome="made",
                number=utterance.number,
                tier=placement.tier.value,
                device=placement.device,
                why=tuple(given_up),
                files=tuple(str(path.relative_to(self._folder.folder)) for path in files),
                weights_sha256=answer.weights_sha256,
                stages={**stages, **answer.stages},
                waited=round(waited, 1),
                audio_seconds=round(examination.seconds, 3),
                real_time_factor=round(sum(answer.stages.values()) / examination.seconds, 3),
                stopped_by_itself=answer.stopped_by_itself,
                sentences=answer.sentences,
                precision=answer.precision,
                examination=examination,
            )
        return Record(order.epoch, "failed", utterance.number, why=tuple(given_up))

    def _start_worker(self) -> dict[str, float]:
        """Start the worker if there is none; gives the seconds that took, as a stage."""
        if self._worker is not None:
            return {}
        began = time.perf_counter()
        self._worker = WorkerProcess(
            self._model, self._log, self._spec.time_limit, lambda: self.training_goes_first, self._by_nice
        )
        if self._closing:
            self._worker.give_up()
        try:
            self._worker.wait_for_greeting()
        except WorkerFailed:
            self._worker = None
            raise
        return {"start": round(time.perf_counter() - began, 4)}

    def _ask(
        self, order: Order, utterance: Utterance, placement: Placement, act_out: str, rest_after: bool
    ) -> tuple[Answer, float]:
        """Have the worker make a sample; gives its answer and the seconds it waited for a processor."""
        assert self._worker is not None  # noqa: S101 - `_start_worker` came before
        self._number += 1
        request = Request(
            number=self._number,
            placement=placement,
            checkpoint=None if order.checkpoint is None else str(order.checkpoint),
            epoch=order.epoch if order.replaceable else None,
            text=utterance.text,
            language=utterance.language,
            reference=str(utterance.reference),
            seed=self._spec.seed,
            max_seconds=self._spec.max_seconds,
            target=str(self._folder.spoken(order.epoch, utterance.number)),
            rehearse=act_out,
            rest_after=rest_after,
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
        return answer, self._worker.progress.waited

    def _report(self, order: Order, records: list[Record]) -> None:
        """Put records into the manifest and the news."""
        for record in records:
            try:
                self._folder.still_held()
                append_json_line(self._folder.manifest, self._manifest_line(order, record))
            except Exception as error:  # the thread must live on, or the run would wait for its samples for ever
                log.warning("cannot write %s: %s", self._folder.manifest, error)
        with self._changed:
            self._done.extend(records)

    def _manifest_line(self, order: Order, record: Record) -> dict[str, Any]:
        utterance = next(one for one in order.utterances if one.number == record.number)
        reference = utterance.reference
        return {
            "format": MANIFEST_FORMAT,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **asdict(record),
            "best": order.in_best,
            "checkpoint": order.checkpoint.name if order.checkpoint else None,
            "reference": reference.name,
            "reference_sha256": sha256_of(reference) if reference.exists() else None,
            "text": utterance.text,
            "language": utterance.language,
            "seed": self._spec.seed,
        }


def _numbers(order: Order, utterance: Utterance) -> tuple[int, int]:
    """An utterance's number, and that of the first one in the same voice, beside which the reference lies."""
    return utterance.number, next(one.number for one in order.utterances if one.reference == utterance.reference)


class _NotMade(RuntimeError):
    """The worker answered that it could not make the sample here."""
