"""cufft_harness.xtts: the same numbers as coqui's own code, from the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cufft_harness.audio import read_mono
from cufft_harness.dataset.metadata import built_in
from cufft_harness.errors import MachineError, UserError
from cufft_harness.languages import LANGUAGES, SENTENCES
from cufft_harness.model_files import LISTED
from cufft_harness.training.inputs import check_language
from cufft_harness.weights import weights_digest
from cufft_harness.xtts import registry, speech
from cufft_harness.xtts.directory import ModelDirectory, gpt_state, load, replace_gpt
from cufft_harness.xtts.export import export
from cufft_harness.xtts.features import FeatureExtractor, conditioning_slice
from cufft_harness.xtts.tiny import build
from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram
from TTS.tts.models.xtts import Xtts

CLIP = built_in() / "wavs" / "pt_01.ogg"
TEXT = "Olá, este é um teste."


@pytest.fixture(scope="module")
def directory(tiny: Path) -> ModelDirectory:
    return ModelDirectory.at(tiny)


@pytest.fixture(scope="module")
def model(directory: ModelDirectory) -> Xtts:
    return load(directory)


def stock_speech(directory: Path, seed: int, seconds: float) -> np.ndarray:
    """What a user of coqui's TTS gets from a directory: stock classes and methods only, but for reading the clip."""
    from TTS.tts.configs.xtts_config import XttsConfig

    config = XttsConfig()
    config.load_json(str(directory / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(directory), eval=True)
    latents, embedding = model.get_conditioning_latents(
        str(CLIP),
        max_ref_length=config.max_ref_len,
        gpt_cond_len=config.gpt_cond_len,
        gpt_cond_chunk_len=config.gpt_cond_chunk_len,
    )
    torch.manual_seed(seed)
    names = ("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p")
    settings = {name: config[name] for name in names}
    tokens = int(seconds * 22_050 / 1024)
    return model.inference(TEXT, "pt", latents, embedding, max_new_tokens=tokens, **settings)["wav"]


def speak(model: Xtts, seed: int = 3, seconds: float = 0.5) -> np.ndarray:
    voice = speech.read_voice(model, CLIP)
    return speech.speak(model, TEXT, "pt", voice, seed, seconds, speech.Stages(model.device)).samples


def test_speech_equals_stock_inference(directory: ModelDirectory, model: Xtts):
    """Sample for sample what stock TTS makes of the same directory, text, voice and seed."""
    np.testing.assert_array_equal(speak(model), stock_speech(directory.path, 3, 0.5))


def test_long_text_is_split_as_stock_tts_splits_it(directory: ModelDirectory):
    """Sample for sample what `enable_text_splitting` gives; the model ends each sentence here, which is said."""
    model, text = load(directory), "Olá, este é um teste de voz que fala muito. " * 6
    with torch.no_grad():
        model.gpt.mel_head.bias[model.gpt.stop_audio_token] = 2.0  # random weights would hardly ever stop
    spoken = speech.speak(model, text, "pt", speech.read_voice(model, CLIP), 3, 6.0, speech.Stages(model.device))
    config = model.config
    latents, embedding = model.get_conditioning_latents(
        str(CLIP),
        max_ref_length=config.max_ref_len,
        gpt_cond_len=config.gpt_cond_len,
        gpt_cond_chunk_len=config.gpt_cond_chunk_len,
    )
    names = ("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p")
    torch.manual_seed(3)
    settings = {name: config[name] for name in names}
    stock = model.inference(text, "pt", latents, embedding, enable_text_splitting=True, **settings)["wav"]
    np.testing.assert_array_equal(spoken.samples, stock)
    assert (spoken.sentences, spoken.stopped_by_itself) == (2, True)


def test_a_sample_that_is_cut_is_marked(directory: ModelDirectory):
    """At the limit asked for; and at the model's own, where more is asked for than it has positions."""
    model = load(directory)
    with torch.no_grad():
        model.gpt.mel_head.bias[model.gpt.stop_audio_token] = -100.0
    voice, stages = speech.read_voice(model, CLIP), speech.Stages(model.device)
    short = speech.speak(model, TEXT, "pt", voice, 3, 0.5, stages)
    assert (short.stopped_by_itself, len(short.samples) / 24_000 <= 0.6) == (False, True)
    long = speech.speak(model, TEXT, "pt", voice, 3, 60.0, stages)
    most = model.gpt.max_gen_mel_tokens * model.gpt.code_stride_len / 22_050
    assert (long.stopped_by_itself, len(long.samples) / 24_000 <= most + 0.1) == (False, True)


def test_without_spacy_a_text_stays_whole(model: Xtts, monkeypatch: pytest.MonkeyPatch):
    """It is not refused: XTTS speaks it in one go, as it did before."""
    text = "Olá, este é um teste de voz. " * 9
    assert len(speech.sentences(model, text, "pt")) == 2
    monkeypatch.setattr(speech.importlib.util, "find_spec", lambda name: None)
    assert speech.sentences(model, text, "pt") == [text]


def test_an_exported_checkpoint_speaks_alike_in_stock_tts(directory: ModelDirectory, tmp_path: Path):
    """Other GPT weights, exported, sound in stock TTS as they do here, and unlike the base model."""
    model = load(directory)
    base = speak(model)
    state = {name: tensor.clone() for name, tensor in gpt_state(model).items()}
    torch.manual_seed(0)
    state["mel_head.weight"] = state["mel_head.weight"] + 0.05 * torch.randn_like(state["mel_head.weight"])
    replace_gpt(model, state)
    changed = speak(model)
    target = export(directory, state, tmp_path / "exported")
    np.testing.assert_array_equal(changed, stock_speech(target, 3, 0.5))
    assert len(base) != len(changed) or not np.allclose(base, changed)


def test_replaced_weights_are_the_ones_in_memory(directory: ModelDirectory):
    """The digest taken after the hand-over is that of the weights handed over; others are refused."""
    model = load(directory)
    state = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in gpt_state(model).items()}
    replace_gpt(model, state)
    assert weights_digest(gpt_state(model)) == weights_digest(state)
    with pytest.raises(UserError, match="another model"):
        replace_gpt(model, {name: tensor for name, tensor in state.items() if name != "mel_head.bias"})


