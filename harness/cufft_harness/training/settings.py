"""Everything a run can be told, in one class: defaults < TOML file < environment < command line.

Environment variables are the names in capitals behind ``CUFFT_HARNESS_``; the four of the original tool also work bare
(``NUM_EPOCHS=2 MAX_TRAIN_SAMPLES=20 cufft-harness train``). A contradiction, an unknown key in the file or an unknown
``CUFFT_HARNESS_`` variable is an error before any work begins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cufft_harness.errors import UserError
from cufft_harness.files import expanded

PREFIX = "CUFFT_HARNESS_"
NOT_SETTINGS = {f"{PREFIX}DEBUG"}
DEFAULT_TEXT = "Olá, este é um teste de síntese de voz usando XTTS treinado."


def _bare(name: str) -> AliasChoices:
    """Let a setting be given by its name, as a bare variable, and behind the prefix."""
    return AliasChoices(name, f"{PREFIX}{name}".lower())


class Settings(BaseSettings):
    """One training run."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True)

    # what is trained, on what, where to
    model: str = Field(
        "tiny",
        description="`tiny` (random weights, for trying things out), an XTTS-v2 directory, or "
        "tts_models/multilingual/multi-dataset/xtts_v2.",
    )
    accept_licence: bool = Field(False, description="I have read and accept the licence of the model to be downloaded.")
    data: Path | None = Field(
        None, description="Data set in LJSpeech layout: metadata_train.csv and metadata_val.csv, or metadata.csv. "
        "Default: the built-in sentences.",
    )  # fmt: skip
    output: Path = Field(Path("output"), description="Where checkpoints, samples and logs go.")
    language: str = Field("pt", description="Language of rows that name none.")
    max_train_samples: int | None = Field(
        None, ge=1, validation_alias=_bare("max_train_samples"), description="Train on no more clips than this."
    )
    max_val_samples: int | None = Field(
        None, ge=1, validation_alias=_bare("max_val_samples"), description="Validate on no more clips than this."
    )
    max_clip_seconds: float = Field(11.6, gt=0.5, description="Longer clips are left out (11.6 is coqui's recipe).")
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="Share of a plain metadata.csv that validates.")

    # how
    num_epochs: int = Field(3, ge=1, validation_alias=_bare("num_epochs"), description="Times through the data.")
    batch_size: int = Field(4, ge=1, description="Clips per step and GPU.")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches per update of the weights.")
    learning_rate: float = Field(5e-6, gt=0, description="Highest learning rate (5e-6 is coqui's recipe).")
    warmup_steps: int = Field(0, ge=0, description="Updates of linear warm-up before the cosine decay.")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    mixed_precision: Literal["no", "fp16", "bf16"] = Field("no", description="Arithmetic of the training step.")
    lora_rank: int = Field(0, ge=0, description="Train low-rank adapters of this rank instead of all weights; 0: off.")
    device: Literal["auto", "cuda", "cpu"] = Field("auto", description="Where to train.")
    fft: Literal["auto", "native", "bypass", "cpu"] = Field(
        "auto", description="Transforms of the training mels: the library's, matrix products, or on the CPU."
    )
    seed: int = Field(0, ge=0, description="Seed of data order, slices and dropout.")

    # checkpoints
    save_every_n_epochs: int = Field(
        1, ge=1, validation_alias=_bare("save_every_n_epochs"), description="Epochs between checkpoints."
    )
    keep_checkpoints: int = Field(3, ge=0, description="Newest checkpoints to keep besides the best; 0 keeps all.")
    resume: bool = Field(True, description="Go on from the newest valid checkpoint in the output directory.")

    # samples
    samples: bool = Field(True, description="Synthesize a sample after each saved epoch and each best one.")
    sample_every_n_epochs: int | None = Field(
        None, ge=1, description="Epochs between samples. Default: a sample of every saved epoch."
    )
    sample_text: str = Field(DEFAULT_TEXT, min_length=1, description="What the samples say.")
    sample_language: str = Field("pt", description="Language of the sample text.")
    sample_reference: Path | None = Field(None, description="Voice of the samples. Default: the first validation clip.")
    cycle_references: bool = Field(False, description="Use another clip of the data set as voice for each sample.")
    sample_seed: int = Field(1234, ge=0, description="Seed of the sampled decoding, the same for every epoch.")
    sample_max_seconds: float = Field(12.0, gt=0.1, description="A sample is cut at this length.")
    sample_time_limit: float = Field(300.0, gt=0, description="Seconds a sample may take before its tier is given up.")
    take_turns: Literal["auto", "always", "never"] = Field(
        "auto", description="Move the trainer off the GPU while a sample is made; auto: where both do not fit."
    )
    sample_fast: bool = Field(
        False,
        description="On the CPU, speak with 8-bit weights and bfloat16 where that is faster; the sample then "
        "says other codes than the float weights would have chosen.",
    )
    sample_device: Literal["auto", "cuda", "cpu"] = Field("auto", description="Best device the sampler may use.")
    inject: str = Field(
        "",
        description="Rehearse failures of the sampler: KIND[@EPOCH],... with KIND a cuFFT code such as "
        "CUFFT_INVALID_SIZE, or raise, hang, crash, garbage, broken-wav.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line before environment before file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("sample_text")
    @classmethod
    def _has_words(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must not be blank")
        return text

    @field_validator("model", "data", "output", "sample_reference")
    @classmethod
    def _can_be_a_path(cls, value: Path | str | None) -> Path | str | None:
        if "\0" in str(value):
            raise ValueError("a path cannot hold a NUL character")
        if value is not None:
            expanded(Path(value))
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> Settings:
        if self.sample_every_n_epochs is not None and self.sample_every_n_epochs % self.save_every_n_epochs:
            raise ValueError(
                f"sample_every_n_epochs ({self.sample_every_n_epochs}) must be a multiple of save_every_n_epochs "
                f"({self.save_every_n_epochs}): a sample is made from a checkpoint"
            )
        if self.sample_reference is not None and self.cycle_references:
            raise ValueError("sample_reference names one voice, cycle_references asks for many: give one of them")
        if self.device == "cpu" and self.mixed_precision == "fp16":
            raise ValueError("mixed_precision fp16 needs a GPU; on the CPU use bf16 or no")
        if self.inject and not self.samples:
            raise ValueError("inject rehearses failures of the sampler, but samples are switched off")
        return self

    def as_json(self) -> dict[str, Any]:
        """All values, as plain JSON data."""
        return self.model_dump(mode="json")


def read_settings(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Merge defaults, file, environment and flags; flags that are None were not given.

    Raises:
        UserError: an unknown key, a value out of range, or a contradiction; one line that names it.
    """
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | NOT_SETTINGS
    strange = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if strange:
        raise UserError(f"{strange[0]} is set in the environment, but there is no such setting.", "See train --help.")
    if file is not None and not file.is_file():
        raise UserError(f"no settings file at {file}.")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return Settings(**FromFile(**{name: value for name, value in flags.items() if value is not None}).model_dump())
    except ValidationError as error:
        raise UserError(_explain(error, file)) from error
    except (ValueError, RecursionError) as error:  # the TOML itself
        raise UserError(f"{file} is not valid TOML: {error}") from error


def _explain(error: ValidationError, file: Path | None) -> str:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting `{name}`{f' in {file}' if file else ''}. See `cufft-harness train --help`."
    message = problem["msg"].removeprefix("Value error, ")
    more = f" ({len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    return f"setting `{name}`: {message}{more}." if name else f"{message}{more}."
