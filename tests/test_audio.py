"""cufft_harness.audio: any WAV, FLAC or OGG in; mono 16-bit WAV out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from cufft_harness.audio import AudioError, read_header, read_mono, write_pcm16


def tone(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_tone_keeps_its_pitch_whatever_file_it_comes_in(tmp_path: Path, suffix: str, rate: int):
    """Read at 22 050 Hz, a 440 Hz tone of any rate and format has its spectral peak at 440 Hz, and the same length."""
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(1.0, rate), rate)
    samples = read_mono(path, 22_050)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert abs(np.argmax(spectrum) * 22_050 / len(samples) - 440.0) < 2.0
    assert abs(len(samples) / 22_050 - 1.0) < 0.01
    assert samples.dtype == np.float32


def test_stereo_is_averaged(tmp_path: Path):
    """Two opposite channels cancel."""
    path = tmp_path / "stereo.wav"
    left = tone(0.5, 22_050)
    soundfile.write(path, np.stack([left, -left], axis=1), 22_050)
    assert np.abs(read_mono(path, 22_050)).max() < 1e-4


def test_written_samples_come_back(tmp_path: Path):
    """16-bit mono WAV, within one quantum; values beyond full scale are clipped, not wrapped."""
    path = tmp_path / "out.wav"
    samples = np.concatenate([tone(0.1, 22_050), np.array([1.7, -1.7], dtype=np.float32)])
    write_pcm16(path, samples, 22_050)
    info = soundfile.info(path)
    assert (info.subtype, info.channels, info.samplerate) == ("PCM_16", 1, 22_050)
    back = read_mono(path, 22_050)
    assert np.abs(back[:-2] - samples[:-2]).max() <= 1 / 32_767
    assert back[-2] > 0.99
    assert back[-1] < -0.99


@pytest.mark.parametrize("content", [b"", b"no audio at all", b"RIFF\xff\xff\xff\x7fWAVEfmt "])
def test_what_is_no_audio_is_an_audio_error(tmp_path: Path, content: bytes):
    """Empty files, text and cut headers end in one clear error."""
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match="unreadable"):
        read_header(path)


def test_a_header_that_lies_costs_no_memory(tmp_path: Path):
    """A WAV that promises 2^31 bytes of samples is read as far as it goes, and no further than asked for."""
    path = tmp_path / "lie.wav"
    soundfile.write(path, tone(0.2, 22_050), 22_050, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[40:44] = (2**31 - 64).to_bytes(4, "little")
    path.write_bytes(data)
    assert len(read_mono(path, 22_050, max_seconds=1.0)) <= 22_051