def test_features_equal_coquis_recipe(directory: ModelDirectory):
    """The conditioning mel is coqui's TorchMelSpectrogram; a slice of it is the mel of the slice, but for its edges."""
    extractor = FeatureExtractor(directory)
    samples = read_mono(CLIP, 22_050)
    features = extractor(samples)
    recipe = TorchMelSpectrogram(
        filter_length=2048, hop_length=256, win_length=1024, sampling_rate=22_050, mel_norm_file=None
    )
    wave = torch.from_numpy(samples).clip(-1, 1)
    torch.testing.assert_close(features.mel, recipe(wave[None])[0])
    start, end, edge = 20, 120, 4
    ours = conditioning_slice(features.mel, extractor.silence(), start, end, 200)
    padded = torch.nn.functional.pad(wave[start * 256 : end * 256], (0, 100 * 256))
    theirs = recipe(padded[None])[0]
    torch.testing.assert_close(ours[:, edge : 100 - edge], theirs[:, edge : 100 - edge])
    torch.testing.assert_close(ours[:, 100 + edge : 196], theirs[:, 100 + edge : 196])
    assert len(features.codes) == -(-len(samples) // 1024)


def test_codes_are_those_of_a_clip_that_silence_follows(directory: ModelDirectory):
    """As coqui has them for every clip of a batch but the longest; in the batch's longest the last few differ."""
    extractor = FeatureExtractor(directory)
    samples = read_mono(CLIP, 22_050)
    wave = torch.from_numpy(samples).clip(-1, 1)
    longer = torch.nn.functional.pad(wave, (0, 30_000)) + 0.1
    _mels, codes = extractor.of_batch([wave, longer], [(0, 9), (0, 9)], 132_300)
    kept = extractor(samples).codes
    assert torch.equal(kept, codes[0, : len(kept)])
    _mels, alone = extractor.of_batch([wave], [(0, 9)], 132_300)
    assert torch.equal(kept[:-8], alone[0, : len(kept) - 8])


def test_the_tiny_model_uses_many_codes(directory: ModelDirectory):
    """So that what is trained on codes is trained on something: over 100 of 1024 in four clips, 3 before."""
    extractor = FeatureExtractor(directory)
    clips = sorted(CLIP.parent.glob("*.ogg"))[:4]
    assert len(torch.cat([extractor(read_mono(clip, 22_050)).codes for clip in clips]).unique()) > 100


def test_the_tiny_model_is_the_same_everywhere(directory: ModelDirectory, tmp_path: Path):
    """Fixed seed, fixed bytes: built again, weights and vocabulary are equal; the global random state is untouched."""
    before = torch.get_rng_state()
    build(tmp_path / "again")
    assert torch.equal(before, torch.get_rng_state())
    again = load(ModelDirectory.at(tmp_path / "again"))
    assert weights_digest(again.state_dict()) == weights_digest(load(directory).state_dict())
    assert (tmp_path / "again" / "vocab.json").read_bytes() == (directory.path / "vocab.json").read_bytes()


def test_a_directory_that_lacks_a_file_is_named(tiny: Path, tmp_path: Path):
    """The error lists what is missing."""
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"model\.pth, vocab\.json, dvae\.pth, mel_stats\.pth missing"):
        ModelDirectory.at(tmp_path)


def test_a_damaged_model_is_a_user_error(tiny: Path, tmp_path: Path):
    """A model.pth cut short ends in one line, not in a traceback."""
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.pth").write_bytes((tiny / "model.pth").read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"model\.pth has only .* bytes: cut short|cannot load the model"):
        load(ModelDirectory.at(tmp_path))


def test_a_licence_is_never_agreed_to_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a terminal and without --accept-licence nothing is downloaded, and no variable is set."""
    import os

    from TTS.utils.manage import ModelManager

    def download(*arguments: object) -> None:
        raise AssertionError("downloaded without agreement")

    monkeypatch.setattr(ModelManager, "download_model", download)
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123 - closed with the test
    with pytest.raises(UserError, match="nobody is here to agree"):
        registry.resolve(LISTED, tmp_path)
    assert "COQUI_TOS_AGREED" not in os.environ


def test_every_language_of_xtts_has_a_sentence_its_tokenizer_takes(model: Xtts):
    """The languages are those of XTTS's own configuration, and no sentence is too long for it."""
    assert set(model.config.languages) == LANGUAGES
    for code, sentence in SENTENCES.items():
        try:
            check_language(code)
        except MachineError:
            continue  # the package that reads it is not installed
        assert 10 < len(model.tokenizer.encode(sentence, code)) < 150, code
        assert len(sentence) < model.tokenizer.char_limits[code.split("-")[0]]
