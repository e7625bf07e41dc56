"""What a run's events come to for the user: on the screen, in the log, in TensorBoard."""

from __future__ import annotations

import torch

from cufft_harness.training.display import Display
from cufft_harness.training.events import BaseValidated, EpochEnded, EpochStarted, Event, Stepped
from cufft_harness.training.pace import Pace, duration, memory_used
from cufft_harness.training.settings import Settings


class Reporter:
    """Shows each event.

    Args:
        settings: of the run; they go to TensorBoard, too.
        display: where it is shown.
        device: of the training, whose memory is told.
    """

    def __init__(self, settings: Settings, display: Display, device: torch.device) -> None:
        self._settings, self._display, self._device = settings, display, device
        self._pace = Pace(settings.num_epochs)
        rows = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in settings.as_json().items()]
        display.text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))

    def tell(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case EpochStarted():
                self._pace.begin_epoch(event.epoch, event.batches, event.done)
                self._display.start_bar(f"epoch {event.epoch}/{self._settings.num_epochs}", event.batches, event.done)
            case Stepped():
                self._tell_step(event)
            case BaseValidated():
                self._display.say(
                    f"before training: validation {event.total:.4f} (text {event.text:.4f}, audio {event.audio:.4f})"
                )
                self._tell_validation(event.text, event.audio, event.total, 0)
            case EpochEnded(losses=losses):
                self._display.end_bar()
                self._display.say(
                    f"epoch {losses.epoch}/{self._settings.num_epochs}: loss {losses.train:.4f} "
                    f"(text {losses.train_text:.4f}, audio {losses.train_audio:.4f}), "
                    f"validation {losses.validation:.4f}"
                )
                trained = {"epoch/train_text": losses.train_text, "epoch/train_audio": losses.train_audio}
                self._display.scalars(trained, losses.epoch)
                validated = losses.validation_text, losses.validation_audio, losses.validation
                self._tell_validation(*validated, losses.epoch)

    def _tell_step(self, event: Stepped) -> None:
        self._pace.step(event.batches)
        memory = memory_used(self._device)
        values = {
            "loss": event.loss,
            "gradient_norm": event.gradient_norm,
            "learning_rate": event.learning_rate,
            "memory_gb": memory / 1e9,
        }
        facts = [f"epoch {event.epoch}: loss {event.loss:.3f}", f"learning rate {event.learning_rate:.2g}"]
        if seconds := self._pace.seconds_a_step:
            values["seconds_a_step"] = seconds
            facts.append(f"{1 / seconds:.3g} steps a second" if seconds < 1 else f"{seconds:.1f} s a step")
        facts.append(f"{memory / 1e9:.1f} GB {'of the GPU' if self._device.type == 'cuda' else 'of memory'}")
        if left := self._pace.seconds_left:
            facts.append(f"{duration(left)} left of the run")
        self._display.advance_bar(event.batches)
        self._display.training(", ".join(facts))
        self._display.scalars({f"train/{name}": value for name, value in values.items()}, event.update)

    def _tell_validation(self, text: float, audio: float, total: float, epoch: int) -> None:
        values = {"validation_text": text, "validation_audio": audio, "validation": total}
        self._display.scalars({f"epoch/{name}": value for name, value in values.items()}, epoch)
