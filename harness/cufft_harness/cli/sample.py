"""`cufft-harness sample`: hear checkpoints after training, or turn one into a model directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cufft_harness.cli import extra, refuse_windows, say_loading
from cufft_harness.cli.screen import Screen
from cufft_harness.errors import UserError
from cufft_harness.files import expanded, make_folder
from cufft_harness.kinds import Language, PathName
from cufft_harness.languages import SENTENCES

if TYPE_CHECKING:
    from cufft_harness.sampling.offline import Found
    from cufft_harness.sampling.orders import Utterance
    from cufft_harness.xtts.directory import ModelDirectory


@click.command("sample")
@click.option(
    "--checkpoint",
    type=PathName(),
    required=True,
    help="A checkpoint, or the output directory of a run: then all of its. Or a model: an XTTS-v2 directory, or a run "
    "directory or best_model.pth of coqui's trainer.",
)
@click.option(
    "--text",
    multiple=True,
    help="What to say; given again, each of the texts. Default: what the run said, or a sentence of --language.",
)
@click.option(
    "--language",
    type=Language(),
    multiple=True,
    help="Language of all texts, such as pt or en, or given once for each.",
)
@click.option(
    "--reference",
    type=PathName(),
    multiple=True,
    help="Clip whose voice to use; given again, each text in each voice. Default: the run's.",
)
@click.option("--output", type=PathName(), help="Folder of the samples. Default: samples-later in the run.")
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
    type=PathName(),
    help="Write the checkpoint, of a run the best one, as a model directory for stock TTS here, instead of sampling.",
)
@click.option("--half", is_flag=True, help="With --export: write float16, half the size.")
def command(
    checkpoint: Path,
    text: tuple[str, ...],
    language: tuple[str, ...],
    reference: tuple[Path, ...],
    output: Path | None,
    model: str | None,
    device: str,
    seed: int | None,
    max_seconds: float | None,
    time_limit: float,
    fast: bool | None,
    export: Path | None,
    half: bool,
) -> int:
    """Make samples from the checkpoints of a run, after the fact.

    The samples come from the same worker process, tiers and checks as during training, and get a manifest of their own.
    """
    refuse_windows("sample")
    if export is not None:
        _only_export(export)
    with extra("train"):
        _check(checkpoint, text, language, reference, model, export or output, device)
        say_loading()
        from cufft_harness.sampling import offline
        from cufft_harness.sampling.orders import Spec
        from cufft_harness.training.settings import Settings
        from cufft_harness.xtts.registry import resolve

    of_model = Settings(model=str(checkpoint)).kept()
    found = offline.find(checkpoint, best=export is not None, of_model=of_model)
    name = model or found.setting("model", str)
    folder = expanded(output) if output else found.output / "samples-later"
    if export is not None:
        with ExitStack() as stack:
            # what coqui's trainer left is made into a directory first; of a run, that is there already
            nearby = TemporaryDirectory(prefix=f".{export.name}-", dir=_made(expanded(export).parent))
            work = Path(stack.enter_context(nearby)) if found.checkpoints == [None] else found.output
            return _export(found, resolve(name, work), export, reference, language, half)
    base = resolve(name, folder if found.checkpoints == [None] else found.output)
    spec = Spec(
        seed=found.setting("sample_seed", int) if seed is None else seed,
        max_seconds=max_seconds or found.setting("sample_max_seconds", int, float),
        time_limit=time_limit,
        fast=found.setting("sample_fast", bool) if fast is None else fast,
    )
    said = _utterances(text, language, reference, found)
    with _locked(folder), Screen() as screen:
        offline.speak(found, base.path, said, folder, spec, device, screen.tell)
    click.echo(f"listen in {folder}")
    return 0


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


_ALSO_WITH_EXPORT = {"checkpoint", "model", "export", "reference", "language", "half"}


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
    checkpoint: Path,
    texts: tuple[str, ...],
    languages: tuple[str, ...],
    references: tuple[Path, ...],
    model: str | None,
    target: Path | None,
    device: str,
) -> None:
    """Refuse what cannot be, before PyTorch is imported."""
    from cufft_harness.model_files import check_model
    from cufft_harness.sampling.orders import mismatch
    from cufft_harness.training.inputs import check_gpu, check_language, check_output, check_reference

    if not expanded(checkpoint).exists():
        raise UserError(f"there is no checkpoint and no run at {checkpoint}.")
    if not all(text.strip() for text in texts):
        raise UserError("--text must not be blank.")
    if texts and languages and (problem := mismatch(texts, languages)):
        raise UserError(f"{problem}.")
    if device == "cuda":
        check_gpu("--device cuda")
    for language in languages:
        check_language(language)
    for reference in references:
        check_reference(reference)
    if model is not None:
        check_model(model)
    if target is not None:
        check_output(target)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others out of the folder for the time of the body, and a run out of its own samples.

    Raises:
        UserError: another `sample` is at work there, or a run is under way whose samples these are.
    """
    from cufft_harness.training.lock import output_lock

    make_folder(folder)
    run = folder.resolve().parent
    with ExitStack() as stack:
        if folder.resolve().name == "samples" and (run / "checkpoints").is_dir():
            stack.enter_context(output_lock(run))
        stack.enter_context(output_lock(folder))
        yield


