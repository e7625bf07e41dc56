"""The training loop, from top to bottom: resume, epochs of updates, validation, checkpoint. It yields what happens.

Whoever iterates over `Trainer.run` decides what follows from an event: a line on the screen, a sample, a file removed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import torch
from accelerate import Accelerator

from cufft_harness.checkpoints import Checkpoint, CheckpointFolder, Losses, Position, schema
from cufft_harness.dataset.batches import Data, hash_seed
from cufft_harness.errors import MachineError, UserError
from cufft_harness.training import adapters, random_states
from cufft_harness.training.events import (
    BaseValidated,
    CheckpointVerified,
    CheckpointWritten,
    EpochEnded,
    EpochStarted,
    Event,
    Stepped,
)
from cufft_harness.training.optimization import LearningRate, load_state, make_optimizer
from cufft_harness.training.settings import SHAPING, Settings
from cufft_harness.training.stop import StopRequest
from cufft_harness.training.verification import Verification
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.loss import Batch, TrainingModel

MOST_BAD_STEPS = 20
"""Steps in a row whose loss may be NaN or infinite (fp16 finds its scale so) before the run is stopped."""


class Trainer:
    """One run: the model, its optimizer, and where it stands.

    Args:
        settings: of the run.
        model: the GPT with its loss.
        data: the batches.
        folder: the checkpoints.
        model_fingerprint: identity of the base model.
        stop: the wish to stop.
    """

    def __init__(
        self,
        settings: Settings,
        accelerator: Accelerator,
        model: TrainingModel,
        data: Data,
        folder: CheckpointFolder,
        model_fingerprint: str,
        stop: StopRequest,
    ) -> None:
        self.settings = settings
        self.accelerator = accelerator
        self.data = data
        self.folder = folder
        self._fingerprint = model_fingerprint
        self._stop = stop
        self._position = Position()
        self._history: list[Losses] = []
        self._best = math.inf
        # sums of the epoch's losses over this process's batches, and how many these are
        self._running = [0.0, 0.0, 0.0, 0.0]
        self._bad_steps = 0
        self._saved_update = 0
        self._verification = Verification(folder)
        if len(data.train) < accelerator.num_processes:
            raise UserError(f"{accelerator.num_processes} processes, but only {len(data.train)} batches to train on.")

        torch.manual_seed(hash_seed(settings.seed, accelerator.process_index))
        self._plain_model = model
        if settings.lora_rank:
            adapters.add_adapters(model.gpt, settings.lora_rank)
        if settings.gradient_checkpointing:
            # not reentrant: with adapters nothing that enters a block needs a gradient
            model.gpt.gpt.gradient_checkpointing_enable({"use_reentrant": False})
        self._rate = LearningRate(settings, settings.lr_decay_epochs or settings.num_epochs)
        self.model, self.optimizer = accelerator.prepare(model, make_optimizer(model, settings))

    @property
    def complete_epochs(self) -> int:
        """Epochs that are over."""
        return self._position.epoch - 1

    @property
    def history(self) -> list[Losses]:
        """What each epoch came to."""
        return self._history

    @property
    def checkpoint_bytes(self) -> int:
        """About how large an epoch's checkpoint is: the plain weights and, unless left out, the optimizer's state."""
        plain = self._plain_model.gpt.state_dict()
        weights: int = sum(one.numel() * one.element_size() for name, one in plain.items() if ".lora_" not in name)
        trained: int = sum(one.numel() for group in self.optimizer.param_groups for one in group["params"])
        each = 2 if self.settings.optimizer == "adamw8bit" else 8  # two moments of a byte, or of a float
        return weights + (trained * each if self.settings.checkpoint_content == "full" else 0)

    def resume(self) -> list[str]:
        """Go on from the newest valid checkpoint, if there is one; gives what the user should know of it.

        Raises:
            UserError: the checkpoints are of another base model, or their state is of another shape than the settings'.
            MachineError: there are checkpoints, but none is valid.
        """
        found = self.folder.newest_or_raise(self._check_state)
        if found is None:
            return []
        path, checkpoint = found
        self._check_it_fits(checkpoint)
        self._restore(checkpoint)
        if self.accelerator.is_main_process:
            best = (losses.epoch for losses in self._history if losses.validation == self._best)
            self.folder.recover(next(best, None))
            if self._position.batch == 0:
                self.folder.discard_interrupted()
        where = f"after epoch {self.complete_epochs}"
        if self._position.batch:
            where = f"in epoch {self._position.epoch} after batch {self._position.batch} of {len(self.data.train)}"
        notes = [f"resuming {where}, from {path.name}"]
        if not checkpoint.optimizer["state"]:
            notes.append("note: it holds weights alone, so the optimizer begins anew")
        if checkpoint.processes != self.accelerator.num_processes:
            notes.append(
                f"note: {self.accelerator.num_processes} processes train from here on, {checkpoint.processes} did "
                "until now; an update is made of as many times more or fewer batches"
            )
        for name, value in self.settings.kept().items():
            before = checkpoint.settings.get(name)
            if before != value and name in SHAPING and name in checkpoint.settings:
                notes.append(f"note: {name} was {before} until now and is {value} from here on")
        return notes

    def run(self) -> Iterator[Event]:
        """Train until the last epoch is over or a stop is wanted; then everything is saved.

        Raises:
            MachineError: a checkpoint could not be written, or the loss stays infinite.
        """
        if self.settings.validate_first and self._position == Position():
            yield BaseValidated(*self._validate())
        while self._position.epoch <= self.settings.num_epochs:
            yield EpochStarted(self._position.epoch, len(self.data.train), self._position.batch)
            for group in self._groups():
                if self._must_stop():
                    yield from self._save_unsaved()
                    return
                yield self.update(group)
                yield from self._verified(wait=False)
            losses = self._finish_epoch()
            yield EpochEnded(losses)
            best = losses.validation < self._best
            due = losses.epoch % self.settings.save_every_n_epochs == 0 or losses.epoch == self.settings.num_epochs
            if due or (best and self.settings.save_best):
                self._best = min(self._best, losses.validation)
                yield from self._save(best)
        yield from self._save_unsaved()

    def _groups(self) -> Iterator[list[Batch]]:
        """The rest of the current epoch for this process, in groups of one update each."""
        group: list[Batch] = []
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        for batch in self.data.train.epoch(self._position.epoch, self._position.batch, rank, processes):
            group.append(batch)
            if len(group) == self.settings.gradient_accumulation_steps:
                yield group
                group = []
        if group:
            yield group

    def update(self, group: list[Batch]) -> Stepped:
        """Update the weights once, from a group of batches."""
        position, processes = self._position, self.accelerator.num_processes
        # coqui's trainer divides by the full number also where an epoch's last group has fewer
        parts = self.settings.gradient_accumulation_steps if self.settings.recipe == "coqui" else len(group)
        rate = self._rate.at(position.update, position.epoch - 1 + position.batch / len(self.data.train))
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate

        sums = torch.zeros(3, device=self.accelerator.device)
        for number, batch in enumerate(group, start=1):
            # gradients of several GPUs are exchanged once, with the last batch of the group
            together = nullcontext() if number == len(group) else self.accelerator.no_sync(self.model)
            with together:
                with self.accelerator.autocast():
                    text, audio, total = self.model(batch.to(self.accelerator.device))
                self.accelerator.backward(total / parts)
            sums += torch.stack([text, audio, total]).detach().float()
        limit = self.settings.max_grad_norm or math.inf
        gradient_norm = self.accelerator.clip_grad_norm_(self.model.parameters(), limit)
        *losses, norm = torch.cat([sums, gradient_norm.float().reshape(1)]).tolist()  # the one wait for the device
        mean: float = losses[2] / len(group)
        if self._is_sane(mean, norm):
            self._running = [a + b for a, b in zip(self._running, [*losses, float(len(group))], strict=True)]
            self.optimizer.step()
        self.optimizer.zero_grad()

        batches = min(len(group) * processes, len(self.data.train) - position.batch)
        self._position = replace(position, batch=position.batch + batches, update=position.update + 1)
        return Stepped(position.epoch, batches, self._position.update, mean, norm, rate)

    def _is_sane(self, loss: float, norm: float) -> bool:
        """Whether the weights may be updated. A loss that stays infinite ends the run before it wastes days.

        With fp16 the scaler itself skips steps whose gradient is infinite, and needs to see them to find its scale.
        """
        finite = math.isfinite(loss) and math.isfinite(norm)
        self._bad_steps = 0 if finite else self._bad_steps + 1
        if self._bad_steps >= MOST_BAD_STEPS:
            kept = self.folder.newest()
            raise MachineError(
                f"the loss or its gradient was not finite for {MOST_BAD_STEPS} steps in a row.",
                f"Lower --learning-rate or use --mixed-precision bf16; the last good state is {kept and kept.name}.",
            )
        return finite or (math.isfinite(loss) and self.accelerator.scaler is not None)

    def _finish_epoch(self) -> Losses:
        text, audio, total, count = self._sum_over_processes(self._running)
        count = count or math.nan  # every step of the epoch came to nothing
        losses = Losses(self._position.epoch, text / count, audio / count, total / count, *self._validate())
        self._history.append(losses)
        self._running = [0.0, 0.0, 0.0, 0.0]
        self._position = replace(self._position, epoch=self._position.epoch + 1, batch=0)
        return losses

    @torch.no_grad()
    def _validate(self) -> tuple[float, float, float]:
        """Mean losses over all clips of the validation set, without masking, as coqui's recipe does.

        Each process scores its share; the sums are then added in the order of the batches, so that the result, and with
        it what is best, is the same for any number of processes.
        """
        model = self._plain_model.eval()  # without the wrapper, which would wait for as many batches of each process
        rows = torch.zeros(len(self.data.validation), 4, dtype=torch.float64, device=self.accelerator.device)
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        for number, batch in self.data.validation.share(rank, processes):
            with self.accelerator.autocast():
                losses = model(batch.to(self.accelerator.device))
            rows[number] = torch.stack([*(loss.double() * batch.size for loss in losses), rows.new_tensor(batch.size)])
        model.train()
        if processes > 1:
            rows = self.accelerator.reduce(rows, "sum")
        text, audio, total, count = rows.sum(0).tolist()
        return text / count, audio / count, total / count

    def _save_unsaved(self) -> Iterator[Event]:
        """Leave nothing behind that is not on disk and verified."""
        if self._position.update != self._saved_update:
            yield from self._save(best=False)
        yield from self._verified(wait=True)

    def _save(self, best: bool) -> Iterator[Event]:
        """Write a checkpoint; one between epochs is read back while training goes on."""
        yield from self._verified(wait=True)  # the one before
        running = self._sum_over_processes(self._running)
        states = random_states.states_of_all(self.accelerator)
        if self.accelerator.is_main_process:
            between_epochs = self._position.batch == 0
            path = self.folder.save(self._checkpoint(running, states), prove=not between_epochs)
            if between_epochs:
                self._verification.begin(CheckpointVerified(self.complete_epochs, path, best))
            yield CheckpointWritten(self.complete_epochs, path)
        self._saved_update = self._position.update
        self.accelerator.wait_for_everyone()

    def _verified(self, wait: bool) -> Iterator[Event]:
        """Tell of the checkpoint that has been read back meanwhile; only now may it take the place of older ones."""
        checkpoint = self._verification.finished(wait)
        if checkpoint is not None:
            if checkpoint.best:
                self.folder.mark_best(checkpoint.path)
            self.folder.discard_interrupted()
            yield checkpoint

    def _checkpoint(self, running: list[float], states: random_states.States) -> Checkpoint:
        gpt = self._plain_model.gpt
        plain = adapters.merged_state(gpt)
        # what an unfinished epoch left is there to go on from and nothing else
        full = self.settings.checkpoint_content == "full" or self._position.batch > 0
        scaler = self.accelerator.scaler
        return Checkpoint(
            gpt=plain,
            adapters=adapters.adapter_state(gpt),
            optimizer=self.optimizer.state_dict() if full else {"state": {}},
            scheduler={"decay_epochs": self._rate.decay_epochs},
            scaler={} if scaler is None else scaler.state_dict(),
            rng=states,
            position=self._position,
            running=running,
            history=self._history,
            best_validation=self._best,
            settings=self.settings.kept(),
            model_fingerprint=self._fingerprint,
            weights_sha256=weights_digest(plain),
            processes=self.accelerator.num_processes,
        )

    def _check_it_fits(self, checkpoint: Checkpoint) -> None:
        run = f"the run in {self.folder.folder.parent}"
        another = checkpoint.model_fingerprint != self._fingerprint
        if another and (checkpoint.adapters or not self.settings.continue_with):  # adapters fit one base alone
            raise UserError(
                f"{run} was started from another model, {checkpoint.settings.get('model')}; the files of "
                f"{self.settings.model} are not those.",
                "Give its --model, or another --output.",
            )
        # what shapes the optimizer's state, with the values of before there was a choice
        for name, before in {"lora_rank": None, "weight_decay_on": "all", "optimizer": "adamw"}.items():
            value = checkpoint.settings.get(name, before)
            if value != getattr(self.settings, name):
                flag = f"--{name.replace('_', '-')} {value}"
                raise UserError(f"{run} has {name} {value}.", f"Give {flag}, or another --output.")

    def _check_state(self, checkpoint: Checkpoint) -> None:
        """Refuse what the run cannot go on from, so that the checkpoint before it is used.

        Raises:
            BrokenCheckpoint: it says it is of this run, but is not like it.
        """
        try:
            self._check_it_fits(checkpoint)
        except UserError:
            return  # it is of another run, and the user is to hear that
        gpt = self._plain_model.gpt
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        state = adapters.merged_state(gpt), adapters.adapter_state(gpt)
        eight_bit = self.settings.optimizer == "adamw8bit"
        schema.check_fits(checkpoint, schema.Run(*state, parameters, len(self.data.train), eight_bit))

    def _restore(self, checkpoint: Checkpoint) -> None:
        gpt = self._plain_model.gpt
        if checkpoint.adapters:
            gpt.load_state_dict(checkpoint.adapters, strict=False)
        else:
            gpt.load_state_dict(checkpoint.gpt)
        load_state(self.optimizer, checkpoint.optimizer["state"])
        if self.settings.lr_decay_epochs is None:
            decay_epochs = checkpoint.scheduler.get("decay_epochs", self._rate.decay_epochs)
            self._rate = LearningRate(self.settings, decay_epochs)
        if checkpoint.scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(checkpoint.scaler)
        self._position, self._history = checkpoint.position, checkpoint.history
        if self._validates_elsewhere(checkpoint):  # losses on other clips say nothing of these
            self._best = math.inf
        else:
            self._best = checkpoint.best_validation
        if self.accelerator.is_main_process:  # they are the sums of all processes
            self._running = checkpoint.running
        self._saved_update = self._position.update
        random_states.restore(checkpoint.rng, self.accelerator, hash_seed(self.settings.seed, self._position.update))

    def _validates_elsewhere(self, checkpoint: Checkpoint) -> bool:
        """Whether the run goes on with another data set, as the user said it may."""
        return self.settings.continue_with and checkpoint.settings.get("data") != self.settings.kept()["data"]

    def _must_stop(self) -> bool:
        """Whether any process was asked to stop: all have to leave at the same step."""
        if self.accelerator.num_processes == 1:
            return self._stop.wanted
        wish = torch.tensor(float(self._stop.wanted), device=self.accelerator.device)
        return bool(self.accelerator.reduce(wish, "sum") > 0)

    def _sum_over_processes(self, values: list[float]) -> list[float]:
        if self.accelerator.num_processes == 1:
            return values
        total = self.accelerator.reduce(
            torch.tensor(values, dtype=torch.float64, device=self.accelerator.device), "sum"
        )
        return [float(value) for value in total]
