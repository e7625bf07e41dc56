"""The command line where stdin, stdout or stderr is closed, or leads to somebody who does not read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cufft_harness.checkpoints import CheckpointFolder
from cufft_harness.errors import UserError
from cufft_harness.training.settings import Settings

COMMAND = [sys.executable, "-m", "cufft_harness"]


def closed(how: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with streams closed as a shell does it."""
    command = ["sh", "-c", f'exec "$@" {how}', "sh", *COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_run_without_any_stream_trains(tiny: Path, tmp_path: Path):
    """Nothing that would have been printed ends in a file that got the number of a stream."""
    flags = {"device": "cpu", "num-epochs": 1, "max-train-samples": 2, "max-val-samples": 1, "batch-size": 2}
    given = [f"--{name}={value}" for name, value in flags.items()]
    result = closed("<&- >&- 2>&-", "train", f"--model={tiny}", f"--output={tmp_path}", "--no-samples", *given)
    assert result.returncode == 0
    assert CheckpointFolder(tmp_path / "checkpoints").newest() is not None
    assert (tmp_path / ".lock").read_text().startswith("process ")


@pytest.mark.parametrize("how", ["2>&-", ">&- 2>&-"])
def test_a_mistake_without_stderr_keeps_its_exit_code(how: str):
    """Nobody can hear the line; the status is what it would have been."""
    assert closed(how, "train", "--nonsense").returncode == 2
    assert closed(how, "--help").returncode == 0


@pytest.mark.parametrize("name", ["\udcff", "out/\udc80x"])
def test_an_output_whose_name_is_not_utf_8_is_refused(short_run: dict[str, Any], name: str):
    """Before anything is made there, in one line that can be printed."""
    with pytest.raises(UserError, match="not UTF-8") as caught:
        Settings(**{**short_run, "output": Path(name)})
    assert caught.value.message.isprintable()
