"""Batches for the GPT, the same ones whenever the same epoch is asked for.

Everything random (order, slice of the clip that conditions) follows from seed, epoch and clip, never from global state.
So a run that was interrupted goes on with the batches it would have seen, and samples or probes cannot shift anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from cufft_harness.dataset.audit import Clip
from cufft_harness.dataset.features import FeatureCache
from cufft_harness.errors import MachineError
from cufft_harness.xtts.features import CODE_STRIDE, MEL_BANDS, SAMPLE_RATE, Features, conditioning_slice
from cufft_harness.xtts.loss import Batch

MIN_CONDITIONING = 3 * SAMPLE_RATE
MAX_CONDITIONING = 6 * SAMPLE_RATE
"""The slice that conditions the GPT lasts 3 to 6 s, or half of a shorter clip (coqui's `get_prompt_slice`)."""


class Batches:
    """The data set as batches.

    Args:
        clips: what the check let through.
        cache: their features, already computed.
        batch_size: clips in a batch.
        seed: of everything random.
        silence: conditioning mel of silence, (80, 1), for padding.
        hop_length: of the conditioning mel.
        training: random order and slices, part of the loss masked; otherwise the fixed ones of validation.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        cache: FeatureCache,
        *,
        batch_size: int,
        seed: int,
        silence: torch.Tensor,
        hop_length: int,
        training: bool,
    ) -> None:
        self.clips = clips
        self._cache = cache
        self._batch_size = batch_size
        self._seed = seed
        self._silence = silence
        self._hop_length = hop_length
        self._training = training

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
        todo = self._order(epoch)[start:]
        for first in range(0, len(todo), processes):
            yield self.collate(todo[(first + rank) % len(todo)], epoch)

    def share(self, rank: int, processes: int) -> Iterator[tuple[int, Batch]]:
        """Yield one process's share of all batches, each once, with its number: for validation."""
        for number, indices in list(enumerate(self._order(0)))[rank::processes]:
            yield number, self.collate(indices, 0)

    def _order(self, epoch: int) -> list[list[int]]:
        """Indices of the clips in each batch of an epoch."""
        generator = torch.Generator().manual_seed(hash_seed(self._seed, epoch))
        order = (
            torch.randperm(len(self.clips), generator=generator) if self._training else torch.arange(len(self.clips))
        )
        return [batch.tolist() for batch in torch.split(order, self._batch_size)]

    def collate(self, indices: list[int], epoch: int) -> Batch:
        """Put clips together, with the slices of an epoch."""
        features = [self._features(self.clips[index]) for index in indices]
        texts = [torch.tensor(self.clips[index].tokens, dtype=torch.long) for index in indices]
        slices = [self._slice(clip, index, epoch) for clip, index in zip(features, indices, strict=True)]
        length = MAX_CONDITIONING // self._hop_length + 1
        mels = [
            conditioning_slice(clip.mel, self._silence, start // self._hop_length, end // self._hop_length, length)
            for clip, (start, end) in zip(features, slices, strict=True)
        ]
        return Batch(
            text=torch.nn.utils.rnn.pad_sequence(texts, batch_first=True),
            text_lengths=torch.tensor([len(text) for text in texts]),
            codes=torch.nn.utils.rnn.pad_sequence([clip.codes for clip in features], batch_first=True),
            frames=torch.tensor([clip.frames for clip in features]),
            conditioning=torch.stack(mels).reshape(len(mels), 1, MEL_BANDS, length),
            slices=self._masked(slices) if self._training else None,
        )

    def _features(self, clip: Clip) -> Features:
        try:
            return self._cache.load(clip)
        except (ValueError, OSError) as error:  # they were there when the run began
            raise MachineError(
                f"the features of {clip.row.source} in {self._cache.folder} cannot be read any more: {error}.",
                "The same command computes them again and goes on from the last checkpoint.",
            ) from error

    def _slice(self, clip: Features, index: int, epoch: int) -> tuple[int, int]:
        """First and last sample of the slice that conditions the GPT."""
        generator = torch.Generator().manual_seed(hash_seed(self._seed, epoch, index))

        def between(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (), generator=generator))

        length = (
            between(MIN_CONDITIONING, MAX_CONDITIONING)
            if self._training
            else (MIN_CONDITIONING + MAX_CONDITIONING) // 2
        )
        if length > clip.frames:
            length = clip.frames // 2
        start = between(0, clip.frames - length) if self._training else 0
        return start, start + length

    def _masked(self, slices: list[tuple[int, int]]) -> torch.Tensor:
        """The slices so that coqui's GPT masks the right codes.

        It divides by the hop length of the conditioning mel and takes the result for positions of codes, of which there
        is one per 1024 samples. With hop length 256 it so masks four times too much, on a short clip nearly every code.
        Given in this unit, its division ends at the codes that are meant.
        """
        return torch.tensor(slices) // CODE_STRIDE * self._hop_length


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
