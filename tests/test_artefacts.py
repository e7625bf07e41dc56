"""cufft_harness.sampling.artefacts: only whole, right files get a sample's name."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from cufft_harness.audio import write_pcm16
from cufft_harness.sampling.artefacts import SAMPLE_RATE, BrokenSample, SampleFolder, examine

TONE = (0.4 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype(np.float32)


def test_a_good_sample_is_measured(tmp_path: Path):
    """Length, peak and level are those of the samples."""
    write_pcm16(tmp_path / "s.wav", TONE, SAMPLE_RATE)
    found = examine(tmp_path / "s.wav")
    assert found.seconds == 1.0
    assert found.peak == pytest.approx(0.4, abs=0.001)
    assert found.rms == pytest.approx(0.4 / 2**0.5, abs=0.01)
    assert found.remarks() == []


def test_silence_and_clipping_are_remarked(tmp_path: Path):
    """They are no errors (an untrained model may do it), but the listener is told."""
    write_pcm16(tmp_path / "silent.wav", TONE * 1e-5, SAMPLE_RATE)
    write_pcm16(tmp_path / "clipped.wav", TONE * 100, SAMPLE_RATE)
    assert examine(tmp_path / "silent.wav").remarks() == ["silent"]
    assert "clipped" in examine(tmp_path / "clipped.wav").remarks()[0]


@pytest.mark.parametrize("keep", [0, 20, 44, 45, 1000, -2])
def test_a_file_cut_at_any_point_is_broken(tmp_path: Path, keep: int):
    """A half-written WAV is found, wherever it ends."""
    path = tmp_path / "s.wav"
    write_pcm16(path, TONE, SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BrokenSample):
        examine(path)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(24_000, 1, "PCM_16"), (SAMPLE_RATE, 2, "PCM_16"), (SAMPLE_RATE, 1, "FLOAT")]
)
def test_another_format_is_broken(tmp_path: Path, rate: int, channels: int, subtype: str):
    """24 kHz, stereo or float samples are refused: players and users rely on one format."""
    soundfile.write(tmp_path / "s.wav", np.stack([TONE] * channels, axis=1), rate, subtype=subtype)
    with pytest.raises(BrokenSample, match="not 16-bit"):
        examine(tmp_path / "s.wav")


def test_one_synthesis_serves_epoch_and_best(tmp_path: Path):
    """Both places get the same bytes and a reference beside them; nothing else is left."""
    reference = tmp_path / "voice.flac"
    soundfile.write(reference, TONE, SAMPLE_RATE)
    folder = SampleFolder(tmp_path / "samples")
    folder.prepare()
    write_pcm16(folder.spoken(4), TONE, SAMPLE_RATE)
    folder.publish(4, reference, in_epochs=True, in_best=True)
    assert folder.output(4).read_bytes() == folder.output(4, best=True).read_bytes()
    assert examine(folder.reference(4)).seconds == 1.0
    assert sorted(path.name for path in folder.folder.rglob("*.wav")) == [
        "epoch_4_output.wav",
        "epoch_4_output.wav",
        "epoch_4_reference.wav",
        "epoch_4_reference.wav",
    ]
    assert not list(folder.folder.rglob(".*"))


def test_leftovers_of_a_crash_are_removed(tmp_path: Path):
    """A half sample of an earlier run disappears at the next start, finished ones stay."""
    folder = SampleFolder(tmp_path)
    folder.spoken(1).write_bytes(b"half")
    write_pcm16(folder.output(1), TONE, SAMPLE_RATE)
    folder.prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_1_output.wav"]
