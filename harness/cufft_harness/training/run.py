"""A whole run, from settings to samples: model -> data set -> features -> training -> checkpoints -> samples."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path

import torch
from accelerate import Accelerator

from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.errors import UserError
from cufft_harness.files import make_folder, remove_leftovers
from cufft_harness.model_files import TINY_FOLDER
from cufft_harness.training.display import Display
from cufft_harness.training.events import CheckpointVerified, Ended, Event
from cufft_harness.training.lock import output_lock
from cufft_harness.training.loop import Trainer
from cufft_harness.training.optimization import take_over
from cufft_harness.training.prepare import prepare
from cufft_harness.training.reporter import Reporter
from cufft_harness.training.samples import RunSamples
from cufft_harness.training.settings import Settings
from cufft_harness.training.stop import StopRequest
from cufft_harness.xtts.takeover import OPTIMIZER


def train(settings: Settings) -> int:
    """Run a fine-tuning from start, or from where it was left, to its end.

    Returns:
        The exit code: 0, or 128 plus the signal that ended it.

    Raises:
        UserError: settings, model or data are wrong; nothing was trained.
        MachineError: the machine failed; what was saved is named.
    """
    exit_code = 0
    with closing(run(settings)) as events:
        for event in events:
            if isinstance(event, Ended):
                exit_code = event.exit_code
    return exit_code


def run(settings: Settings) -> Generator[Event, None, None]:
    """As `train`, but yields each event once the run itself has seen to it; `Ended` is the last one."""
    accelerator = _accelerator(settings)
    output = settings.output.expanduser()
    _make_writable(output)
    with ExitStack() as stack:
        # of several processes one writes, and holds the lock
        lock = stack.enter_context(output_lock(output)) if accelerator.is_main_process else None
        if lock:
            for place in (output, output / "cache", output / TINY_FOLDER):
                remove_leftovers(place)
        display = stack.enter_context(Display(output, accelerator.is_main_process))
        stop = stack.enter_context(StopRequest())
        with stop.at_once(), accelerator.main_process_first():
            prepared = prepare(settings, output, accelerator.device, display, accelerator.is_main_process)
        still_held = lock.check if lock else _nothing_held
        folder = CheckpointFolder(output / "checkpoints", still_held=still_held)
        samples: RunSamples | None = None
        if settings.samples and accelerator.is_main_process:
            samples = RunSamples(prepared, output, still_held, accelerator.device, display, stop)
            stack.callback(samples.close)
        model, data = prepared.training_model, prepared.data
        trainer = Trainer(settings, accelerator, model, data, folder, prepared.model.fingerprint(), stop)
        display.say(_room_needed(trainer))
        _resume(trainer, samples, prepared.model.path / OPTIMIZER, display)
        reporter = Reporter(settings, display, accelerator.device)
        for event in trainer.run():
            reporter.tell(event)
            if samples:
                samples.report_progress()
            if isinstance(event, CheckpointVerified):
                if samples:
                    samples.order(event.epoch, event.best, trainer, folder)
                folder.prune(settings.keep_checkpoints, event.epoch, samples.pending_epochs() if samples else ())
            yield event
        if samples and not stop.wanted:
            samples.wait_for_all()
            folder.prune(settings.keep_checkpoints, trainer.complete_epochs)
        if stop.wanted:
            display.say(f"stopped; everything is saved in {folder.folder}. The same command goes on from there.")
        else:
            _summarize(trainer, samples, folder, display)
        exit_code = stop.exit_code if stop.wanted else 0
    yield Ended(exit_code)


def _nothing_held() -> None:
    """Stand in for the lock's check where there is no lock."""


def _accelerator(settings: Settings) -> Accelerator:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda, but PyTorch finds no usable GPU.", "`cufft-harness doctor` says why.")
    if settings.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise UserError("mixed_precision fp16 needs a GPU; on the CPU use bf16 or no.")
    return Accelerator(cpu=settings.device == "cpu", mixed_precision=settings.mixed_precision)


def _make_writable(output: Path) -> None:
    try:
        make_folder(output)
    except OSError as error:
        raise UserError(f"cannot make the output directory {output}: {error.strerror}.") from error
    if not os.access(output, os.W_OK):
        raise UserError(f"the output directory {output} is not writable.", "Give another --output.")


def _room_needed(trainer: Trainer) -> str:
    """What checkpoints will take of the disk, and what is free there."""
    settings = trainer.settings
    # those kept, the best one, one of an unfinished epoch, and the one being written while the others are still there
    files = settings.keep_checkpoints + 3
    if settings.keep_checkpoints == 0:
        files = settings.num_epochs // settings.save_every_n_epochs + 2
    each, free = trainer.checkpoint_bytes, shutil.disk_usage(trainer.folder.folder).free
    line = f"checkpoints: up to {files} of {_size(each)}, {_size(files * each)} in all; {_size(free)} are free"
    if files * each > free:
        line += ". That is too little: --keep-checkpoints 1, --no-save-best or --checkpoint-content weights need less"
    return line


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _resume(trainer: Trainer, samples: RunSamples | None, optimizer: Path, display: Display) -> None:
    settings, folder = trainer.settings, trainer.folder
    if settings.resume:
        notes = trainer.resume()
        if not notes and optimizer.is_file():
            notes = [take_over(trainer.optimizer, optimizer)]
        for note in notes:
            display.say(note)
        if samples:
            samples.catch_up(trainer, folder)
    elif folder.newest_or_raise() is not None:
        raise UserError(
            f"{folder.folder.parent} holds a run already.", "Leave out --no-resume to go on, or give another --output."
        )
    if trainer.complete_epochs >= settings.num_epochs:
        display.say(f"all {settings.num_epochs} epochs are trained already; raise --num-epochs to go on")


def _summarize(trainer: Trainer, samples: RunSamples | None, folder: CheckpointFolder, display: Display) -> None:
    """Say in plain words what came out and where it is."""
    history = trainer.history
    if history:
        best = min(history, key=lambda losses: losses.validation)
        display.say(
            f"trained {history[-1].epoch} epochs: validation {history[0].validation:.4f} -> "
            f"{history[-1].validation:.4f}, best {best.validation:.4f} in epoch {best.epoch}"
        )
    display.say(f"checkpoints: {folder.folder}")
    if samples is None:
        return
    made = [record for record in samples.records if record.outcome == "made"]
    tiers = sorted({f"{record.tier}" for record in made})
    lost = len(samples.records) - len(made)
    not_made = f", {lost} not made (reasons in {samples.folder.manifest})" if lost else ""
    display.say(f"samples: {len(made)} made on tier {', '.join(tiers) or 'none'}{not_made}")
    display.say(f"listen in {samples.folder.folder}")
