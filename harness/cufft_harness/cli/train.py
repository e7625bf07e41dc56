"""`cufft-harness train`: its flags are the fields of `Settings`, one for one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

from cufft_harness.cli import extra, refuse_windows, say_loading
from cufft_harness.kinds import PathName
from cufft_harness.training.launch import start_all_processes
from cufft_harness.training.setting import Setting
from cufft_harness.training.settings import SETTINGS, read_settings


class _Flag(click.Option):
    """The flag of a setting; None or () where it was not given, so that file and environment may speak."""

    def __init__(self, setting: Setting) -> None:
        self.section = setting.section
        flag = f"--{setting.name.replace('_', '-')}"
        if setting.default is True:
            flag = f"{flag}/--no-{flag[2:]}"
        is_flag = setting.annotation is bool
        default = "" if setting.default in (None, False, "") else f" [default: {setting.default}]"
        super().__init__(
            [flag],
            type=setting.kind,
            default=None,
            is_flag=is_flag,
            flag_value=True if is_flag else None,
            multiple=setting.many,
            help=f"{setting.help}{default}",
        )


class _Command(click.Command):
    """A command whose help has a heading for each section of settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections in the order of the settings, then what belongs to none."""
        for section, flags in itertools.groupby(
            self.get_params(ctx), key=lambda one: getattr(one, "section", "Options")
        ):
            with formatter.section(section):
                formatter.write_dl([record for flag in flags if (record := flag.get_help_record(ctx))])


@click.option("--config", type=PathName(), help="TOML file with settings; flags and environment win.")
def _train(config: Path | None, **flags: Any) -> int:
    """Fine-tune XTTS with its own loss, and hear every epoch.

    After each saved epoch a worker process speaks a sentence with the new weights: on the GPU, on the GPU without
    cuFFT, or on the CPU, whichever its probes find working. Training goes on meanwhile. Run the same command again and
    it goes on where it stopped.

    Every flag can also stand in a TOML file (--config) or in the environment as CUFFT_HARNESS_NAME; NUM_EPOCHS,
    MAX_TRAIN_SAMPLES, MAX_VAL_SAMPLES and SAVE_EVERY_N_EPOCHS work bare.
    """
    refuse_windows("train")
    settings = read_settings(flags, config)
    with extra("train"):
        from cufft_harness.training.inputs import check_inputs

        check_inputs(settings)
        start_all_processes()
        say_loading()
        from cufft_harness.training.run import train
    return train(settings)


command = click.command("train", cls=_Command, params=[*map(_Flag, SETTINGS.values())])(_train)
