"""Face: the error code. What this release's own cuFFT says when the driver fails in a known way; no GPU is needed."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from repro.matrix.conftest import Recorder
from repro.matrix.outcomes import Comparison, SimulatedOutcome
from repro.simdriver import library
from repro.simdriver.build import CannotBuild, build
from repro.simdriver.expected import load
from repro.simdriver.experiments import FAULTS, RETRIES, all_experiments
from repro.simdriver.run import Answer, get_version, run


def judge(answer: Answer, expected: Mapping[str, str]) -> SimulatedOutcome:
    """The answer beside the tabled one."""
    name = answer.experiment.name
    return SimulatedOutcome(name, answer.text, expected.get(name))


def test_answers_to_faults_are_as_tabled(recorder: Recorder, tmp_path: Path) -> None:
    """Every answer of the real libcufft to a fault of the driver is the one in expected.json."""
    if recorder.options.gpu_only:
        pytest.skip("--gpu-only")
    found = library.installed()
    if found is None:
        recorder.file.note(simulated={"status": "not run", "reason": "this build of torch brings no cuFFT"})
        pytest.skip("this build of torch brings no cuFFT")
    facts = {"distribution": found.distribution, "version": found.version, "get_version": get_version(found.path)}
    recorder.file.note(cufft=facts)
    try:
        driver = build(tmp_path.resolve())
    except CannotBuild as error:
        recorder.file.note(simulated={"status": "could not be tested", "reason": str(error)})
        pytest.skip(str(error))
    expected = load().get(found.version, {})
    experiments = all_experiments()
    first = next(run(found.path, driver, experiments[:1]))
    if first.text == "create CUFFT_INVALID_DEVICE":
        reason = "embeds a whole CUDA runtime, which accepts no other driver than NVIDIA's own"
        recorder.file.note(simulated={"status": "could not be tested", "reason": reason})
        recorder.add(judge(first, expected))
        pytest.skip(f"cuFFT {found.version} {reason}")
    outcomes = [judge(answer, expected) for answer in run(found.path, driver, experiments)]
    recorder.add(*outcomes)
    faults = {fault.name: fault.meaning for fault in FAULTS.values()}
    recorder.file.note(simulated={"status": "complete", "faults": faults, "retries": RETRIES})
    changed = [
        f"{one.experiment}: {one.expected} -> {one.answer}" for one in outcomes if one.comparison is Comparison.CHANGED
    ]
    assert not changed, f"{len(changed)} answers of cuFFT {found.version} changed: {'; '.join(changed[:5])}"
