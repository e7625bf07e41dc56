"""`cufft-harness run`: the program notices nothing, its children are guarded, an account follows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cufft_harness.launch import process as guarded

PROGRAM = """
import sys, torch
assert "torch" in sys.modules
print(sys.argv[1:], __name__, sys.argv[0], flush=True)
signal = torch.ones(512)
peak = torch.fft.rfft(signal).abs().max().item()
assert abs(peak - 512) < 1e-3, peak
sys.exit(7)
"""
LOADER = """
import torch
class Spectra(torch.utils.data.Dataset):
    def __len__(self): return 6
    def __getitem__(self, index): return torch.fft.rfft(torch.ones(64)).abs()
if __name__ == "__main__":
    for context in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(Spectra(), num_workers=1, multiprocessing_context=context)
        assert sum(len(batch) for batch in loader) == 6
"""


def start(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "cufft_harness", "run", "--device", "cpu", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*arguments, cwd, **environment):
    process = start(*arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def test_script_with_its_own_arguments_and_exit_code(tmp_path):
    """The script sees its own argv and name; its exit code is ours; the failure is answered and accounted for."""
    (tmp_path / "prog.py").write_text(PROGRAM)
    code, out, err = run("--inject", "CUFFT_INVALID_SIZE", "--", "prog.py", "--mode", "x", "-m", cwd=tmp_path)
    assert code == 7, err
    assert out == "['--mode', 'x', '-m'] __main__ prog.py\n"
    assert "1 transform in one process saved" in err
    assert "r2c of 512 float32 on cpu: CUFFT_INVALID_SIZE, answered by matrix products" in err
    assert "cufft-harness doctor" in err


def test_without_the_guard_the_same_program_dies(tmp_path):
    """The injection is real: in bypass the library is never asked, unguarded the program would end in the error."""
    (tmp_path / "prog.py").write_text(
        "from cufft_harness.fft import inject\ninject('cpu', 'CUFFT_INVALID_SIZE')\n"
        + PROGRAM.replace("assert", "pass #")
    )
    plain = subprocess.run([sys.executable, "prog.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert plain.returncode == 1
    assert "RuntimeError: cuFFT error: CUFFT_INVALID_SIZE" in plain.stderr
    code, _, err = run("--mode", "bypass", "--", "prog.py", cwd=tmp_path)
    assert code == 7, err
    assert "saved" not in err


def test_module_and_nothing_caught(tmp_path):
    """`-m module` runs the module; a sound library leaves nothing to tell."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(PROGRAM)
    code, out, err = run("--verify", "--", "-m", "package", "a", cwd=tmp_path)
    assert code == 7, err
    assert out.startswith("['a'] __main__")
    assert err == ""


def test_data_loader_workers_are_guarded(tmp_path):
    """Forked and spawned workers meet the same broken library, and are in the account."""
    (tmp_path / "loader.py").write_text(LOADER)
    code, _, err = run("--inject", "CUFFT_INTERNAL_ERROR", "--", "loader.py", cwd=tmp_path)
    assert code == 0, err
    assert "12 transforms in 2 processes saved" in err


