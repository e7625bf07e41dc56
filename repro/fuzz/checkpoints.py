"""Checkpoints that are as they should be but for a few parts, chosen by bytes; and what is put in their place."""

from __future__ import annotations

import io
import logging
import random
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from cufft_harness.checkpoints import BEST, CheckpointFolder
from cufft_harness.errors import UserError
from cufft_harness.training.display import Display
from cufft_harness.training.loop import Trainer
from cufft_harness.training.prepare import prepare
from cufft_harness.training.run import train
from cufft_harness.training.settings import Settings
from cufft_harness.training.stop import StopRequest
from cufft_harness.weights import weights_digest
from cufft_harness.xtts.tiny import Size, build


def tensors() -> dict[str, torch.Tensor]:
    """Tensors that are no place for weights, states or counts, by what they are."""
    dense = torch.arange(64 * 64, dtype=torch.float32).reshape(64, 64)
    with_gradient = dense.clone().requires_grad_()
    return {
        "of another shape": torch.ones(3),
        "sparse": dense.to_sparse(),
        "sparse rows": dense.to_sparse_csr(),
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "meta": torch.ones(64, 64, device="meta"),
        "complex": torch.ones(64, 64, dtype=torch.complex64),
        "conjugate": torch.ones(64, 64, dtype=torch.complex64).conj(),
        "negative view": torch.ones(64, 64, dtype=torch.complex64).conj().imag,
        "expanded": torch.ones(1).expand(64, 64),
        "transposed": dense[:, :32].T,
        "with holes": dense[::2, ::2],
        "quantized": torch.quantize_per_tensor(dense, 0.1, 0, torch.quint8),
        "of eight bits": dense.to(torch.float8_e4m3fn),
        "with a gradient": with_gradient,
        "a parameter": torch.nn.Parameter(dense),
        "of strings, almost": torch.zeros(5, dtype=torch.int8),
    }


def values(rng: random.Random) -> Any:
    """Something that a pickle without code can hold."""
    number = rng.choice([0, 1, -1, 2**31, 2**53, 2**63, 10**30, -(2**70), 0.5, 1e300, float("nan"), float("inf")])
    shape = [rng.choice([0, 1, 2, 32, 64]) for _ in range(rng.randrange(4))]
    inner: list[Any] = []
    inner.append(inner)
    choices: list[Callable[[], Any]] = [
        lambda: number,
        lambda: torch.tensor(float(number)),
        lambda: rng.choice(list(tensors().values())),
        lambda: torch.full(shape, rng.choice([0.0, 7.0, 1e18]), dtype=rng.choice([torch.float32, torch.int64])),
        lambda: rng.choice([None, True, False, "", "x" * 300, "\x1b[2J\n", b"bytes", 1j, (), [], {}, set()]),
        lambda: rng.choice([inner, {"a": inner}, OrderedDict(a=1), torch.Size([3]), torch.float16, bytearray(3)]),
        lambda: {number: number, "step": torch.ones(()), 0: {}},
    ]
    return rng.choice(choices)()


def mutate(data: dict[str, Any], seed: bytes) -> dict[str, Any]:
    """Change one to three places of nested dictionaries and lists in place: put, removed, doubled or exchanged.

    Args:
        data: what a checkpoint's file holds.
        seed: decides everything; the same bytes make the same change.
    """
    rng = random.Random(seed)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        holder = data
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(holder[key], (dict, list)) and rng.random() < 0.8:
                holder = holder[key]
                continue
            _change(holder, key, keys, rng)
            break
    return data


def _change(holder: Any, key: Any, keys: list[Any], rng: random.Random) -> None:
    how = rng.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1:
        other = rng.choice(keys)
        holder[key], holder[other] = holder[other], holder[key]
    elif how == 2 and isinstance(holder, dict):
        holder[rng.choice([7, -1, "", "\udce9", 2**40, key])] = holder[key]
    else:
        holder[key] = values(rng)


class Resumed:
    """A trainer of the smallest model in a folder of its own, with the two real checkpoints that a run of it left."""

    def __init__(self, root: Path) -> None:
        size = Size(layers=1, channels=16, heads=1, audio_codes=64, max_audio_tokens=130, dvae_channels=16)
        settings = Settings(
            model=str(build(root / "model", size)),
            output=root / "output",
            device="cpu",
            num_epochs=2,
            batch_size=2,
            max_train_samples=4,
            max_val_samples=2,
            samples=False,
        )
        with redirect_stdout(io.StringIO()):
            train(settings)
            self.folder = CheckpointFolder(settings.output / "checkpoints")
            self.newest = self.folder.epoch_path(2)
            self.content = self.newest.read_bytes()
            (self.folder.folder / BEST).unlink()  # a second name of the one that is overwritten
            accelerator = Accelerator(cpu=True)
            display = Display(settings.output)
            prepared = prepare(settings, settings.output, accelerator.device, display)
        self.trainer = Trainer(
            settings,
            accelerator,
            prepared.training_model,
            prepared.data,
            self.folder,
            prepared.model.fingerprint(),
            StopRequest(),
        )

    def whole(self) -> dict[str, Any]:
        """What the newest checkpoint held before anybody changed it."""
        data: dict[str, Any] = torch.load(io.BytesIO(self.content), weights_only=True)
        return data


@lru_cache
def _resumed() -> Resumed:
    logging.getLogger("cufft_harness").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # PyTorch's, about sparse and quantized tensors
    return Resumed(Path(_temporary().name))


@lru_cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def resume_from(seed: bytes) -> int:
    """Change the newest checkpoint as the bytes say, resume, and update the weights once; gives the epochs complete.

    Raises:
        Exception: a checkpoint that was accepted broke something, or one that was not stopped the run.
    """
    resumed = _resumed()
    data = mutate(resumed.whole(), seed)
    if isinstance(data.get("gpt"), dict) and random.Random(seed).random() < 0.5:
        with suppress(Exception):  # weights changed by somebody who knows how; most have no digest at all
            data["weights_sha256"] = weights_digest(data["gpt"])
    try:
        torch.save(data, resumed.newest)
    except Exception:  # nothing that anybody could write
        return 0
    trainer = resumed.trainer
    try:
        trainer.resume()
    except UserError:  # it says that it is of another model or of other adapters
        return 0
    for parameter in trainer.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    return trainer.complete_epochs
