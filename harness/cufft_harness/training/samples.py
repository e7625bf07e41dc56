"""The run's side of sampling: which checkpoints speak, in which voice, and what the user is told."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from cufft_harness.checkpoints import BEST, CheckpointFolder
from cufft_harness.errors import UserError
from cufft_harness.files import read_json_lines
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling.artefacts import SampleFolder
from cufft_harness.sampling.orders import Begun, Order, Record, Spec, Utterance, utterances
from cufft_harness.sampling.supervisor import Supervisor
from cufft_harness.sampling.waiting import LONGEST_QUEUE
from cufft_harness.tiers import Tier, placements
from cufft_harness.training.display import SECONDS_BETWEEN_LINES, Display
from cufft_harness.training.loop import Trainer
from cufft_harness.training.offload import both_fit, moved_away
from cufft_harness.training.prepare import Prepared
from cufft_harness.training.stop import StopRequest

log = logging.getLogger(__name__)


class RunSamples:
    """Orders a sample of each checkpoint that wants one and reports what becomes of it."""

    def __init__(
        self,
        prepared: Prepared,
        output: Path,
        still_held: Callable[[], None],
        device: torch.device,
        display: Display,
        interruption: StopRequest,
    ) -> None:
        settings = prepared.settings
        self._settings, self._voices, self._display = settings, prepared.voices, display
        self._interruption = interruption
        self._model_file = prepared.model.path / "model.pth"
        self._device = device
        self._on_accelerator = False
        self.folder = SampleFolder(output / "samples", still_held)
        self.records: list[Record] = []
        rehearsals = rehearsal.parse(settings.inject)
        best_device: str | None = None
        if settings.sample_device != "cpu" and torch.cuda.is_available():
            best_device = str(device) if device.type == "cuda" else "cuda:0"
        elif rehearsals:
            best_device = "cpu"  # stands in for the accelerator, so that every tier can be seen at work
        elif settings.sample_device == "cuda":
            raise UserError("--sample-device cuda, but PyTorch finds no usable GPU.")
        self._supervisor = Supervisor(
            prepared.model.path,
            self.folder,
            placements(best_device),
            Spec(
                settings.sample_seed,
                settings.sample_max_seconds,
                settings.sample_time_limit,
                settings.sample_fast,
            ),
            output / "sampler.log",
            rehearsals,
        )
        self._supervisor.training_goes_first = True
        self._supervisor.make_ready()
        self._order_base_model()

    def order(self, epoch: int, best: bool, trainer: Trainer, folder: CheckpointFolder) -> None:
        """Order the sample of an epoch whose checkpoint has just been proven, where the settings want one."""
        in_epochs = self._is_due(epoch)
        if not (in_epochs or best):
            return
        order = Order(epoch, folder.epoch_path(epoch), self._utterances(epoch), in_epochs, best)
        if not self._must_take_turns():
            self._supervisor.order(order)
            return
        limit = self._settings.sample_time_limit * len(order.utterances)
        self._wait(limit)
        with moved_away(trainer.model, trainer.optimizer, self._device) as seconds:
            self._supervisor.order(replace(order, unload=seconds["unload"]))
            self._wait(4 * limit)  # three tiers and a second try at most
            if self._interruption.wanted:
                self._supervisor.close()  # whoever asked to stop waits for no sample; the accelerator is free again
        self._supervisor.came_back(seconds["reload"])
        log.info("training stood aside for the sample: unload %.1f s, reload %.1f s", *seconds.values())

    def _order_base_model(self) -> None:
        """Order the base model's sample, to compare with, unless it is there already."""
        wanted = self._missing(0, self._made_before())
        if self._settings.sample_base_model and self._settings.model != "tiny" and wanted:
            # the accelerator is the trainer's, which has not yet taken what it needs of it
            on_cpu = self._device.type != "cpu" or self._must_take_turns()
            self._supervisor.order(Order(0, None, wanted, on_cpu=on_cpu))

    def catch_up(self, trainer: Trainer, folder: CheckpointFolder) -> None:
        """Order the samples that the last session of this run did not get to make."""
        made = self._made_before()
        self._supervisor.heard(epoch for epoch, _number in made)
        best_of_all = min(trainer.history, key=lambda losses: losses.validation, default=None)
        lowest = math.inf
        for losses in trainer.history:
            best, lowest = losses.validation < lowest, min(lowest, losses.validation)
            path, wanted = folder.epoch_path(losses.epoch), self._missing(losses.epoch, made)
            replaceable = losses is best_of_all and not path.exists()
            path = folder.folder / BEST if replaceable else path
            if wanted and path.exists() and (self._is_due(losses.epoch) or best):
                if trainer.complete_epochs >= self._settings.num_epochs:  # there is time: nothing is trained meanwhile
                    self._wait_for_room()
                in_epochs = self._is_due(losses.epoch)
                self._supervisor.order(Order(losses.epoch, path, wanted, in_epochs, best, replaceable))

    def _missing(self, epoch: int, made: set[tuple[int, int]]) -> tuple[Utterance, ...]:
        """What of an epoch's sample has not been made."""
        return tuple(one for one in self._utterances(epoch) if (epoch, one.number) not in made)

    def _made_before(self) -> set[tuple[int, int]]:
        """Epochs and utterances that the manifest says were made; of a damaged one, what can still be read."""
        try:
            lines = read_json_lines(self.folder.manifest)
        except OSError as error:
            log.warning("cannot read %s: %s; samples are made again", self.folder.manifest, error)
            return set()
        found = [(line.get("epoch"), line.get("number", 1)) for line in lines if line.get("outcome") == "made"]
        return {(epoch, number) for epoch, number in found if isinstance(epoch, int) and isinstance(number, int)}

    def report_progress(self) -> None:
        """Tell the user what the sampler has done since the last call, and what it is at."""
        for event in self._supervisor.news():
            self._display.doing(None)
            self._display.say(str(event))
            if not isinstance(event, Begun):
                self._keep(event)
        waited_for = not self._supervisor.training_goes_first
        self._display.doing(self._supervisor.status(), 10 if waited_for else SECONDS_BETWEEN_LINES)

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        self._on_accelerator = record.tier in (Tier.NATIVE.value, Tier.BYPASS.value)
        if record.outcome == "made":
            spoken, reference = (self.folder.folder / record.files[place] for place in (0, len(record.files) // 2))
            self._display.sample(spoken, reference, record.epoch, record.number)

    def _wait(self, seconds: float) -> None:
        """Wait until the worker needs the accelerator no more, so many seconds at most; a wish to stop ends it."""
        self._supervisor.training_goes_first = False
        deadline = time.monotonic() + seconds
        while not self._interruption.wanted and time.monotonic() < deadline:
            if self._supervisor.wait_until_spoken(0.1):
                break
            self.report_progress()
        self._supervisor.training_goes_first = True

    def _wait_for_room(self) -> None:
        """Wait until another order may wait without one being given up for it; a wish to stop ends it."""
        self._supervisor.training_goes_first = False
        while len(self._supervisor.pending_epochs()) > LONGEST_QUEUE and not self._interruption.wanted:
            self._supervisor.wait(0.2)
            self.report_progress()

    def wait_for_all(self) -> None:
        """Wait for the samples still being made; Ctrl-C gives them up."""
        self._supervisor.training_goes_first = False
        while not self._interruption.wanted and not self._supervisor.wait(0.2):
            self.report_progress()
        self.report_progress()

    def pending_epochs(self) -> set[int]:
        """Epochs whose checkpoints the sampler still has to read."""
        return self._supervisor.pending_epochs()

    def close(self) -> None:
        """End the worker and tell what became of the rest."""
        self._supervisor.close()
        self.report_progress()

    def _is_due(self, epoch: int) -> bool:
        every = self._settings.sample_every_n_epochs or self._settings.save_every_n_epochs
        return epoch % every == 0

    def _utterances(self, epoch: int) -> tuple[Utterance, ...]:
        """What is said with an epoch's weights: every text, in every voice or in the one whose turn it is."""
        voices = tuple(self._voices)
        if self._settings.cycle_references:
            voices = (voices[max(0, epoch - 1) % len(voices)],)
        return utterances(self._settings.sample_text, self._settings.sample_language, voices)

    def _must_take_turns(self) -> bool:
        if self._settings.take_turns != "auto":
            return self._settings.take_turns == "always"
        # once loaded, the worker's share of the memory is no longer among what is free
        return not self._on_accelerator and not both_fit(self._device, self._model_file)
