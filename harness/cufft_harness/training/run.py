"""A whole run, from settings to samples: model -> data set -> features -> training -> checkpoints -> samples."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import torch
from accelerate import Accelerator

from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.errors import UserError
from cufft_harness.training.display import Display
from cufft_harness.training.lock import output_lock
from cufft_harness.training.loop import Trainer
from cufft_harness.training.prepare import Prepared, prepare
from cufft_harness.training.samples import RunSamples
from cufft_harness.training.settings import Settings
from cufft_harness.training.stop import StopRequest


def train(settings: Settings) -> int:
    """Run a fine-tuning from start, or from where it was left, to its end.

    Returns:
        The exit code: 0, or 128 plus the signal that ended it.

    Raises:
        UserError: settings, model or data are wrong; nothing was trained.
        MachineError: the machine failed; what was saved is named.
    """
    accelerator = _accelerator(settings)
    output = settings.output.expanduser()
    _make_writable(output)
    with ExitStack() as stack:
        if accelerator.is_main_process:
            stack.enter_context(output_lock(output))
        display = stack.enter_context(Display(output, accelerator.is_main_process))
        interruption = stack.enter_context(StopRequest())
        with accelerator.main_process_first():
            prepared = prepare(settings, output, accelerator.device, display)
        return _train(prepared, accelerator, output, display, interruption)


def _accelerator(settings: Settings) -> Accelerator:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda, but PyTorch finds no usable GPU.", "`cufft-harness doctor` says why.")
    if settings.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise UserError("mixed_precision fp16 needs a GPU; on the CPU use bf16 or no.")
    return Accelerator(cpu=settings.device == "cpu", mixed_precision=settings.mixed_precision)


def _make_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the output directory {output}: {error.strerror}.") from error
    if not os.access(output, os.W_OK):
        raise UserError(f"the output directory {output} is not writable.", "Give another --output.")


def _train(
    prepared: Prepared, accelerator: Accelerator, output: Path, display: Display, interruption: StopRequest
) -> int:
    settings = prepared.settings
    folder = CheckpointFolder(output / "checkpoints")
    sampling: RunSamples | None = None
    if settings.samples and accelerator.is_main_process:
        sampling = RunSamples(prepared, output, accelerator.device, display, interruption)
    try:
        trainer = Trainer(
            settings,
            accelerator,
            prepared.training_model,
            prepared.data,
            folder,
            prepared.model.fingerprint(),
            display,
            interruption,
            between_steps=sampling.report_progress if sampling else lambda: None,
        )
        if settings.resume:
            trainer.resume()
            if sampling:
                sampling.catch_up(trainer, folder)
        elif folder.newest_or_raise() is not None:
            raise UserError(
                f"{output} holds a run already.", "Leave out --no-resume to go on, or give another --output."
            )
        if trainer.complete_epochs >= settings.num_epochs:
            display.say(f"all {settings.num_epochs} epochs are trained already; raise --num-epochs to go on")

        def saved(epoch: int, best: bool) -> None:
            if sampling:
                sampling.order(epoch, best, trainer, folder)
            folder.prune(settings.keep_checkpoints, sampling.pending_epochs() if sampling else ())

        trainer.run(saved)
        if sampling and not interruption.wanted:
            sampling.wait_for_all()
            folder.prune(settings.keep_checkpoints)
        if interruption.wanted:
            display.say(f"stopped; everything is saved in {folder.folder}. The same command goes on from there.")
            return interruption.exit_code
        _summarize(trainer, sampling, output, folder, settings, display)
        return 0
    finally:
        if sampling:
            sampling.close()


def _summarize(
    trainer: Trainer,
    sampling: RunSamples | None,
    output: Path,
    folder: CheckpointFolder,
    settings: Settings,
    display: Display,
) -> None:
    """Say in plain words what came out and where it is."""
    history = trainer.history
    if history:
        best = min(history, key=lambda losses: losses.validation)
        display.say(
            f"trained {history[-1].epoch} epochs: validation {history[0].validation:.4f} -> "
            f"{history[-1].validation:.4f}, best {best.validation:.4f} in epoch {best.epoch}"
        )
    display.say(f"checkpoints: {folder.folder}")
    if sampling is None:
        return
    made = [record for record in sampling.records if record.outcome == "made"]
    tiers = sorted({f"{record.tier}" for record in made})
    lost = len(sampling.records) - len(made)
    not_made = f", {lost} not made (reasons in {sampling.folder.manifest})" if lost else ""
    display.say(f"samples: {len(made)} made on tier {', '.join(tiers) or 'none'}{not_made}")
    display.say(f"listen in {sampling.folder.folder}")
