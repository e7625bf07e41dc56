"""`cufft-harness data`: what would be trained on, before anything is loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from cufft_harness.cli import extra
from cufft_harness.training.settings import SETTINGS, read_settings

FORMATS = SETTINGS["format"].kind
LANGUAGE = SETTINGS["language"].kind


@click.command("data")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data set, or its metadata file.")
@click.option("--format", type=FORMATS, help="Whose format it has. Default: told by its files.")
@click.option("--columns", help="What the columns hold, such as audio,text,speaker (- for one to leave out).")
@click.option("--language", type=LANGUAGE, help="Language of rows that name none.")
@click.option("--config", type=click.Path(path_type=Path), help="The TOML file that `train` will get.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, as_json: bool, **flags: Any) -> int:
    """Show what would be trained on: texts beside their clips, lengths, languages, speakers, rows left out and why.

    Reads the metadata and the header of every clip; needs neither PyTorch nor a model, and changes nothing.

    Example: cufft-harness data --data my-voice
    """
    settings = read_settings({"model": "tiny", **flags}, config)  # no model is asked for
    with extra("data"):
        from cufft_harness.dataset.metadata import read_data_set
        from cufft_harness.dataset.overview import look, show
    data = read_data_set(settings.data, settings.language, format=settings.format, columns=settings.columns)
    rows = len(data.rows)
    with click.progressbar(
        length=rows, label="reading headers", file=sys.stderr, update_min_steps=1 + rows // 200
    ) as bar:
        overview = look(data, settings.max_clip_seconds, settings.validation_fraction, bar.update)
    if as_json:
        click.echo(json.dumps(overview.as_json(), indent=2, ensure_ascii=True))
    else:
        click.echo(show(overview))
    return 0 if overview.train and overview.validation else 2
