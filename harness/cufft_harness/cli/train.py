"""`cufft-harness train`: its flags are the fields of `Settings`, one for one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from cufft_harness.cli import extra
from cufft_harness.training.settings import Settings, read_settings


def command(config: Path | None = None, **flags: Any) -> int:
    """Fine-tune XTTS with its own loss, and hear every epoch.

    After each saved epoch a worker process speaks a sentence with the new weights: on the GPU, on the GPU without
    cuFFT, or on the CPU, whichever its probes find working. Training goes on meanwhile. Run the same command again and
    it goes on where it stopped.

    Every flag can also stand in a TOML file (--config) or in the environment as CUFFT_HARNESS_NAME; NUM_EPOCHS,
    MAX_TRAIN_SAMPLES, MAX_VAL_SAMPLES and SAVE_EVERY_N_EPOCHS work bare.
    """
    settings = read_settings(flags, config)
    with extra("train"):
        from cufft_harness.training.run import train
    return train(settings)


def _flags_from_settings() -> inspect.Signature:
    """The command's signature: `--config`, then a flag for each setting, with its description as help."""
    parameters = [
        inspect.Parameter(
            "config",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Path | None, typer.Option(help="TOML file with settings; flags and environment win.")],
        )
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f" [default: {field.default}]"
        flag = f"--{name.replace('_', '-')}"
        names = [flag] if field.default is False else []  # no --no-... for what is off anyway
        option = typer.Option(*names, help=f"{field.description}{default}", show_default=False)
        annotation: Any = Annotated[Optional[field.annotation], option]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return inspect.Signature(parameters)


command.__signature__ = _flags_from_settings()  # type: ignore[attr-defined]
command.__annotations__ = {p.name: p.annotation for p in command.__signature__.parameters.values()}  # type: ignore[attr-defined]
