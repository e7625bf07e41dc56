"""Batches for the GPT, the same ones whenever the same epoch is asked for.

Everything random (order, slice of the clip that conditions) follows from seed, epoch and clip, never from global state.
So a run that was interrupted goes on with the batches it would have seen, and samples or probes cannot shift anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from cufft_harness.dataset.audit import Clip
from cufft_harness.dataset.features import MAX_CONDITIONING, MIN_CONDITIONING, FeatureSource
from cufft_harness.xtts.features import CODE_STRIDE
from cufft_harness.xtts.loss import Batch

Draw = Literal["each-once", "balanced"]
Masking = Literal["none", "slice", "coqui"]


class Batches:
    """The data set as batches.

    Args:
        clips: what the check let through.
        features: where their features come from.
        batch_size: clips in a batch.
        seed: of everything random.
        training: random order and slices, part of the loss masked; otherwise the fixed ones of validation.
        draw: in training, every clip once an epoch, or, as coqui's `XTTSDataset`, as many clips as there are, each a
            random one of a random language.
        masking: in training, which codes of a batch's last clip are not scored: none, those of the slice that
            conditions, or those that coqui's numbers mean (see `_masked`).
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        features: FeatureSource,
        *,
        batch_size: int,
        seed: int,
        training: bool,
        draw: Draw = "each-once",
        masking: Masking = "slice",
        hop_length: int = 256,
    ) -> None:
        self.clips = clips
        self._features = features
        self._batch_size = batch_size
        self._seed = seed
        self._training = training
        self._balanced = training and draw == "balanced"
        self._masking = masking if training else "none"
        self._hop_length = hop_length
        languages: dict[str, list[int]] = {}
        for index, clip in enumerate(clips if self._balanced else ()):
            languages.setdefault(clip.row.language, []).append(index)
        self._languages = list(languages.values())

    def __len__(self) -> int:
        """Batches in an epoch, over all processes."""
        return -(-len(self.clips) // self._batch_size)

    def epoch(self, epoch: int, start: int = 0, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
        """Yield one epoch's batches for one process.

        Args:
            epoch: number of the epoch; another one, another order.
            start: leave out so many batches, counted over all processes: the position a checkpoint was taken at.
            rank: this process.
            processes: each gets every n-th batch, and all get the same number: where the last round is not full,
                batches of the first fill it, as PyTorch's DistributedSampler has it.
        """
        todo = [*enumerate(self.indices(epoch))][start:]
        for first in range(0, len(todo), processes):
            number, indices = todo[(first + rank) % len(todo)]
            yield self.collate(indices, epoch, number * self._batch_size)

    def share(self, rank: int, processes: int) -> Iterator[tuple[int, Batch]]:
        """Yield one process's share of all batches, each once, with its number: for validation."""
        for number, indices in [*enumerate(self.indices(0))][rank::processes]:
            yield number, self.collate(indices, 0, number * self._batch_size)

    def indices(self, epoch: int) -> list[list[int]]:
        """Which clips make up each batch of an epoch."""
        if self._balanced:
            order = torch.tensor([self._drawn(epoch, place)[0] for place in range(len(self.clips))])
        elif self._training:
            generator = torch.Generator().manual_seed(hash_seed(self._seed, epoch))
            order = torch.randperm(len(self.clips), generator=generator)
        else:
            order = torch.arange(len(self.clips))
        return [batch.tolist() for batch in torch.split(order, self._batch_size)]

    def collate(self, indices: list[int], epoch: int, place: int = 0) -> Batch:
        """Put clips together, the first of them at `place` in the epoch, which decides about its slice."""

        def choose(number: int, frames: int) -> tuple[int, int]:
            return self._slice(self._drawn(epoch, place + number)[1], frames)

        features = self._features.of([self.clips[index] for index in indices], choose)
        texts = [torch.tensor(self.clips[index].tokens, dtype=torch.long) for index in indices]
        return Batch(
            text=torch.nn.utils.rnn.pad_sequence(texts, batch_first=True),
            text_lengths=torch.tensor([len(text) for text in texts]),
            codes=features.codes,
            frames=torch.tensor(features.frames),
            conditioning=features.conditioning.unsqueeze(1),
            slices=None if self._masking == "none" else self._masked(features.slices),
        )

    def _drawn(self, epoch: int, place: int) -> tuple[int, random.Random]:
        """The clip at a place of a balanced epoch, and the generator of whatever else is random there.

        What is drawn, and in which order, is as in coqui's `XTTSDataset`: language, clip, length and start of a slice.
        """
        generator = random.Random(hash_seed(self._seed, epoch, place))
        if not self._balanced:
            return place, generator
        language = generator.choice(self._languages)
        return language[generator.randint(0, len(language) - 1)], generator

    def _slice(self, generator: random.Random, frames: int) -> tuple[int, int]:
        """First sample of the slice that conditions the GPT, and its end (coqui's `get_prompt_slice`)."""
        length = (MIN_CONDITIONING + MAX_CONDITIONING) // 2
        if self._training:
            length = generator.randint(MIN_CONDITIONING, MAX_CONDITIONING)
        if length > frames:
            length = frames // 2
        start = generator.randint(0, frames - length) if self._training else 0
        return start, start + length

    def _masked(self, slices: list[tuple[int, int]]) -> torch.Tensor:
        """The slices so that coqui's GPT masks the codes that are meant, int64, (clips, 2).

        With the perceiver resampler it divides them by 256, the hop length of the conditioning mel, and takes what
        comes out for positions of codes, of which there is one per 1024 samples: a span four times too long that begins
        four times too far, often beyond the end of the clip. Given as "slice", its division ends at the right codes.
        """
        places = torch.tensor(slices)
        return places if self._masking == "coqui" else places // CODE_STRIDE * self._hop_length


@dataclass(frozen=True)
class Data:
    """Batches to train on and to validate on."""

    train: Batches
    validation: Batches


def hash_seed(*numbers: int) -> int:
    """Mix numbers into one seed of 63 bits (splitmix64 over each), so that near seeds give unrelated streams."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return state >> 1
