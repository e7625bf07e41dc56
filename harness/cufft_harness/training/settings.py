"""Everything a run can be told, in one class: defaults < TOML file < environment < command line.

Environment variables are the names in capitals behind ``CUFFT_HARNESS_``; the four of the original tool also work bare
(``NUM_EPOCHS=2 MAX_TRAIN_SAMPLES=20 cufft-harness train``). A contradiction, an unknown key in the file or an unknown
``CUFFT_HARNESS_`` variable is an error before any work begins. No torch here: `train --help` shows these fields.
"""

# ruff: noqa: RUF009 - the calls in the class make its fields
from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cufft_harness.errors import UserError, did_you_mean
from cufft_harness.files import expanded
from cufft_harness.kinds import Failures, Language
from cufft_harness.languages import DEFAULT, SENTENCES, written_language
from cufft_harness.model_files import TINY
from cufft_harness.sampling.orders import mismatch
from cufft_harness.training.setting import PREFIX, Setting, declared, setting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOT_SETTINGS = {f"{PREFIX}DEBUG", f"{PREFIX}RUN"}
RECIPES: dict[str, dict[str, Any]] = {
    # coqui's recipes/ljspeech/xtts_v2/train_gpt_xtts.py, with the defaults of GPTTrainer and of the trainer it runs in
    "coqui": {
        "max_clip_seconds": 255_995 / 22_050,
        "max_text_tokens": 200,
        "validation_fraction": 0.01,
        "batch_size": 3,
        "gradient_accumulation_steps": 84,
        "draw": "balanced",
        "features": "per-batch",
        "masking": "coqui",
        "lr_schedule": "multistep",
        "adam_beta2": 0.96,
        "max_grad_norm": 0.0,
    },
}
"""Defaults of a recipe, where they differ from those of `Settings`."""
LORA_LEARNING_RATE = 2e-4
"""That of GPT-2 in the paper on LoRA (Hu et al. 2021, table 11); adapters begin at zero, 5e-6 hardly moves them."""
SHAPING = frozenset(
    ("data", "max_train_samples", "recipe", "num_epochs", "batch_size", "gradient_accumulation_steps", "draw",
     "features", "masking", "optimizer", "learning_rate", "lr_schedule", "warmup_steps", "lr_decay_epochs", "lr_floor",
     "lr_milestones", "lr_gamma", "adam_beta1", "adam_beta2", "adam_eps", "weight_decay", "max_grad_norm",
     "mixed_precision", "seed")
)  # fmt: skip
"""Settings whose change makes a resumed run another run than the uninterrupted one."""

# The sections of `train --help`. A new setting is one line in `Settings`: its type, section, default and help.
_what = partial(setting, "What is trained, on what, where to")
_how = partial(setting, "How it is trained")
_checkpoints = partial(setting, "Checkpoints")
_samples = partial(setting, "Samples")


