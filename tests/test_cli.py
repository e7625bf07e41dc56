"""The command line: overview, exit codes, one-line errors."""

import subprocess
import sys


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, timeout=120)


def test_help_lists_every_command_without_importing_torch():
    """`--help` shows each command and stays light: no torch, no TTS, no pydantic in the process."""
    code = (
        "import sys\nsys.argv = ['cufft-harness', '--help']\n"
        "from harness.cli import COMMANDS, main\n"
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
