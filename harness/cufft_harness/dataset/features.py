"""Where batches get their features: from files made once, or computed for each batch as coqui's trainer does."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cufft_harness.audio import AudioError, read_mono
from cufft_harness.dataset.audit import Clip
from cufft_harness.errors import MachineError
from cufft_harness.files import atomic_path, make_folder
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.features import SAMPLE_RATE, FeatureExtractor, Features, conditioning_slice

log = logging.getLogger(__name__)

MIN_CONDITIONING = 3 * SAMPLE_RATE
MAX_CONDITIONING = 6 * SAMPLE_RATE
"""The slice that conditions the GPT lasts 3 to 6 s, or half of a shorter clip (coqui's `get_prompt_slice`)."""


Choose = Callable[[int, int], tuple[int, int]]
"""Number of a clip in the batch and its length in samples, to first sample and end of the slice that conditions."""


@dataclass(frozen=True)
class BatchFeatures:
    """What the audio of a batch turns into.

    Attributes:
        conditioning: mels of the slices, float32, (clips, 80, frames).
        codes: int64, (clips, most codes), padded with anything.
        frames: lengths of the clips in samples at 22 050 Hz.
        slices: first sample and end of each slice, as it was cut.
    """

    conditioning: torch.Tensor
    codes: torch.Tensor
    frames: list[int]
    slices: list[tuple[int, int]]


class FeatureSource(Protocol):
    """What batches ask for features."""

    def of(self, clips: Sequence[Clip], choose: Choose) -> BatchFeatures:
        """Features of a batch, conditioned on the slices that `choose` names.

        Raises:
            MachineError: a clip or its features cannot be read any more.
        """


class FeatureCache:
    """Features on disk, keyed by the clip's bytes and by the DVAE and sizes that made them.

    A file is written whole and carries a digest of its tensors; a damaged one is made again, with a line in the log.
    """

    def __init__(self, folder: Path, extractor: FeatureExtractor) -> None:
        self.folder = folder
        self._extractor = extractor
        self._identity = extractor.identity()
        self._silence, self._hop_length = extractor.silence(), extractor.hop_length
        make_folder(folder)

    def of(self, clips: Sequence[Clip], choose: Choose) -> BatchFeatures:
        """See `FeatureSource`; slices begin and end at a frame of the conditioning mel."""
        features = [self._load_again(clip) for clip in clips]
        hop, length = self._hop_length, MAX_CONDITIONING // self._hop_length + 1
        chosen = [choose(number, clip.frames) for number, clip in enumerate(features)]
        slices = [(start // hop * hop, end // hop * hop) for start, end in chosen]
        mels = [
            conditioning_slice(clip.mel, self._silence, start // hop, end // hop, length)
            for clip, (start, end) in zip(features, slices, strict=True)
        ]
        codes = torch.nn.utils.rnn.pad_sequence([clip.codes for clip in features], batch_first=True)
        return BatchFeatures(torch.stack(mels), codes, [clip.frames for clip in features], slices)

    def _load_again(self, clip: Clip) -> Features:
        try:
            return self.load(clip)
        except (ValueError, OSError) as error:  # they were there when the run began
            raise MachineError(
                f"the features of {clip.row.source} in {self.folder} cannot be read any more: {error}.",
                "The same command computes them again and goes on from the last checkpoint.",
            ) from error

    def path(self, clip: Clip) -> Path:
        """Where the features of `clip` are kept."""
        key = hashlib.sha256(f"{clip.sha256} {self._identity}".encode()).hexdigest()
        return self.folder / f"{key[:40]}.safetensors"

    def load(self, clip: Clip) -> Features:
        """Read the features of a clip and check them.

        Raises:
            ValueError: they are damaged.
            FileNotFoundError: they are not there.
        """
        path = self.path(clip)
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
                digest = (file.metadata() or {}).get("sha256")
        except SafetensorError as error:
            raise ValueError(f"damaged: {error}") from error
        if set(tensors) != {"mel", "codes", "frames"} or digest != weights_digest(tensors):
            raise ValueError("damaged: the digest does not match")
        return Features(tensors["mel"], tensors["codes"], int(tensors["frames"]))

    def fill(self, clips: Sequence[Clip], progress: Callable[[int], None]) -> int:
        """Compute what is not there yet.

        Args:
            clips: the clips to have features for.
            progress: called with 1 for each clip.

        Returns:
            How many were computed.
        """
        computed = 0
        for clip in clips:
            try:
                self.load(clip)
            except (ValueError, FileNotFoundError) as problem:
                if isinstance(problem, ValueError):
                    log.warning("features of %s are %s; computed again", clip.row.source, problem)
                self._save(clip, self._extractor(read_mono(clip.path, SAMPLE_RATE, clip.seconds)))
                computed += 1
            progress(1)
        return computed

    def _save(self, clip: Clip, features: Features) -> None:
        tensors = {"mel": features.mel, "codes": features.codes, "frames": torch.tensor(features.frames)}
        with atomic_path(self.path(clip)) as path:
            save_file(tensors, path, metadata={"sha256": weights_digest(tensors)})


class FreshFeatures:
    """Features computed for each batch, as GPTTrainer does: equal to its own, and slower.

    Slices begin at any sample, and what follows a clip is the silence up to the longest of its batch.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._extractor = extractor

    def of(self, clips: Sequence[Clip], choose: Choose) -> BatchFeatures:
        """See `FeatureSource`."""
        waves = [self._read(clip) for clip in clips]
        frames = [len(wave) for wave in waves]
        slices = [choose(number, length) for number, length in enumerate(frames)]
        return BatchFeatures(*self._extractor.of_batch(waves, slices, MAX_CONDITIONING), frames, slices)

    def _read(self, clip: Clip) -> torch.Tensor:
        try:
            return torch.from_numpy(read_mono(clip.path, SAMPLE_RATE, clip.seconds)).clip(-1, 1)
        except (AudioError, OSError) as error:
            raise MachineError(f"{clip.path} cannot be read any more: {error}.") from error
