"""All experiments, in the order in which they run. No torch: the modules are imported in the child only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Role(str, Enum):
    """What a failure of the experiment means."""

    CONTROL = "control"
    """Shows that the experiment itself works: without it, the others prove nothing."""
    HEALTH = "health"
    """A failure is a defect of this machine or installation."""
    LIMIT = "limit"
    """Known to fail in some releases; tells the user what to avoid, not that something is broken."""
    FALLBACK = "fallback"
    """Shows whether work can go on where cuFFT fails."""
    CONTRAST = "contrast"
    """Expected to fail: shows what the suspected fault would look like here."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Probe:
    """One experiment.

    Attributes:
        name: its module in `cufft_harness.probes`, which has a function ``run(device: str) -> Outcome``.
        title: one line for the table.
        needs_gpu: it means nothing on a CPU.
        alone: it may harm what runs after it (fills memory, kills the context), or needs `env`: its own interpreter.
        quick: part of ``doctor --quick``.
        timeout_s: time limit once its interpreter is up.
        env: environment variables that its interpreter gets.
    """

    name: str
    title: str
    role: Role = Role.HEALTH
    needs_gpu: bool = False
    alone: bool = False
    quick: bool = False
    timeout_s: float = 20.0
    env: Mapping[str, str] = field(default_factory=dict)


NO_JIT = {"CUDA_DISABLE_PTX_JIT": "1", "CUDA_CACHE_DISABLE": "1"}
"""The driver reads both when the process starts: nothing is compiled, nothing is taken from an earlier compilation."""

PROBES = (
    Probe("matmul", "matrix product (no FFT)", Role.CONTROL, quick=True),
    Probe("stft", "the STFTs of XTTS, F5-TTS, Whisper, VITS, so-vits, RVC, demucs", quick=True, timeout_s=30.0),
    Probe("transforms", "real, complex, two-dimensional and inverse FFTs, awkward lengths"),
    Probe("varying_shapes", "many lengths one after the other (plan cache)"),
    Probe("istft", "inverse STFT"),
    Probe("gradient", "gradient of an STFT"),
    Probe("threads", "several threads at once"),
    Probe("second_model", "a second model in the same process"),
    Probe("after_training", "after training steps"),
    Probe("bypass", "FFTs by matrix products, without cuFFT", Role.FALLBACK, quick=True, timeout_s=30.0),
    Probe("half", "half precision", Role.LIMIT),
    Probe("empty_batch", "empty batch", Role.LIMIT),
    Probe("second_gpu", "a second GPU", needs_gpu=True),
    Probe("low_memory", "little free device memory", Role.LIMIT, needs_gpu=True, alone=True, timeout_s=30.0),
    Probe("after_oom", "after an out-of-memory error that was survived", needs_gpu=True, alone=True),
    Probe(
        "jit_disabled",
        "with the PTX JIT compiler switched off",
        Role.CONTRAST,
        needs_gpu=True,
        alone=True,
        env=NO_JIT,
    ),
)
