"""The command line: overview, exit codes, one-line errors."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cufft_harness.cli.app import COMMANDS
from cufft_harness.training.settings import SETTINGS


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cufft_harness", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
    )


HEAVY = ("torch", "TTS", "numpy", "pydantic", "rich")
BLOCKED = f"""
import sys
for name in {HEAVY}: sys.modules[name] = None  # an import of it is an error
sys.argv = ["cufft-harness", *sys.argv[1:]]
from cufft_harness.cli.app import main
main()
"""


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_needs_nothing_but_the_base_install(arguments: list[str]):
    """The overview and the help of every command work with nothing of the `train` extra installed."""
    result = subprocess.run([sys.executable, "-c", BLOCKED, *arguments], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    if len(arguments) == 1:
        for name in COMMANDS:
            assert f" {name} " in result.stdout
    else:
        assert "-h, --help" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_under_its_name(name: str):
    """The overview's table and the modules agree."""
    command = importlib.import_module(f"cufft_harness.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name


def test_train_has_a_flag_for_each_setting_and_its_section():
    """Flags and settings are one list; `train --help` shows each below the heading of its section."""
    text = run("train", "--help").stdout
    for setting in SETTINGS.values():
        flag = f"--{setting.name.replace('_', '-')}"
        assert text.index(f"\n{setting.section}:") < text.index(f"  {flag} ")


def test_flags_that_are_not_given_leave_the_word_to_the_file(tmp_path: Path):
    """A switch that was left alone does not override the file, in either direction."""
    from cufft_harness.cli.train import command

    given = command.make_context("train", ["--no-samples", "--num-epochs", "2"]).params
    assert {name: value for name, value in given.items() if value not in (None, ())} == {
        "samples": False,
        "num_epochs": 2,
    }


def test_no_command_shows_the_overview():
    """`cufft-harness` alone is help, and not success."""
    result = run()
    assert (result.returncode, result.stderr) == (2, "")
    assert result.stdout == run("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-command"], "there is no command `no-such-command`"),
        (["trian"], "Did you mean `train`?"),
        (["sample"], "Missing option '--checkpoint'"),
        (["diagnose", "--json", "--markdown", "log"], "--json and --markdown ask for different things. Give one"),
        (["doctor", "--pid", "1", "--python", "python"], "--pid and --python ask for different things. Give one"),
        (["train", "--num-epoch", "3"], "--num-epochs"),
        (["train", "3"], "unexpected extra argument (3). Try `cufft-harness train --help`."),
        (["train", "--samples=yes"], "does not take a value. Try `cufft-harness train --help`."),
        (["train", "--num-epochs", "0"], "'--num-epochs'"),
        (["train", "--config", "/"], "cannot read the settings file /"),
        (["sample", "--checkpoint", "x", "--seed", "-1"], "'--seed'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str], message: str):
    """A mistyped command, flag or value is answered by one line on stderr that names it."""
    result = run(*arguments)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "--checkpoint", ""],
        ["sample", "--checkpoint", "x", "--output", ""],
        ["train", "--data", "", "--model", "tiny"],
        ["train", "--output", ""],
        ["train", "--config", ""],
        ["data", "--data", ""],
        ["doctor", "--issue", ""],
        ["check", "--library", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_directory(arguments: list[str]):
    """`--data "$UNSET"` is a mistake, not the folder one happens to stand in."""
    result = run(*arguments)
    assert result.returncode == 2
    assert "cannot be empty" in result.stderr


def test_version_is_the_installed_one():
    """`--version` says the distribution's version."""
    from importlib.metadata import version

    assert run("--version").stdout == f"cufft-harness {version('cufft-harness')}\n"


def test_the_shell_completes_commands_and_flags():
    """click's completion knows the commands, and a command's flags."""
    found = run(_CUFFT_HARNESS_COMPLETE="bash_complete", COMP_WORDS="cufft-harness di", COMP_CWORD="1").stdout
    assert found.split() == ["plain,diagnose"]
    found = run(_CUFFT_HARNESS_COMPLETE="bash_complete", COMP_WORDS="cufft-harness train --warm", COMP_CWORD="2").stdout
    assert found.split() == ["plain,--warmup-steps"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_error_that_nobody_can_be_told_keeps_its_exit_code(tmp_path: Path):
    """With stderr on a full disk the exit code is that of the error, not that of a traceback."""
    command = [sys.executable, "-m", "cufft_harness", "diagnose", str(tmp_path / "none.txt")]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stderr=full, timeout=120).returncode == 2
