"""The training loop: resume, epochs of steps, validation, checkpoint, and only then the order for a sample."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from transformers import get_cosine_schedule_with_warmup

from cufft_harness.checkpoints import Checkpoint, CheckpointFolder, Losses, Position, load
from cufft_harness.dataset.batches import Batches, hash_seed
from cufft_harness.errors import MachineError, UserError
from cufft_harness.training import adapters
from cufft_harness.training.display import Display
from cufft_harness.training.settings import Settings
from cufft_harness.training.stop import StopRequest
from cufft_harness.training.verification import Proof
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.loss import Batch, TrainingModel

MOST_BAD_STEPS = 20
"""Steps in a row whose loss may be NaN or infinite (fp16 finds its scale so) before the run is stopped."""

Saved = Callable[[int, bool], None]
"""Called after an epoch's checkpoint was written and proven: the epoch, and whether it is the best so far."""


@dataclass(frozen=True)
class Data:
    """Batches to train on and to validate on."""

    train: Batches
    validation: Batches


class Trainer:
    """One run: the model, its optimizer, and where it stands.

    Args:
        settings: of the run.
        model: the GPT with its loss.
        data: the batches.
        folder: the checkpoints.
        model_fingerprint: identity of the base model.
        display: what the user sees.
        interruption: the wish to stop.
        between_steps: called after each update of the weights, to see to what happened meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        accelerator: Accelerator,
        model: TrainingModel,
        data: Data,
        folder: CheckpointFolder,
        model_fingerprint: str,
        display: Display,
        interruption: StopRequest,
        between_steps: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.accelerator = accelerator
        self.data = data
        self.folder = folder
        self.display = display
        self._fingerprint = model_fingerprint
        self._interruption = interruption
        self._between_steps = between_steps
        self._position = Position()
        self._history: list[Losses] = []
        self._best = math.inf
        self._running = [0.0, 0.0, 0.0, 0.0]
        self._bad_steps = 0
        self._saved_update = 0
        self._proof = Proof(folder)
        if len(data.train) < accelerator.num_processes:
            raise UserError(f"{accelerator.num_processes} processes, but only {len(data.train)} batches to train on.")

        torch.manual_seed(hash_seed(settings.seed, accelerator.process_index))
        self._gpt = model.gpt
        if settings.lora_rank:
            adapters.add_adapters(self._gpt, settings.lora_rank)
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,  # one pass over memory in place of several: with small batches the update is a large part
        )
        self._batches = len(data.train) // accelerator.num_processes
        updates = math.ceil(self._batches / settings.gradient_accumulation_steps) * settings.num_epochs
        # not prepared by accelerate: it would step once a process, and the position of a run is counted in updates
        self._scheduler = get_cosine_schedule_with_warmup(optimizer, settings.warmup_steps, updates)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)

    @property
    def complete_epochs(self) -> int:
        """Epochs that are over."""
        return self._position.epoch - 1

    @property
    def history(self) -> list[Losses]:
        """What each epoch came to."""
        return self._history

    def resume(self) -> None:
        """Go on from the newest valid checkpoint, if there is one.

        Raises:
            UserError: the checkpoints are of another base model or of other adapters.
            MachineError: there are checkpoints, but none is valid.
        """
        path = self.folder.newest_or_raise()
        if path is None:
            return
        checkpoint = load(path)
        if checkpoint.model_fingerprint != self._fingerprint:
            raise UserError(
                f"the run in {self.folder.folder.parent} was started from another model.",
                "Give its --model, or another --output.",
            )
        rank = checkpoint.settings.get("lora_rank")
        if rank != self.settings.lora_rank:
            raise UserError(f"the run in {self.folder.folder.parent} has lora_rank {rank}.")
        self._restore(checkpoint)
        if self.accelerator.is_main_process:
            best = min(self._history, key=lambda losses: losses.validation, default=None)
            self.folder.recover(best.epoch if best else None)
            if self._position.batch == 0:
                self.folder.discard_interrupted()
        where = f"after epoch {self.complete_epochs}"
        if self._position.batch:
            where = f"in epoch {self._position.epoch} after batch {self._position.batch} of {self._batches}"
        self.display.say(f"resuming {where}, from {path.name}")
        for name, value in self.settings.as_json().items():
            before = checkpoint.settings.get(name)
            if before != value and name in _SHAPING:
                self.display.say(f"note: {name} was {before} until now and is {value} from here on")

    def run(self, saved: Saved) -> None:
        """Train until the last epoch is over or an interruption is wanted; then everything is saved.

        Raises:
            MachineError: a checkpoint could not be written, or the loss stays infinite.
        """
        while self._position.epoch <= self.settings.num_epochs and self._train_epoch():
            losses = self._finish_epoch()
            self._report(losses)
            self._save_epoch(losses, saved)
        if self._position.update != self._saved_update:
            self._save()
        self._proof.settle()

    def _train_epoch(self) -> bool:
        """Train the rest of the current epoch; False if it was interrupted."""
        epoch, start = self._position.epoch, self._position.batch
        accumulate = self.settings.gradient_accumulation_steps
        self.model.train()
        batches = self.data.train.epoch(epoch, start, self.accelerator.process_index, self.accelerator.num_processes)
        with self.display.steps(f"epoch {epoch}/{self.settings.num_epochs}", self._batches, start) as advance:
            for group in _groups(batches, accumulate):
                if self._must_stop():
                    return False
                loss = self._update(group)
                self._position = Position(epoch, self._position.batch + len(group), self._position.update + 1)
                advance(len(group), loss)
                self._proof.settle(wait=False)
                self._between_steps()
        return True

    def _update(self, group: list[Batch]) -> float:
        """One update of the weights from a group of batches; returns the group's mean loss."""
        sums = torch.zeros(3, device=self.accelerator.device)
        for number, batch in enumerate(group, start=1):
            # gradients of several GPUs are exchanged once, with the last batch of the group
            together = nullcontext() if number == len(group) else self.accelerator.no_sync(self.model)
            with together:
                with self.accelerator.autocast():
                    text, audio, total = self.model(batch.to(self.accelerator.device))
                self.accelerator.backward(total / len(group))
            sums += torch.stack([text, audio, total]).detach().float()
        gradient_norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        *losses, norm = torch.cat([sums, gradient_norm.float().reshape(1)]).tolist()  # the one wait for the device
        mean: float = losses[2] / len(group)
        if self._is_sane(mean, norm):
            self._running = [a + b for a, b in zip(self._running, [*losses, float(len(group))], strict=True)]
            self.optimizer.step()
        self.optimizer.zero_grad()
        self._scheduler.step()
        step = self._position.update + 1
        rate = self._scheduler.get_last_lr()[0]
        self.display.scalars({"train/loss": mean, "train/gradient_norm": norm, "train/learning_rate": rate}, step)
        return mean

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
        validation = self._validate()
        losses = Losses(self._position.epoch, text / count, audio / count, total / count, *validation)
        self._history.append(losses)
        self._running = [0.0, 0.0, 0.0, 0.0]
        self._position = Position(self._position.epoch + 1, 0, self._position.update)
        return losses

    @torch.no_grad()
    def _validate(self) -> tuple[float, float, float]:
        """Mean losses over the validation set, without masking, as coqui's recipe does."""
        self.model.eval()
        sums = [0.0, 0.0, 0.0, 0.0]
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        for batch in self.data.validation.epoch(0, 0, rank, processes):
            with self.accelerator.autocast():
                losses = self.model(batch.to(self.accelerator.device))
            values = [float(loss) * batch.size for loss in losses]
            sums = [a + b for a, b in zip(sums, [*values, float(batch.size)], strict=True)]
        text, audio, total, count = self._sum_over_processes(sums)
        return text / count, audio / count, total / count

    def _report(self, losses: Losses) -> None:
        self.display.say(
            f"epoch {losses.epoch}/{self.settings.num_epochs}: loss {losses.train:.4f} (text {losses.train_text:.4f}, "
            f"audio {losses.train_audio:.4f}), validation {losses.validation:.4f}"
        )
        self.display.scalars(
            {
                "epoch/train_text": losses.train_text,
                "epoch/train_audio": losses.train_audio,
                "epoch/validation_text": losses.validation_text,
                "epoch/validation_audio": losses.validation_audio,
                "epoch/validation": losses.validation,
            },
            losses.epoch,
        )

    def _save_epoch(self, losses: Losses, saved: Saved) -> None:
        """Save where the settings or a new best ask for it; the checkpoint exists before anybody is told."""
        best = losses.validation < self._best
        self._best = min(self._best, losses.validation)
        due = losses.epoch % self.settings.save_every_n_epochs == 0 or losses.epoch == self.settings.num_epochs
        if best or due:
            self._save(lambda: saved(losses.epoch, best), best)

    def _save(self, then: Callable[[], None] = lambda: None, best: bool = False) -> None:
        """Write a checkpoint; one between epochs is proven while training goes on, and `then` is called after that."""
        if self.accelerator.is_main_process:
            self._proof.settle()
            between_epochs = self._position.batch == 0
            path = self.folder.save(self._checkpoint(), prove=not between_epochs)

            def proven() -> None:
                if best:
                    self.folder.mark_best(path)
                self.folder.discard_interrupted()
                then()

            if between_epochs:
                self._proof.begin(path, proven)
        self._saved_update = self._position.update
        self.accelerator.wait_for_everyone()

    def _checkpoint(self) -> Checkpoint:
        plain = adapters.merged_state(self._gpt)
        scaler = self.accelerator.scaler
        return Checkpoint(
            gpt=plain,
            adapters=adapters.adapter_state(self._gpt),
            optimizer=self.optimizer.state_dict(),
            scheduler=self._scheduler.state_dict(),
            scaler={} if scaler is None else scaler.state_dict(),
            rng=_random_states(),
            position=self._position,
            running=self._running,
            history=self._history,
            best_validation=self._best,
            settings=self.settings.as_json(),
            model_fingerprint=self._fingerprint,
            weights_sha256=weights_digest(plain),
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        if checkpoint.adapters:
            self._gpt.load_state_dict(checkpoint.adapters, strict=False)
        else:
            self._gpt.load_state_dict(checkpoint.gpt)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        # What the settings say now holds from here on, also where it differs from what they said then.
        base_rates = self._scheduler.base_lrs
        self._scheduler.load_state_dict(checkpoint.scheduler | {"base_lrs": base_rates})
        rates = zip(self.optimizer.param_groups, base_rates, self._scheduler.lr_lambdas, strict=True)
        for group, rate, schedule in rates:
            group["lr"] = rate * schedule(self._scheduler.last_epoch)
            group["weight_decay"] = self.settings.weight_decay
        if checkpoint.scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(checkpoint.scaler)
        self._position, self._history = checkpoint.position, checkpoint.history
        self._best, self._running = checkpoint.best_validation, checkpoint.running
        self._saved_update = self._position.update
        if self.accelerator.is_main_process:
            _set_random_states(checkpoint.rng)
        else:  # the other processes' states are not kept; they go on from a seed of their own
            rank, update = self.accelerator.process_index, self._position.update
            torch.manual_seed(hash_seed(self.settings.seed, rank, update))

    def _must_stop(self) -> bool:
        """Whether any process was asked to stop: all have to leave at the same step."""
        if self.accelerator.num_processes == 1:
            return self._interruption.wanted
        wish = torch.tensor(float(self._interruption.wanted), device=self.accelerator.device)
        return bool(self.accelerator.reduce(wish, "sum") > 0)

    def _sum_over_processes(self, values: list[float]) -> list[float]:
        if self.accelerator.num_processes == 1:
            return values
        total = self.accelerator.reduce(torch.tensor(values, device=self.accelerator.device), "sum")
        return [float(value) for value in total]


_SHAPING = frozenset(
    (
        "data",
        "max_train_samples",
        "num_epochs",
        "batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "warmup_steps",
        "weight_decay",
        "max_grad_norm",
        "mixed_precision",
        "seed",
    )
)
"""Settings whose change makes a resumed run another run than the uninterrupted one."""


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _random_states() -> dict[str, Any]:
    """States of all generators that training draws from (dropout; coqui's GPT uses Python's in XTTS v1)."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return {"torch": torch.get_rng_state(), "cuda": cuda, "python": random.getstate()}


def _set_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    if states["cuda"] and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