def test_signals_reach_the_program_and_its_death_is_ours(tmp_path):
    """SIGTERM sent to `run` is handled by the program; a program killed by a signal ends us by the same signal."""
    (tmp_path / "wait.py").write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    process = start("--", "wait.py", cwd=tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 5
    (tmp_path / "die.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    code, _, _ = run("--", "die.py", cwd=tmp_path)
    assert code == -signal.SIGKILL


def test_interrupt_from_the_terminal_arrives_once(tmp_path):
    """SIGINT sent to `run` alone is passed on, and the program's own traceback and exit are kept."""
    (tmp_path / "wait.py").write_text(
        "import time\ncount = 0\nprint('ready', flush=True)\n"
        "try: time.sleep(60)\nexcept KeyboardInterrupt:\n"
        "    try: time.sleep(0.5)\n    except KeyboardInterrupt: raise SystemExit(9)\n    raise SystemExit(3)\n"
    )
    process = start("--", "wait.py", cwd=tmp_path)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 3


def test_a_sitecustomize_of_the_user_still_runs(tmp_path):
    """The one our hook hides is run all the same; so is a module called `harness` of the program's own."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import builtins\nbuiltins.was_here = True\n")
    (tmp_path / "harness.py").write_text("MINE = True\n")
    (tmp_path / "prog.py").write_text(
        "import torch, harness\nassert was_here\nassert harness.MINE\n"
        "assert torch.fft.rfft(torch.ones(8)).abs().max() == 8\nassert torch.__loader__.name == 'torch'\n"
    )
    command = "import cufft_harness.cli.app; cufft_harness.cli.app.main()"
    finished = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            command,
            "run",
            "--device",
            "cpu",
            "--inject",
            "CUFFT_INVALID_SIZE",
            "--",
            "prog.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert "1 transform in one process saved" in finished.stderr


def test_a_program_without_torch_imports_no_torch(tmp_path):
    """The hook waits for torch; a program that does not use it starts as fast as before."""
    (tmp_path / "light.py").write_text(
        "import sys\nassert 'torch' not in sys.modules\nassert 'cufft_harness' not in sys.modules\n"
    )
    code, _, err = run("--", "light.py", cwd=tmp_path)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--", "missing.py"], "no script missing.py"),
        (["--", "no-such-command-anywhere"], "no script or command"),
        (["--", "-m"], "needs a module"),
        (["--inject", "CUFFT_NOPE", "--", "x.py"], "CUFFT_NOPE"),
        (["--verify", "--mode", "bypass", "--", "-c", "pass"], "--verify"),
        (["--inject", "hang", "--mode", "bypass", "--", "-c", "pass"], "--inject"),
        (["--device", "cude", "--", "x.py"], "`cude`"),
        (["--python", "nope", "--", "x.py"], "no Python at nope"),
        ([], "PROGRAM"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, words):
    """A mistake costs one line on stderr and exit code 2; nothing is started."""
    (tmp_path / "x.py").write_text("print('started')")
    code, out, err = run(*arguments, cwd=tmp_path)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert words in err
    assert out == ""


def test_orders_travel_in_the_environment():
    """What the parent says is what the child reads, in front of what PYTHONPATH held."""
    orders = guarded.LaunchConfig("guard", "cuda", True, "/nowhere", "")
    environment = guarded.environment(orders, {"PYTHONPATH": "/a:/b", "HOME": "/h"})
    first, *rest = environment["PYTHONPATH"].split(os.pathsep)
    assert first.endswith("startup")
    assert rest == ["/a", "/b"]
    assert environment["HOME"] == "/h"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (PROGRAM, "PyTorch finds no device `cuda` here. Give --device cpu"),
        ("raise SystemExit(7)", "no Python process of the program imported PyTorch"),
    ],
)
def test_a_fault_that_nobody_met_is_said(tmp_path, program, words):
    """On a machine without a GPU `--inject` guards nothing by default; the program's exit code is kept."""
    (tmp_path / "prog.py").write_text(program)
    command = ["--device", "cuda:63", "--inject", "CUFFT_INVALID_SIZE", "--", "prog.py"]
    code, _, err = run(*command, cwd=tmp_path)
    assert code == 7, err
    assert f"nothing was guarded: {words}".replace("`cuda`", "`cuda:63`") in err
    assert len(err.splitlines()) == 1


def test_a_fault_that_was_played_is_not_denied(tmp_path):
    """Wrong numbers without --verify leave no account, and are no reason to say that nothing happened."""
    (tmp_path / "prog.py").write_text("import torch\nassert torch.fft.rfft(torch.ones(8)).abs().max() == 16\n")
    code, _, err = run("--inject", "wrong-numbers", "--", "prog.py", cwd=tmp_path)
    assert (code, err) == (0, "")


SIGNALS = """\
import os, signal, sys, time
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGABRT", "SIGALRM", "SIGXCPU", "SIGPWR", "SIGTERM"])
def test_a_signal_that_ends_the_run_ends_the_program(tmp_path, name):
    """Nothing is left running, and no folder is left behind for longer than to the next run."""
    (tmp_path / "prog.py").write_text(SIGNALS)
    command = [sys.executable, "-m", "cufft_harness", "run", "--", "prog.py"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        program = int(process.stdout.readline())
        process.send_signal(signal.Signals[name])
        assert process.wait(20) == -signal.Signals[name]
    deadline = time.monotonic() + 20
    while Path(f"/proc/{program}/stat").exists() and time.monotonic() < deadline:
        if ") Z " in Path(f"/proc/{program}/stat").read_text():
            break
        time.sleep(0.05)
    assert time.monotonic() < deadline
    run("--", "-c", "pass", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert not list(tmp_path.glob("cufft-harness-run-*"))


def test_open_files_reach_the_program(tmp_path):
    """What a shell opened for it, as by `<(...)` or `3<file`, is open in it."""
    (tmp_path / "given.txt").write_text("through")
    (tmp_path / "prog.py").write_text("import os, sys\nprint(os.read(int(sys.argv[1]), 100).decode())\n")
    with (tmp_path / "given.txt").open() as stream:
        command = [sys.executable, "-m", "cufft_harness", "run", "--", "prog.py", str(stream.fileno())]
        finished = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, pass_fds=[stream.fileno()], timeout=60
        )
    assert (finished.returncode, finished.stdout) == (0, "through\n"), finished.stderr


def test_an_ignored_sigchld_is_no_hang(tmp_path):
    """Started by a parent that ignores its children's ends, `run` still learns of the program's, and hands it on."""
    (tmp_path / "prog.py").write_text(
        "import signal, sys\nsys.exit(7 if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN else 1)\n"
    )
    command = [sys.executable, "-m", "cufft_harness", "run", "--", "prog.py"]
    starter = (
        "import os, signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])\n"
    )
    finished = subprocess.run([sys.executable, "-c", starter, *command], cwd=tmp_path, timeout=60, check=False)
    assert finished.returncode == 7


def test_what_nohup_ignores_stays_ignored(tmp_path):
    """A hang-up sent to `run` under nohup ends neither it nor the program."""
    (tmp_path / "prog.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(1)\nprint('done')\n")
    command = [sys.executable, "-m", "cufft_harness", "run", "--", "prog.py"]
    starter = (
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter, *command], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.stdout.read() == "done\n"
    assert process.returncode == 0


def test_children_without_the_guard_are_named(tmp_path):
    """Isolated, without site, with another environment: each is said, and the guarded one is not."""
    (tmp_path / "prog.py").write_text(
        "import os, subprocess, sys\n"
        "for flags in (['-I'], ['-E'], ['-S'], [], ['-W', 'ignore']):\n"
        "    subprocess.run([sys.executable, *flags, '-c', 'pass'], check=True)\n"
        "subprocess.run([sys.executable, '-c', 'pass'], check=True, env={})\n"
        "subprocess.run([sys.executable, '-c', 'pass'], check=True, env={**os.environ, 'PYTHONPATH': '/x'})\n"
        "subprocess.run(['true', '-I'], check=True)\n"
    )
    code, _, err = run("--", "prog.py", cwd=tmp_path)
    assert code == 0
    said = sorted(line.partition("started with ")[2] for line in err.splitlines())
    assert said == ["-E.", "-I.", "-S.", "another PYTHONPATH."]
    assert "2 Python processes were not guarded: started with another PYTHONPATH" in err


@pytest.mark.parametrize("end", ["os._exit(0)", "os.execv('/bin/true', ['true'])", "sys.exit(0)"])
def test_no_count_is_lost_however_a_process_ends(tmp_path, end):
    """Seven failures are seven in the account, by os._exit and by becoming another program too."""
    (tmp_path / "prog.py").write_text(
        "import os, sys, torch\nfor _ in range(7):\n    torch.fft.rfft(torch.ones(8))\n" + end + "\n"
    )
    code, _, err = run("--inject", "CUFFT_INVALID_SIZE", "--", "prog.py", cwd=tmp_path)
    assert code == 0, err
    assert "7 transforms in one process saved" in err


def test_a_variable_that_is_not_ours_keeps_no_program_from_starting(tmp_path):
    """CUFFT_HARNESS_RUN with something else in it is told once, and Python starts as it would."""
    startup = Path(guarded.__file__).with_name("startup")
    environment = {**os.environ, "PYTHONPATH": str(startup), "CUFFT_HARNESS_RUN": "yes"}
    finished = subprocess.run(
        [sys.executable, "-c", "print('fine')"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (finished.returncode, finished.stdout) == (0, "fine\n")
    assert len(finished.stderr.splitlines()) == 1


def test_torchs_loader_answers_what_loaders_are_asked(tmp_path):
    """`find_spec` before the import gives a loader with the methods of a file's loader."""
    (tmp_path / "prog.py").write_text(
        "import importlib.util\nloader = importlib.util.find_spec('torch').loader\n"
        "assert loader.get_filename('torch').endswith('__init__.py')\nassert loader.is_package('torch')\n"
        "assert loader.get_source('torch')\n"
    )
    code, _, err = run("--", "prog.py", cwd=tmp_path)
    assert code == 0, err


def test_our_own_commands_run_under_run(tmp_path):
    """`run -- cufft-harness ...` is a program like any other, also where it reads its settings from the environment."""
    arguments = ["--", "-m", "cufft_harness", "train", "--model", "tiny", "--data", str(tmp_path / "none")]
    code, _, err = run(*arguments, cwd=tmp_path)
    assert code == 2
    assert "CUFFT_HARNESS_RUN" not in err
    assert "none" in err
