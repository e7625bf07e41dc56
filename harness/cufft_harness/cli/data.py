"""`cufft-harness data`: what would be trained on, before anything is loaded."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from cufft_harness.cli import extra
from cufft_harness.errors import UserError, printable
from cufft_harness.files import expanded
from cufft_harness.kinds import PathName
from cufft_harness.languages import known_language, written_language
from cufft_harness.training.settings import SETTINGS, read_settings

FORMATS = SETTINGS["format"].kind
LANGUAGE = SETTINGS["language"].kind


@click.command("data")
@click.option("--data", type=PathName(), help="Folder of the data set, or its metadata file.")
@click.option("--format", type=FORMATS, help="Whose format it has. Default: told by its files.")
@click.option("--columns", help="What the columns hold, such as audio,text,speaker (- for one to leave out).")
@click.option("--language", type=LANGUAGE, help="Language of rows that name none.")
@click.option("--config", type=PathName(), help="The TOML file that `train` will get.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--split",
    type=PathName(),
    metavar="OUT",
    help="Cut long recordings into a data set in this new folder.",
)
@click.option("--whisper", metavar="MODEL", help="With --split: transcribe what has no text with this faster-whisper.")
@click.option("--tier", help="With --split: the tier of TextGrids that holds the text.")
def command(
    config: Path | None, as_json: bool, split: Path | None, whisper: str | None, tier: str | None, **flags: Any
) -> int:
    """Show what would be trained on: texts beside their clips, lengths, languages, speakers, rows left out and why.

    Reads the metadata and the header of every clip; needs neither PyTorch nor a model, and changes nothing.

    With --split, --data is a folder of long recordings, each with a text with times beside it (SRT, VTT, TextGrid, JSON
    of whisper, labels of Audacity). They are cut at silences into clips of 2 to 11 s.

    Example: cufft-harness data --data my-voice
    """
    with extra("data"):
        from cufft_harness.dataset import metadata, overview
    if split is not None:
        flags = {"data": _cut(flags["data"], split, flags["language"], whisper, tier)}
    elif whisper or tier:
        raise UserError("--whisper and --tier say how --split works.", "Give --split OUT too.")
    settings = read_settings({"model": "tiny", **flags}, config)  # no model is asked for
    data = metadata.read_data_set(settings.data, settings.language, format=settings.format, columns=settings.columns)
    rows = len(data.rows)
    with click.progressbar(
        length=rows, label="reading headers", file=sys.stderr, update_min_steps=1 + rows // 200
    ) as bar:
        found = overview.look(data, settings.max_clip_seconds, settings.validation_fraction, bar.update)
    click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=True) if as_json else overview.show(found))
    return 0 if found.train and found.validation else 2


def _cut(path: Path | None, output: Path, language: str | None, whisper: str | None, tier: str | None) -> Path:
    """Cut recordings and say what became of them; the folder of the data set."""
    from cufft_harness.dataset.recordings import cut, find_recordings
    from cufft_harness.dataset.whisper import transcriber

    if path is None or not expanded(path).exists():
        raise UserError(f"no recordings at {path}." if path else "--split needs --data with the recordings.")
    code = known_language(language) if language else written_language(path)
    if code is None:
        raise UserError("in which language are the recordings?", "Say it, for example --language en.")
    recordings = find_recordings(expanded(path))
    transcribe = transcriber(whisper, code) if whisper else None
    with click.progressbar(length=len(recordings), label="cutting", file=sys.stderr, show_pos=True) as bar:
        done = cut(recordings, expanded(output), code, transcribe, tier, lambda name: bar.update(1))
    click.echo(f"cut {done.clips} clips, {done.seconds / 60:.1f} minutes, into {output}", err=True)
    for name, reason in done.unreadable:
        click.echo(printable(f"left out: {name}: {reason}"), err=True)
    counts = Counter(one.reason for _, one in done.left_out)
    for reason, count in counts.most_common():
        name, first = next((name, one.cue) for name, one in done.left_out if one.reason == reason)
        where = f"the first in {name} at {first.start:.1f} s, `{first.text[:60]}`"
        click.echo(printable(f"left out: {count} stretches of text because {reason}; {where}"), err=True)
    return expanded(output)
