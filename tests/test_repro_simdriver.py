"""The simulated CUDA driver: it builds, the real libcufft runs on it, and its answers are the tabled ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repro.simdriver import expected, library
from repro.simdriver.build import CannotBuild, build
from repro.simdriver.experiments import FAULTS, SHAPES, Experiment, all_experiments, knobs
from repro.simdriver.run import Answer, cuda_major, get_version, run_one

INSTALLED = library.installed()
needs_cufft = pytest.mark.skipif(INSTALLED is None, reason="this build of torch brings no cuFFT")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return build(tmp_path_factory.mktemp("simdriver").resolve())


@needs_cufft
@pytest.mark.parametrize("fault", FAULTS)
def test_real_cufft_answers_to_each_fault_as_tabled(driver, fault):
    """Every fault of the driver gives the code in expected.json, for the shape of XTTS's speaker encoder."""
    experiment = Experiment(fault, "r2c 512")
    tabled = expected.load()[INSTALLED.version][experiment.name]

    assert tabled == run_one(INSTALLED.path, driver, experiment).text


@needs_cufft
def test_a_fault_that_goes_away_lets_a_fresh_handle_work(driver):
    """The knobs are read at every call: the same process fails first and works after the fault is gone."""
    answer = run_one(INSTALLED.path, driver, Experiment("module_oom", "r2c 512", retry="fresh handle, fault gone"))

    assert (answer.text, answer.first) == ("ok", "plan CUFFT_INTERNAL_ERROR")


@needs_cufft
def test_version_is_read_from_the_library_without_a_driver():
    """cufftGetVersion of the file agrees with the version of the wheel."""
    major, minor, patch = (int(part) for part in INSTALLED.version.split(".")[:3])

    assert major * 1000 + minor * 100 + patch == get_version(INSTALLED.path)


def test_missing_compiler_is_one_clear_line(monkeypatch, tmp_path):
    """Without a C compiler the message names what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)

    with pytest.raises(CannotBuild, match=r"no C compiler found .* apt install gcc"):
        build(tmp_path)


def test_failing_compiler_is_one_clear_line(monkeypatch, tmp_path):
    """A compiler that fails is named, with its first line."""
    compiler = tmp_path / "badcc"
    compiler.write_text("#!/bin/sh\necho 'driver.h: no such thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))

    with pytest.raises(CannotBuild, match=r"^badcc failed to build the simulated driver: driver\.h: no such thing$"):
        build(tmp_path)


@needs_cufft
def test_dead_child_is_told_from_an_answer(driver, tmp_path):
    """A library that cannot be loaded is no cuFFT code but a process that failed."""
    broken = tmp_path / "libcufft.so.12"
    broken.write_text("not a library")

    answer = run_one(broken, driver, Experiment("healthy", "r2c 512"))

    assert answer.stage == "process"
    assert "failed" in answer.code


def test_unknown_soname_is_refused():
    """Only the three majors whose CUDA major is known are run."""
    with pytest.raises(ValueError, match=r"libfftw3\.so\.3 is none of libcufft\.so\.10"):
        cuda_major(Path("libfftw3.so.3"))


def test_experiments_are_distinct_and_known():
    """No experiment is listed twice, and every name in one exists."""
    experiments = all_experiments()

    assert len({one.name for one in experiments}) == len(experiments)
    assert all(one.fault in FAULTS and one.shape in SHAPES for one in experiments)


@pytest.mark.parametrize(("major", "too_old", "minor_older"), [(12, "11080", "12000"), (13, "12090", "13000")])
def test_driver_versions_follow_the_library(major, too_old, minor_older):
    """ "Too old" is the CUDA major before the library's, whichever that is."""
    assert too_old == knobs(FAULTS["driver_too_old"], major)["SIMCUDA_DRIVER_VERSION"]
    assert minor_older == knobs(FAULTS["driver_minor_older"], major)["SIMCUDA_DRIVER_VERSION"]


def test_table_covers_every_cufft_of_the_matrix():
    """There is an expectation for each cuFFT that a release of versions.toml brings."""
    from repro.matrix.rows import ROWS

    assert {row["cufft"]["version"] for row in ROWS.values()} <= set(expected.load())


def test_taking_one_table_leaves_the_others(monkeypatch, tmp_path):
    """`save` replaces the table of one version and orders versions as numbers."""
    file = tmp_path / "expected.json"
    file.write_text(json.dumps({"11.3.0.4": {"healthy": {"r2c 512/sm_86": "ok"}}, "9.2": {}}))
    monkeypatch.setattr(expected, "FILE", file)

    expected.save("10.9.0.58", [Answer(Experiment("healthy", "r2c 512"), "create", "CUFFT_INVALID_DEVICE")])

    assert list(json.loads(file.read_text())) == ["9.2", "10.9.0.58", "11.3.0.4"]
    assert expected.load()["11.3.0.4"] == {"healthy/r2c 512/sm_86": "ok"}
