"""cufft_harness.library: a bare libcufft, found and tried without PyTorch, under the simulated driver."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cufft_harness.errors import UserError
from cufft_harness.library import copies, examine
from cufft_harness.library.copies import Copy
from cufft_harness.library.transforms import TRANSFORMS
from cufft_harness.probes.outcome import Verdict

from repro.simdriver import library as installed
from repro.simdriver.build import CannotBuild, build, find_compiler

SOURCE = Path(__file__).parent / "simulated" / "libcufft.c"


@pytest.fixture(scope="module")
def compiler() -> str:
    try:
        return find_compiler()
    except CannotBuild as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, compiler: str) -> Path:
    return build(tmp_path_factory.mktemp("driver")).parent


@pytest.fixture(scope="module")
def computing(tmp_path_factory: pytest.TempPathFactory, compiler: str) -> Copy:
    """A libcufft that computes by the definition."""
    file = tmp_path_factory.mktemp("cufft") / "libcufft.so.11"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(file), str(SOURCE), "-lm"], check=True)
    return Copy(file, "made here")


@pytest.fixture
def with_driver(driver: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver))
    monkeypatch.setenv("SIMCUDA_HOST_MEMORY", "1")
    return monkeypatch


def test_right_numbers_pass(computing: Copy, with_driver: pytest.MonkeyPatch):
    """Every transform of a library that computes well passes, the control too, and its version is read from itself."""
    results = examine.examine(computing)
    assert {name: outcome.verdict for name, outcome in results.outcomes.items()} == {
        probe.name: Verdict.PASS for probe in examine.PROBES
    }
    assert results.environment["cufft"] == "11.3.3"


def test_wrong_numbers_of_the_second_execution_are_seen(computing: Copy, with_driver: pytest.MonkeyPatch):
    """Each plan is executed twice, because some releases are right once."""
    with_driver.setenv("SIMCUFFT_WRONG", "1")
    results = examine.examine(computing, quick=True)
    assert results.outcomes["library_512"].verdict is Verdict.WRONG_NUMBERS
    assert results.outcomes["library_memory"].verdict is Verdict.PASS


@pytest.mark.parametrize("code", ["5", "8", "77"])
def test_a_code_is_named(computing: Copy, with_driver: pytest.MonkeyPatch, code: str):
    """cuFFT's code has the name by which the rules know it, and the call that gave it."""
    with_driver.setenv("SIMCUFFT_ERROR", code)
    outcome = examine.examine(computing, quick=True).outcomes["library_400"]
    assert outcome.verdict is Verdict.FAILED
    assert outcome.code == {"5": "CUFFT_INTERNAL_ERROR", "8": "CUFFT_INVALID_SIZE", "77": "unknown error 77"}[code]
    assert outcome.detail.startswith("cufftMakePlan1d: ")


def test_the_real_library_answers_to_a_driver_without_its_compiler(with_driver: pytest.MonkeyPatch):
    """PyTorch's own libcufft, loaded without PyTorch, fails at the plan where PTX cannot be compiled, and says how."""
    found = installed.installed()
    if found is None:
        pytest.skip("this PyTorch brings no cuFFT")
    with_driver.setenv("SIMCUDA_JIT_ERROR", "221")
    results = examine.examine(Copy(found.path, "installed"), quick=True)
    assert results.outcomes["library_memory"].verdict is Verdict.PASS
    assert results.outcomes["library_512"].verdict is Verdict.FAILED
    assert (results.outcomes["library_512"].code or "").startswith("CUFFT_")


def test_a_driver_that_hangs_is_a_verdict(computing: Copy, with_driver: pytest.MonkeyPatch):
    """The child is ended at the limit; nothing waits for it."""
    with_driver.setenv("SIMCUDA_INIT_ERROR", "hang")
    with_driver.setattr(examine, "PROBES", [type(one)(**{**vars(one), "timeout_s": 0.5}) for one in examine.PROBES[:1]])
    assert examine.examine(computing).outcomes["library_memory"].verdict is Verdict.HUNG


def test_too_little_memory_is_told_apart(computing: Copy, with_driver: pytest.MonkeyPatch):
    """A device that gives no memory fails the control, so that cuFFT is not blamed."""
    with_driver.setenv("SIMCUDA_FREE_MB", "0")
    outcome = examine.examine(computing, quick=True).outcomes["library_memory"]
    assert (outcome.verdict, outcome.code) == (Verdict.FAILED, "CUDA out of memory")


def test_numbers_never_written_are_not_taken_for_right():
    """An execution that does nothing and says success is wrong numbers."""
    for transform in TRANSFORMS:
        assert transform.relative_error(transform.signal(), transform.spectrum()) == float("inf")


def test_copies_are_listed_in_the_order_of_the_loader(tmp_path: Path):
    """LD_LIBRARY_PATH before a conda environment, links followed, libcufftw left out, each file once."""
    for folder in ("one", "conda/lib"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "libcufft.so.11.3.3").touch()
        (tmp_path / folder / "libcufft.so.11").symlink_to("libcufft.so.11.3.3")
        (tmp_path / folder / "libcufftw.so.11").touch()
    environ = {"LD_LIBRARY_PATH": f":{tmp_path / 'one'}:{tmp_path / 'none'}", "CONDA_PREFIX": str(tmp_path / "conda")}
    found = [copy for copy in copies.found(environ) if tmp_path in copy.path.parents]
    assert [copy.path for copy in found] == [
        tmp_path / "one" / "libcufft.so.11.3.3",
        tmp_path / "conda" / "lib" / "libcufft.so.11.3.3",
    ]
    assert "LD_LIBRARY_PATH" in found[0].found_by
    assert "conda" in found[1].found_by


def test_a_copy_is_given_by_file_or_folder_or_process(tmp_path: Path, computing: Copy):
    """What the user names is taken, and what is not there is their error in one line."""
    assert copies.at(computing.path.parent).path == computing.path
    with pytest.raises(UserError, match="no libcufft at"):
        copies.at(tmp_path)
    with pytest.raises(UserError, match="has loaded no libcufft"):
        copies.mapped_by(os.getppid())
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(computing.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        assert [copy.path for copy in copies.mapped_by(program.pid)] == [computing.path]
        program.communicate(b"\n")
    with pytest.raises(UserError, match="cannot be looked into"):
        copies.mapped_by(program.pid)
