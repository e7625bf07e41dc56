"""What tests share: the tiny model, built once, and settings that make a run short."""

from __future__ import annotations

import os

# One thread a process: two processes of two threads each on two cores wait for one another most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.register_profile("faults", settings.get_profile("default"), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the machine that runs the tests must not reach the runs under test."""
    bare = {"NUM_EPOCHS", "MAX_TRAIN_SAMPLES", "MAX_VAL_SAMPLES", "SAVE_EVERY_N_EPOCHS"}
    for name in list(os.environ):
        if name.startswith("CUFFT_HARNESS_") or name in bare:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the tiny model."""
    from cufft_harness.xtts.tiny import build

    return build(tmp_path_factory.mktemp("model") / "tiny-xtts")


@pytest.fixture(scope="session")
def short_run(tiny: Path) -> dict[str, Any]:
    """Settings of a run of two epochs of two steps without samples."""
    return {
        "model": str(tiny),
        "device": "cpu",
        "num_epochs": 2,
        "batch_size": 4,
        "max_train_samples": 8,
        "max_val_samples": 2,
        "learning_rate": 1e-3,
        "samples": False,
        "sample_base_model": False,  # for a model that is named by its folder it would be made, too
    }
