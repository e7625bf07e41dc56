"""The run's side of sampling: which checkpoints speak, in which voice, and what the user is told."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import torch

from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.errors import UserError
from cufft_harness.files import read_json_lines
from cufft_harness.sampling import injection as rehearsal
from cufft_harness.sampling.artefacts import SampleFolder
from cufft_harness.sampling.supervisor import Order, Record, Spec, Supervisor
from cufft_harness.tiers import Tier, placements
from cufft_harness.training.display import Display
from cufft_harness.training.loop import Trainer
from cufft_harness.training.offload import both_fit, moved_away
from cufft_harness.training.prepare import Prepared
from cufft_harness.training.stop import StopRequest

log = logging.getLogger(__name__)


class RunSamples:
    """Orders a sample of each checkpoint that wants one and reports what becomes of it."""

    def __init__(
        self, prepared: Prepared, output: Path, device: torch.device, display: Display, interruption: StopRequest
    ) -> None:
        settings = prepared.settings
        self._settings, self._voices, self._display = settings, prepared.voices, display
        self._interruption = interruption
        self._model_file = prepared.model.path / "model.pth"
        self._device = device
        self._on_accelerator = False
        self.folder = SampleFolder(output / "samples")
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
                settings.sample_text,
                settings.sample_language,
                settings.sample_seed,
                settings.sample_max_seconds,
                settings.sample_time_limit,
                settings.sample_fast,
            ),
            output / "sampler.log",
            rehearsals,
        )

    def order(self, epoch: int, best: bool, trainer: Trainer, folder: CheckpointFolder) -> None:
        """Order the sample of an epoch whose checkpoint has just been proven, where the settings want one."""
        in_epochs, voice = self._is_due(epoch), self._voice(epoch)
        if not (in_epochs or best):
            return
        path = folder.epoch_path(epoch)
        if not self._must_take_turns():
            self._supervisor.order(Order(epoch, path, voice, in_epochs, best))
            return
        self._wait(self._settings.sample_time_limit)
        with moved_away(trainer.model, trainer.optimizer, self._device) as seconds:
            self._supervisor.order(Order(epoch, path, voice, in_epochs, best, rest_after=True, trainer_stages=seconds))
            self._wait(4 * self._settings.sample_time_limit)  # three tiers and a second try at most
            if self._interruption.wanted:
                self._supervisor.close()  # whoever asked to stop waits for no sample; the accelerator is free again
        log.info("training stood aside for the sample: unload %.1f s, reload %.1f s", *seconds.values())

    def catch_up(self, trainer: Trainer, folder: CheckpointFolder) -> None:
        """Order the samples that the last session of this run did not get to make."""
        made = self._made_before()
        lowest = math.inf
        for losses in trainer.history:
            best, lowest = losses.validation < lowest, min(lowest, losses.validation)
            path = folder.epoch_path(losses.epoch)
            if losses.epoch not in made and path.exists() and (self._is_due(losses.epoch) or best):
                self._supervisor.order(
                    Order(losses.epoch, path, self._voice(losses.epoch), self._is_due(losses.epoch), best)
                )

    def _made_before(self) -> set[int]:
        """Epochs whose samples the manifest says were made; of a damaged one, what can still be read."""
        try:
            lines = read_json_lines(self.folder.manifest)
        except OSError as error:
            log.warning("cannot read %s: %s; samples are made again", self.folder.manifest, error)
            return set()
        epochs = [line.get("epoch") for line in lines if line.get("outcome") == "made"]
        return {epoch for epoch in epochs if isinstance(epoch, int)}

    def report_progress(self) -> None:
        """Tell the user what the sampler has done since the last call."""
        for record in self._supervisor.news():
            self.records.append(record)
            self._on_accelerator = record.tier in (Tier.NATIVE.value, Tier.BYPASS.value)
            self._display.say(str(record))
            for problem in record.why if record.outcome == "made" else ():
                self._display.say(f"  not made by {problem['placement']}: {problem['reason']}")
            if record.outcome == "made":
                self._display.sample(self.folder.folder / record.files[0], record.epoch)

    def _wait(self, seconds: float) -> None:
        """Wait until no sample is pending, so many seconds at most; a wish to stop ends it."""
        deadline = time.monotonic() + seconds
        while not self._interruption.wanted and time.monotonic() < deadline and not self._supervisor.wait(0.1):
            continue

    def wait_for_all(self) -> None:
        """Wait for the samples still being made; Ctrl-C gives them up."""
        total = len(self._supervisor.pending_epochs())
        with self._display.steps("last samples", total) as advance:
            while not self._interruption.wanted and not self._supervisor.wait(0.2):
                advance(0)
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

    def _voice(self, epoch: int) -> Path:
        return self._voices[(epoch - 1) % len(self._voices)]

    def _must_take_turns(self) -> bool:
        if self._settings.take_turns != "auto":
            return self._settings.take_turns == "always"
        # once loaded, the worker's share of the memory is no longer among what is free
        return not self._on_accelerator and not both_fit(self._device, self._model_file)
