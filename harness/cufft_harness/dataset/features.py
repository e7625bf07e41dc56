"""Features of each clip, computed once and kept in files named after what they were made from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cufft_harness.audio import read_mono
from cufft_harness.dataset.audit import Clip
from cufft_harness.files import atomic_path
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.features import SAMPLE_RATE, FeatureExtractor, Features

log = logging.getLogger(__name__)


class FeatureCache:
    """Features on disk, keyed by the clip's bytes and by the DVAE and sizes that made them.

    A file is written whole and carries a digest of its tensors; a damaged one is made again, with a line in the log.
    """

    def __init__(self, folder: Path, extractor_identity: str) -> None:
        self.folder = folder
        self._identity = extractor_identity
        folder.mkdir(parents=True, exist_ok=True)

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

    def fill(
        self, clips: Sequence[Clip], extractor: Callable[[], FeatureExtractor], progress: Callable[[int], None]
    ) -> int:
        """Compute what is not there yet.

        Args:
            clips: the clips to have features for.
            extractor: makes the extractor, called at the first clip that needs it.
            progress: called with 1 for each clip.

        Returns:
            How many were computed.
        """
        made: FeatureExtractor | None = None
        computed = 0
        for clip in clips:
            try:
                self.load(clip)
            except (ValueError, FileNotFoundError) as problem:
                if isinstance(problem, ValueError):
                    log.warning("features of %s are %s; computed again", clip.row.source, problem)
                made = made or extractor()
                self._save(clip, made(read_mono(clip.path, SAMPLE_RATE, clip.seconds)))
                computed += 1
            progress(1)
        return computed

    def _save(self, clip: Clip, features: Features) -> None:
        tensors = {"mel": features.mel, "codes": features.codes, "frames": torch.tensor(features.frames)}
        with atomic_path(self.path(clip)) as path:
            save_file(tensors, path, metadata={"sha256": weights_digest(tensors)})