@dataclasses.dataclass(frozen=True)
class Settings:
    """One training run.

    Raises:
        UserError: a value is not of its kind, is out of range, or contradicts another; one line that names it.
    """

    model: str = _what(
        None,
        "`tiny` (random weights, for trying things out), an XTTS-v2 directory, or "
        "tts_models/multilingual/multi-dataset/xtts_v2. Needed with --data; else the default is tiny.",
    )
    accept_licence: bool = _what(False, "I have read and accept the licence of the model to be downloaded.")
    data: Path | None = _what(
        None,
        "Data set: a folder with metadata.csv, or with a text beside each clip; `cufft-harness data` shows what is "
        "read. Default: the built-in sentences.",
    )
    format: Literal["ljspeech", "coqui", "f5", "audiofolder", "csv", "texts"] | None = _what(
        None, "Whose format the data set has. Default: told by its files."
    )
    columns: str | None = _what(
        None, "What the columns of its metadata hold, such as audio,text,speaker (- for one to leave out)."
    )
    output: Path = _what(
        None,
        "Where checkpoints, samples and logs go. Default: output-NAME with the data set's name; output without --data.",
    )
    continue_with: bool = _what(
        False, "Go on in an output directory that was trained on another data set or from another model."
    )
    language: str = _what(
        None,
        "Language of the samples, and of rows that name none. Default: what the data set's lang.txt says; else pt.",
        kind=Language(),
    )
    max_train_samples: int | None = _what(None, "Train on no more clips than this.", bare=True, at_least=1)
    max_val_samples: int | None = _what(None, "Validate on no more clips than this.", bare=True, at_least=1)
    max_clip_seconds: float = _what(11.6, "Longer clips are left out.", above=0.5)
    max_text_tokens: int | None = _what(
        None, "Rows with longer texts are left out. Default: what the model takes.", at_least=1
    )
    validation_fraction: float = _what(0.1, "Share of a plain metadata.csv that validates.", above=0, below=1)

    recipe: Literal["own", "coqui"] = _how(
        "own", "Where the defaults come from that are not given; coqui: its GPTTrainer's, see docs/training.md."
    )
    num_epochs: int = _how(3, "Times through the data.", bare=True, at_least=1)
    batch_size: int = _how(4, "Clips per step and GPU.", at_least=1)
    gradient_accumulation_steps: int = _how(1, "Batches per update of the weights.", at_least=1)
    draw: Literal["each-once", "balanced"] = _how(
        "each-once", "Clips of an epoch: every one once, or, with replacement, each language as often."
    )
    features: Literal["cached", "per-batch"] = _how(
        "cached", "Mels and codes computed once a clip, or anew in each step of the padded batch, as coqui does."
    )
    masking: Literal["none", "slice", "coqui"] = _how(
        "slice", "Codes that are not scored: none, those of the slice that conditions, or the ones coqui masks."
    )
    optimizer: Literal["adamw", "adamw8bit"] = _how(
        "adamw", "adamw8bit keeps its state in 8 bits; it needs bitsandbytes."
    )
    learning_rate: float = _how(5e-6, "Highest learning rate; with LoRA the default is 2e-4.", above=0)
    lr_schedule: Literal["constant", "cosine", "multistep"] = _how(
        "constant", "How the learning rate goes on after the warm-up."
    )
    warmup_steps: int = _how(0, "Updates in which the learning rate rises to its highest.", at_least=0)
    lr_decay_epochs: int | None = _how(
        None, "Epochs that the cosine takes. Default: num_epochs as the run begins.", at_least=1
    )
    lr_floor: float = _how(0.1, "Share of the learning rate that the cosine ends at.", at_least=0, below=1)
    lr_milestones: str = _how(
        "900000,2700000,5400000", "Epochs after which multistep multiplies the learning rate with lr_gamma."
    )
    lr_gamma: float = _how(0.5, "What multistep multiplies the learning rate with.", above=0)
    adam_beta1: float = _how(0.9, "Decay of AdamW's mean of the gradient.", at_least=0, below=1)
    adam_beta2: float = _how(0.999, "Decay of AdamW's mean of its square.", at_least=0, below=1)
    adam_eps: float = _how(1e-8, "AdamW's epsilon.", above=0)
    weight_decay: float = _how(1e-2, "AdamW's weight decay.", at_least=0)
    weight_decay_on: Literal["weights", "all"] = _how(
        "weights", "What decays: weights alone, or biases, norms and embeddings too."
    )
    max_grad_norm: float = _how(1.0, "Gradients are clipped to this norm; 0: not at all.", at_least=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = _how("no", "Arithmetic of the training step.")
    gradient_checkpointing: bool = _how(
        False, "Compute activations twice and keep few of them: less memory, slower steps."
    )
    lora_rank: int = _how(0, "Train low-rank adapters of this rank instead of all weights; 0: off.", at_least=0)
    device: Literal["auto", "cuda", "cpu"] = _how("auto", "Where to train.")
    fft: Literal["auto", "native", "bypass", "cpu"] = _how(
        "auto", "Transforms of the training mels: the library's, matrix products, or on the CPU."
    )
    validate_first: bool = _how(True, "Score the base model before the first update, to compare with.")
    seed: int = _how(0, "Seed of data order, slices and dropout.", at_least=0)

    save_every_n_epochs: int = _checkpoints(1, "Epochs between checkpoints.", bare=True, at_least=1)
    save_best: bool = _checkpoints(True, "Save, and sample, each new best epoch besides.")
    keep_checkpoints: int = _checkpoints(3, "Newest checkpoints to keep besides the best; 0 keeps all.", at_least=0)
    checkpoint_content: Literal["full", "weights"] = _checkpoints(
        "full", "weights: a third of the size; a run goes on from such a one with a new optimizer, not bit for bit."
    )
    resume: bool = _checkpoints(True, "Go on from the newest valid checkpoint in the output directory.")

    samples: bool = _samples(True, "Synthesize a sample after each saved epoch and each best one.")
    sample_every_n_epochs: int | None = _samples(
        None, "Epochs between samples. Default: a sample of every saved epoch.", at_least=1
    )
    sample_base_model: bool = _samples(
        True, "Begin with a sample of the untrained model, epoch 0, to compare with; of `tiny` there is none."
    )
    sample_text: tuple[str, ...] = _samples(
        None, "What the samples say; given again, each of the texts. Default: a sentence of the sample language."
    )
    sample_language: tuple[str, ...] = _samples(
        None, "Language of all sample texts, or given once for each. Default: that of --language.", kind=Language()
    )
    sample_reference: tuple[Path, ...] | None = _samples(
        None, "Voice of the samples; given again, each text in each voice. Default: the first validation clip."
    )
    cycle_references: bool = _samples(False, "Use another clip of the data set as voice for each sample.")
    sample_seed: int = _samples(1234, "Seed of the sampled decoding, the same for every epoch.", at_least=0)
    sample_max_seconds: float = _samples(12.0, "A sample is cut at this length.", above=0.1)
    sample_time_limit: float = _samples(300.0, "Seconds a sample may take before its tier is given up.", above=0)
    take_turns: Literal["auto", "always", "never"] = _samples(
        "auto", "Move the trainer off the GPU while a sample is made; auto: where both do not fit."
    )
    sample_fast: bool = _samples(
        False,
        "On the CPU, speak with 8-bit weights and bfloat16 where that is faster; the sample then says other codes "
        "than the float weights would have chosen.",
    )
    sample_device: Literal["auto", "cuda", "cpu"] = _samples("auto", "Best device the sampler may use.")
    inject: str = _samples(
        "",
        "Rehearse failures of the sampler: KIND[@EPOCH],... with KIND a cuFFT code such as CUFFT_INVALID_SIZE, or "
        "raise, hang, crash, garbage, broken-wav.",
        kind=Failures(),
    )

    def __new__(cls, **given: Any) -> Settings:
        """Note what is given: the rest comes from the recipe."""
        settings = super().__new__(cls)
        object.__setattr__(settings, "_given", frozenset(given))
        return settings

    def __post_init__(self) -> None:
        """Fill in the recipe and what follows from other settings, read each value as its kind, find contradictions."""
        lora = {"learning_rate": LORA_LEARNING_RATE} if str(self.lora_rank) != "0" else {}
        values = {
            **{name: one.default for name, one in SETTINGS.items()},
            **RECIPES.get(self.recipe, {}),
            **lora,
            **{name: SETTINGS[name].read(getattr(self, name)) for name in vars(self)["_given"]},
        }
        following = _following(values)
        for name, value in values.items():
            object.__setattr__(self, name, following.get(name) if value is None else value)
        if not self.model:
            raise UserError(
                "your own data needs a model.",
                "Give --model DIR (an XTTS-v2 directory), or --model tiny to try things out with random weights.",
            )
        expanded(Path(self.model))
        problem = self._contradiction()
        if problem:
            raise UserError(f"{problem}.")

    def _contradiction(self) -> str:
        if any("\ud800" <= one <= "\udfff" for one in str(self.output)):
            return "setting `output`: its name is not UTF-8, and not all that is written there can be called so"
        if not all(text.strip() for text in self.sample_text):
            return "setting `sample_text`: must not be blank"
        if problem := mismatch(self.sample_text, self.sample_language):
            return f"sample_text and sample_language: {problem}"
        if self.sample_every_n_epochs is not None and self.sample_every_n_epochs % self.save_every_n_epochs:
            return (
                f"sample_every_n_epochs ({self.sample_every_n_epochs}) must be a multiple of save_every_n_epochs "
                f"({self.save_every_n_epochs}): a sample is made from a checkpoint"
            )
        if self.sample_reference is not None and self.cycle_references:
            return "sample_reference names the voices, cycle_references asks for many: give one of them"
        if self.device == "cpu" and self.mixed_precision == "fp16":
            return "mixed_precision fp16 needs a GPU; on the CPU use bf16 or no"
        if self.inject and not self.samples:
            return "inject rehearses failures of the sampler, but samples are switched off"
        if not all(part.strip().isdecimal() for part in self.lr_milestones.split(",")):
            return "setting `lr_milestones`: must be whole numbers with commas between them"
        return ""

    @property
    def milestones(self) -> list[int]:
        """`lr_milestones` as numbers."""
        return [int(part) for part in self.lr_milestones.split(",")]

    def as_json(self) -> dict[str, Any]:
        """All values, as plain JSON data."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}

    def kept(self) -> dict[str, Any]:
        """All values as a checkpoint keeps them: JSON data, paths that hold from any directory."""
        absolute = {
            name: tuple(map(_absolute, value)) if isinstance(value, tuple) else _absolute(value)
            for name, value in vars(self).items()
            if SETTINGS.get(name) and SETTINGS[name].annotation is Path
        }
        named = self.model == TINY or self.model.startswith("tts_models/")
        model = self.model if named else _absolute(Path(self.model))
        return {**self.as_json(), **{name: _plain(value) for name, value in absolute.items()}, "model": _plain(model)}


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else expanded(path).absolute()


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


SETTINGS: Mapping[str, Setting] = {one.name: one for one in declared(Settings)}
"""Every setting by its name, in the order of `Settings`."""


def _following(given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that follow from what is given."""
    data = given["data"]
    language = given["language"] or (written_language(data) if data else None) or DEFAULT
    sample_languages = given["sample_language"] or (language,)
    return {
        "model": TINY if given["data"] is None else None,
        "output": Path(f"output-{_name(data)}" if data else "output"),
        "language": language,
        "sample_language": sample_languages,
        "sample_text": tuple(SENTENCES[one] for one in sample_languages),
    }


def _name(data: Path) -> str:
    """What a data set is called: its folder's name."""
    path = data.expanduser().absolute()
    return (path.parent if path.is_file() else path.resolve()).name or "data"


def read_settings(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Merge defaults, file, environment and flags; flags that are None were not given.

    Raises:
        UserError: an unknown key, a value out of range, or a contradiction; one line that names it.
    """
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    return Settings(**{**_in_file(file), **_in_environment(), **given})


def _in_file(file: Path | None) -> dict[str, Any]:
    """What a settings file says; `-` and `_` are alike in its keys."""
    if file is None:
        return {}
    try:
        table = tomllib.loads(expanded(file).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read the settings file {file}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not valid TOML: {error}") from error
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in SETTINGS:
            hint = did_you_mean(name, SETTINGS) or " See `cufft-harness train --help`."
            raise UserError(f"unknown setting `{key}` in {file}.{hint}")
        if name in found:
            raise UserError(f"{file} gives `{name}` twice, once with - and once with _.")
        found[name] = SETTINGS[name].read(value, f"in {file}")
    return found


def _in_environment() -> dict[str, Any]:
    """What the environment says; an empty variable says nothing."""
    known = {variable for one in SETTINGS.values() for variable in one.variables} | NOT_SETTINGS
    given = {name.upper(): value for name, value in os.environ.items()}
    for name in sorted(given):
        if name.startswith(PREFIX) and name not in known:
            hint = did_you_mean(name, known) or " See `cufft-harness train --help`."
            raise UserError(f"{name} is set in the environment, but there is no such setting.{hint}")
    found = {}
    for one in SETTINGS.values():
        variable = next((variable for variable in one.variables if given.get(variable)), None)
        if variable is not None:
            value = given[variable].splitlines() if one.many else given[variable]
            found[one.name] = one.read(value, f"{variable} in the environment")
    return found