def _utterances(
    texts: tuple[str, ...], languages: tuple[str, ...], references: tuple[Path, ...], found: Found
) -> tuple[Utterance, ...]:
    """What was asked for; for the rest, what the run said, in its voices."""
    from cufft_harness.sampling.orders import mismatch, utterances

    of_run = found.several("sample_text"), found.several("sample_language")
    if not texts:
        same = not languages or languages == of_run[1]
        texts = of_run[0] if same else tuple(SENTENCES[language] for language in languages)
    elif not languages:
        languages = of_run[1] if not mismatch(texts, of_run[1]) else of_run[1][:1]
    voices = tuple(expanded(clip) for clip in references) or _voices(found)
    return utterances(texts, languages or of_run[1], voices)


def _named_clips(found: Found) -> tuple[Path, ...]:
    """The clips that the run's own samples were spoken after, whether they are still there or not."""
    kept = sorted((found.output / "samples").glob("epoch_*_reference.wav"))[:1]
    named = () if found.settings.get("sample_reference") is None else found.several("sample_reference")
    return tuple(expanded(Path(clip)) for clip in named or kept)


def _voices(found: Found) -> tuple[Path, ...]:
    """The clips that the run's own samples were spoken after."""
    clips = _named_clips(found)
    if not clips:
        what = "a model has no voice of its own" if found.checkpoints == [None] else "the run kept no reference clip"
        raise UserError(f"{what}.", "Give --reference a clip of the voice to use.")
    for clip in clips:
        if not clip.is_file():
            raise UserError(f"the run's reference clip {clip} is gone.", "Give --reference a clip of the voice to use.")
    return clips


def _export(
    found: Found,
    base: ModelDirectory,
    target: Path,
    references: tuple[Path, ...],
    languages: tuple[str, ...],
    half: bool,
) -> int:
    from cufft_harness.checkpoints import load_for_sampling
    from cufft_harness.xtts.export import export

    [checkpoint] = found.checkpoints
    gpt = load_for_sampling(checkpoint).gpt if checkpoint else None
    clips = tuple(expanded(clip) for clip in references) or _named_clips(found)
    clip = next((clip for clip in clips if clip.is_file()), None)
    language = (languages or found.several("sample_language"))[0]
    export(base, gpt, expanded(target), clip, language, half)
    voice = f"with the voice of {clip}" if clip else "without a voice: --reference adds one"
    click.echo(f"exported {checkpoint or base.path} {voice}")
    click.echo(f"{target} is a model directory for coqui-tts; {target / 'README.md'} shows how to use it")
    return 0
