"""Face: the driver compiles no PTX. On any sound GPU this should be the failure the project was founded on."""

import pytest
from cufft_harness.probes.outcome import Verdict

from repro.matrix.conftest import Attempt, Observe
from repro.simdriver import library
from repro.simdriver.expected import load


def simulated_code() -> str | None:
    """What this cuFFT answers to the same fault under the simulated driver; None where it does not run there."""
    found = library.installed()
    answer = load().get(found.version, {}).get("jit_disabled/r2c 512/sm_86") if found else None
    return answer.split()[-1] if answer else None


@pytest.mark.parametrize("scenario", ["fft.stft without JIT", "xtts.fresh without JIT"])
def test_fft_without_ptx_compiler_fails_as_under_the_simulated_driver(observe: Observe, scenario: str) -> None:
    """With CUDA_DISABLE_PTX_JIT=1 and CUDA_CACHE_DISABLE=1 cuFFT fails, with the code that the simulation gave."""
    outcome = observe(scenario, "cuda", "native")

    assert outcome.verdict is Verdict.FAILED, "the failure is not reproduced here"
    assert outcome.code == (simulated_code() or outcome.code)
    assert outcome.code.startswith("CUFFT_")


@pytest.mark.parametrize("scenario", ["fft.stft without JIT", "xtts.fresh without JIT"])
def test_bypass_needs_no_ptx_compiler(attempt: Attempt, scenario: str) -> None:
    """Matrix products go on working where cuFFT cannot."""
    attempt(scenario, "cuda", "bypass")
