"""XTTS without torchaudio: the same numbers to the last bit, and no torchaudio beside it can do harm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchaudio
from cufft_harness.xtts import torchaudio_parts

CLONING = {"f_min": 0, "f_max": 8000, "sample_rate": 22_050, "n_mels": 80, "norm": "slaney", "power": 2}
MELS: dict[str, dict[str, Any]] = {
    "dvae": {"n_fft": 1024, "hop_length": 256, "win_length": 1024, "normalized": False, **CLONING},
    "perceiver": {"n_fft": 2048, "hop_length": 256, "win_length": 1024, "normalized": False, **CLONING},
    "without-perceiver": {"n_fft": 4096, "hop_length": 1024, "win_length": 4096, "normalized": False, **CLONING},
    "speaker-encoder": {
        "n_fft": 512,
        "hop_length": 160,
        "win_length": 400,
        "sample_rate": 16_000,
        "n_mels": 64,
        "window_fn": torch.hamming_window,
    },
}
# What a torchaudio for another CUDA version says when it is imported, and what stands where there is no FFmpeg.
BROKEN = {
    "torchaudio": "raise RuntimeError('PyTorch and TorchAudio were compiled with different CUDA versions')",
    "torchcodec": "raise OSError('Could not load this library: libtorchcodec_image.so')",
}
SPEAK = """
import sys
from pathlib import Path

class Watch:
    seen = []  # stand-ins that were there while a module of transformers was imported

    def find_spec(self, name, path=None, target=None):
        if name.startswith("transformers"):
            self.seen += [part for part in ("torchaudio", "torchcodec") if sys.modules.get(part)]

sys.meta_path.insert(0, Watch())
from cufft_harness.sampling.worker import Worker
import cufft_harness.training.run
from cufft_harness.xtts.directory import ModelDirectory
from cufft_harness.xtts.features import FeatureExtractor

directory = ModelDirectory.at(Path(sys.argv[1]))
Worker(directory).model.get_conditioning_latents([sys.argv[2]])
FeatureExtractor(directory)
assert not Watch.seen, "transformers was imported while stand-ins were there, and would count on them"
assert not [name for name in sys.modules if name.split(".")[0] in ("torchaudio", "torchcodec")]
try:
    import torchaudio
except RuntimeError:
    print("torchaudio is as broken as before")
"""


@pytest.mark.parametrize("settings", MELS.values(), ids=MELS)
def test_mels_equal_torchaudios_to_the_last_bit(settings: dict[str, Any]):
    """Same buffers under the same names, because model.pth holds them, and same numbers for any leading shape."""
    ours, theirs = torchaudio_parts.MelSpectrogram(**settings), torchaudio.transforms.MelSpectrogram(**settings)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.state_dict().items())
    for shape in ((1, 22_050), (30_001,), (2, 3, 16_000)):
        wave = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        assert torch.equal(ours(wave), theirs(wave))


@pytest.mark.parametrize(("orig", "new"), [(22_050, 16_000), (44_100, 22_050), (16_000, 22_050), (16_000, 16_000)])
def test_resampling_equals_torchaudios_to_the_last_bit(orig: int, new: int):
    """Also of one sample, of fewer than the filter is long, and of a batch."""
    for shape in ((1, 1), (1, 7), (30_001,), (2, 3, 5_000)):
        wave = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        theirs: Callable[..., torch.Tensor] = torchaudio.functional.resample
        assert torch.equal(torchaudio_parts.resample(wave, orig, new), theirs(wave, orig, new))


def test_another_kind_of_mel_is_refused():
    """What XTTS does not use is an error, never a spectrogram of another kind."""
    with pytest.raises(NotImplementedError, match="power=1"):
        torchaudio_parts.MelSpectrogram(**{**MELS["dvae"], "power": 1})


def test_training_and_worker_need_no_torchaudio_and_survive_a_broken_one(tiny: Path, tmp_path: Path):
    """Beside a torchaudio and a torchcodec that cannot be imported all is loaded and a voice is read; both stay so."""
    for name, content in BROKEN.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(content)
    clip = Path(__file__).parent.parent / "harness/cufft_harness/dataset/speech/wavs/pt_01.ogg"
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, str(tiny), str(clip)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "as broken as before" in done.stdout
