"""`cufft-harness sample`: hear checkpoints after training, or turn one into a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cufft_harness.cli import extra, refuse_windows, say_loading
from cufft_harness.cli.screen import Screen
from cufft_harness.errors import UserError
from cufft_harness.files import expanded
from cufft_harness.languages import SENTENCES
from cufft_harness.training.kinds import Language

if TYPE_CHECKING:
    from cufft_harness.sampling.offline import Found
    from cufft_harness.xtts.directory import ModelDirectory


@click.command("sample")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    required=True,
    help="A checkpoint, or the output directory of a run: then all of its.",
)
@click.option("--text", help="What to say. Default: what the run said, or a sentence of --language.")
@click.option("--language", type=Language(), help="Language of the text, such as pt or en.")
@click.option("--reference", type=click.Path(path_type=Path), help="Clip whose voice to use. Default: the run's.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder of the samples. Default: samples-later in the run."
)
@click.option("--model", help="Base model. Default: the one the run was started with.")
@click.option(
    "--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", help="Best device to use. [default: auto]"
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the decoding. Default: the run's.")
@click.option("--max-seconds", type=click.FloatRange(min=0.1), help="Cut samples at this length.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=300.0,
    help="Seconds a sample may take on one tier. [default: 300]",
)
@click.option(
    "--fast/--no-fast",
    default=None,
    help="On the CPU, use 8-bit weights and bfloat16 where that is faster. Default: as the run.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help="Write the checkpoint, of a run the best one, as a model directory for stock TTS here, instead of sampling.",
)
def command(
    checkpoint: Path,
    text: str | None,
    language: str | None,
    reference: Path | None,
    output: Path | None,
    model: str | None,
    device: str,
    seed: int | None,
    max_seconds: float | None,
    time_limit: float,
    fast: bool | None,
    export: Path | None,
) -> int:
    """Make samples from the checkpoints of a run, after the fact.

    The samples come from the same worker process, tiers and checks as during training, and get a manifest of their own.
    """
    refuse_windows("sample")
    if export is not None:
        _only_export(export)
    with extra("train"):
        _check(checkpoint, language, reference, model, export or output)
        say_loading()
        from cufft_harness.sampling import offline
        from cufft_harness.sampling.orders import Spec, utterances
        from cufft_harness.xtts.registry import resolve

    found = offline.find(checkpoint, best=export is not None)
    base = resolve(model or found.setting("model", str), found.output)
    if export is not None:
        return _export(found, base, export)
    if text is None and language not in (None, found.setting("sample_language", str)):
        text = SENTENCES[language]
    spec = Spec(
        seed=found.setting("sample_seed", int) if seed is None else seed,
        max_seconds=max_seconds or found.setting("sample_max_seconds", int, float),
        time_limit=time_limit,
        fast=found.setting("sample_fast", bool) if fast is None else fast,
    )
    folder = expanded(output) if output else found.output / "samples-later"
    texts = (text or found.setting("sample_text", str),)
    said = utterances(texts, (language or found.setting("sample_language", str),), (_voice(reference, found),))
    with Screen() as screen:
        offline.speak(found, base.path, said, folder, spec, device, screen.tell)
    click.echo(f"listen in {folder}")
    return 0


_ALSO_WITH_EXPORT = {"checkpoint", "model", "export"}


def _only_export(target: Path) -> None:
    """Refuse flags that would do nothing, and a directory that holds something."""
    context = click.get_current_context()
    given = {
        flag.name: flag.opts[0]
        for flag in context.command.params
        if context.get_parameter_source(str(flag.name)) is ParameterSource.COMMANDLINE
    }
    idle = [flag for name, flag in given.items() if name not in _ALSO_WITH_EXPORT]
    if idle:
        raise UserError(f"--export makes no sample, so {', '.join(idle)} would do nothing.", "Leave it out.")
    folder = expanded(target)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{target} is not empty.", "Give a new directory; nothing was written.")


def _check(
    checkpoint: Path, language: str | None, reference: Path | None, model: str | None, target: Path | None
) -> None:
    """Refuse what cannot be, before PyTorch is imported."""
    from cufft_harness.model_files import check_model
    from cufft_harness.training.inputs import check_language, check_output, check_reference

    if not expanded(checkpoint).exists():
        raise UserError(f"there is no checkpoint and no run at {checkpoint}.")
    if language is not None:
        check_language(language)
    if reference is not None:
        check_reference(reference)
    if model is not None:
        check_model(model)
    if target is not None:
        check_output(target)


def _voice(reference: Path | None, found: Found) -> Path:
    """The clip asked for, or the one the run's own samples were spoken after."""
    if reference is None:
        named = found.setting("sample_reference", str, type(None))
        kept = sorted((found.output / "samples").glob("epoch_*_reference.wav"))
        reference = Path(named) if named else next(iter(kept), None)
    if reference is None:
        raise UserError("the run kept no reference clip.", "Give --reference a clip of the voice to use.")
    if not expanded(reference).is_file():
        raise UserError(
            f"the run's reference clip {reference} is gone.", "Give --reference a clip of the voice to use."
        )
    return expanded(reference)


def _export(found: Found, base: ModelDirectory, target: Path) -> int:
    from cufft_harness.checkpoints import load_for_sampling
    from cufft_harness.xtts.export import export

    [checkpoint] = found.checkpoints
    export(base, load_for_sampling(checkpoint).gpt, expanded(target))
    click.echo(f"exported {checkpoint}")
    click.echo(f"{target} is a model directory; TTS loads it with Xtts.load_checkpoint(config, checkpoint_dir=...)")
    return 0
