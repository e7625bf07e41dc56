"""The command line: overview, exit codes, one-line errors."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cufft_harness", *arguments], capture_output=True, text=True, timeout=120
    )


def test_help_lists_every_command_without_importing_torch():
    """`--help` shows each command and stays light: no torch, no TTS, no pydantic in the process."""
    code = (
        "import sys\nsys.argv = ['cufft-harness', '--help']\n"
        "from cufft_harness.cli.app import COMMANDS, main\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'TTS', 'pydantic'} & set(sys.modules), 'heavy import'\n"
        "print(sorted(COMMANDS))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    for name in eval(result.stdout.splitlines()[-1]):  # noqa: S307 - our own list, printed by the line above
        assert f" {name} " in result.stdout


def test_unknown_command_is_one_line_and_exit_code_2():
    """A mistyped command is answered by one line on stderr that names the nearest one."""
    result = run("no-such-command")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "no-such-command" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_error_that_nobody_can_be_told_keeps_its_exit_code(tmp_path: Path):
    """With stderr on a full disk the exit code is that of the error, not that of a traceback."""
    command = [sys.executable, "-m", "cufft_harness", "diagnose", str(tmp_path / "none.txt")]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stderr=full, timeout=120).returncode == 2
