"""The command `diagnose`: its outputs, its manners with bad input, and what it does not import."""

import json
import subprocess
import sys

import pytest

ADA = "RTX 4090, torch 1.13.1+cu117\nRuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR\n"


def _diagnose(*arguments, log=None, **settings):
    command = [sys.executable, "-m", "cufft_harness", "diagnose", *map(str, arguments)]
    return subprocess.run(command, input=log, capture_output=True, check=False, **settings)


def test_json_is_the_contract():
    """An object whose `causes` is a list, best first, with id, confidence, evidence, fix and next experiment."""
    finished = _diagnose("--json", "-", log=ADA.encode())
    data = json.loads(finished.stdout)
    assert finished.returncode == 0
    first = data["causes"][0]
    assert first["id"] == "old-cufft-on-ada-hopper"
    assert first["confidence"] == "high"
    assert set(first["evidence"]) == {"for", "against"}
    assert first["fix"]
    assert first["next_experiment"]
    assert data["environment"]["GPU"] == "rtx 4090"


def test_people_get_title_evidence_and_commands(tmp_path):
    """The table names the cause, why, and the command to copy; the file is given by name."""
    log = tmp_path / "log.txt"
    log.write_text(ADA)
    text = _diagnose(log, text=True).stdout
    assert "RTX 40 series" in text
    assert "compute capability 8.9" in text
    assert "pip install torch==2.0.1 torchaudio==2.0.2 --force-reinstall" in text
    assert "--index-url https://download.pytorch.org/whl/cu118" in text
    assert "line 2: RuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR" in text


def test_a_pipe_needs_no_name():
    """`program 2>&1 | cufft-harness diagnose` reads standard input."""
    assert _diagnose("--json", log=ADA.encode()).stdout == _diagnose("--json", "-", log=ADA.encode()).stdout


def test_markdown_can_be_pasted():
    """Markdown has a table of causes and the fix as code."""
    text = _diagnose("--markdown", "-", log=ADA.encode()).stdout.decode()
    assert text.startswith("| cause |")
    assert "    pip install" in text


def test_a_log_cannot_draw_on_the_terminal():
    """Escape sequences and markup from the log never reach the output."""
    log = ADA.replace("4090", "4090\x1b]0;owned\x07\x1b[2J [bold red]").encode()
    for arguments in (("-",), ("--markdown", "-"), ("--json", "-")):
        out = _diagnose(*arguments, log=log).stdout
        assert b"\x1b" not in out
        assert b"owned" not in out


@pytest.mark.parametrize(
    ("log", "code"), [(b"", 2), (b" \n", 2), (bytes(range(256)) * 40, 1), (b"\x1f\x8b\x08" + bytes(100), 2)]
)
def test_bad_input_gets_a_clear_answer(log, code):
    """No log is exit code 2, one without a cause 1; a note says so, and the cause is *undetermined*."""
    finished = _diagnose("--json", "-", log=log)
    data = json.loads(finished.stdout)
    assert finished.returncode == code
    assert data["causes"][0]["id"] == "undetermined"
    assert data["notes"]


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_log_that_cannot_be_read_is_one_line(tmp_path, name):
    """A missing file or a directory: one line on stderr, exit code 2."""
    finished = _diagnose(tmp_path / name, text=True)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert len(finished.stderr.splitlines()) == 1


def test_no_heavy_import():
    """Diagnosing loads neither torch nor numpy nor, for JSON, rich's tables."""
    code = (
        "import sys; sys.argv = ['cufft-harness', 'diagnose', '--json', '/dev/null']\n"
        "from cufft_harness.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'rich.table') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
