"""`cufft-harness sample`: hear checkpoints after training, or turn one into a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from cufft_harness.cli import extra
from cufft_harness.errors import UserError
from cufft_harness.files import expanded

if TYPE_CHECKING:
    from cufft_harness.sampling.offline import Found
    from cufft_harness.xtts.directory import ModelDirectory


def command(
    checkpoint: Annotated[Path, typer.Option(help="A checkpoint, or the output directory of a run: then all of its.")],
    text: Annotated[Optional[str], typer.Option(help="What to say. Default: what the run said.")] = None,
    language: Annotated[Optional[str], typer.Option(help="Language of the text, such as pt or en.")] = None,
    reference: Annotated[Optional[Path], typer.Option(help="Clip whose voice to use. Default: the run's.")] = None,
    output: Annotated[
        Optional[Path], typer.Option(help="Folder of the samples. Default: samples-later in the run.")
    ] = None,
    model: Annotated[Optional[str], typer.Option(help="Base model. Default: the one the run was started with.")] = None,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Best device to use.")] = "auto",
    seed: Annotated[Optional[int], typer.Option(min=0, help="Seed of the decoding. Default: the run's.")] = None,
    max_seconds: Annotated[Optional[float], typer.Option(min=0.1, help="Cut samples at this length.")] = None,
    time_limit: Annotated[float, typer.Option(min=1, help="Seconds a sample may take on one tier.")] = 300.0,
    fast: Annotated[
        Optional[bool],
        typer.Option(help="On the CPU, use 8-bit weights and bfloat16 where that is faster. Default: as the run."),
    ] = None,
    export: Annotated[
        Optional[Path],
        typer.Option(help="Write the (one) checkpoint as a model directory for stock TTS here, instead of sampling."),
    ] = None,
) -> int:
    """Make samples from the checkpoints of a run, after the fact.

    The samples come from the same worker process, tiers and checks as during training, and get a manifest of their own.
    """
    with extra("train"):
        from cufft_harness.sampling import offline
        from cufft_harness.sampling.supervisor import Spec
        from cufft_harness.xtts.registry import resolve

    found = offline.find(checkpoint)
    base = resolve(model or found.setting("model", str), found.output)
    if export is not None:
        return _export(found, base, export)
    spec = Spec(
        text=text or found.setting("sample_text", str),
        language=language or found.setting("sample_language", str),
        seed=found.setting("sample_seed", int) if seed is None else seed,
        max_seconds=max_seconds or found.setting("sample_max_seconds", int, float),
        time_limit=time_limit,
        fast=found.setting("sample_fast", bool) if fast is None else fast,
    )
    folder = expanded(output) if output else found.output / "samples-later"
    offline.speak(
        found, base.path, _voice(reference, found), folder, spec, device, lambda record: typer.echo(str(record))
    )
    typer.echo(f"listen in {folder}")
    return 0


def _voice(reference: Path | None, found: Found) -> Path:
    """The clip asked for, or the one the run's own samples were spoken after."""
    if reference is None:
        named = found.setting("sample_reference", str, type(None))
        kept = sorted((found.output / "samples").glob("epoch_*_reference.wav"))
        reference = Path(named) if named else next(iter(kept), None)
    if reference is None:
        raise UserError("the run kept no reference clip.", "Give --reference a clip of the voice to use.")
    if not expanded(reference).is_file():
        raise UserError(f"no reference clip at {reference}.")
    return expanded(reference)


def _export(found: Found, base: ModelDirectory, target: Path) -> int:
    from cufft_harness.checkpoints import load_for_sampling
    from cufft_harness.xtts.export import export

    if len(found.checkpoints) != 1:
        raise UserError(f"{len(found.checkpoints)} checkpoints were found.", "Name the one to export.")
    export(base, load_for_sampling(found.checkpoints[0]).gpt, expanded(target))
    typer.echo(f"{target} is a model directory; TTS loads it with Xtts.load_checkpoint(config, checkpoint_dir=...)")
    return 0
