"""cufft_harness.checkpoints.schema: whatever a file holds in place of what it should, it is refused with one line."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cufft_harness import weights
from cufft_harness.checkpoints import BrokenCheckpoint, CheckpointFolder, load, schema, verify
from cufft_harness.errors import MachineError
from test_checkpoints import as_written, checkpoint
from test_training import final, run, uninterrupted  # noqa: F401 - a fixture
from torch.torch_version import TorchVersion

from repro.fuzz.checkpoints import tensors


def recursive() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def at(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The same with `value` in place of what is at `path`."""
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value


MOMENT, STEP = ("optimizer", "state", 0, "exp_avg"), ("optimizer", "state", 0, "step")
WRONG: list[tuple[tuple[Any, ...], Any]] = [
    (MOMENT, None),
    (STEP, torch.tensor(1e30)),
    (STEP, torch.tensor(float("nan"))),
    (STEP, torch.tensor(-1.0)),
    (STEP, 3),
    (("optimizer", "state", 0), {}),
    (("optimizer", "state", -1), {}),
    (("optimizer", "state", "0"), {}),
    (("optimizer", "state"), []),
    (("optimizer",), {}),
    (("gpt", "a.weight"), None),
    (("gpt", 7), torch.ones(2)),
    (("gpt", "\udce9"), torch.ones(2)),
    (("gpt", "\x1b[2J"), torch.ones(2)),
    (("adapters",), None),
    (("position", "batch"), 2**60),
    (("position", "batch"), True),
    (("position", "update"), 1.5),
    (("position", "epoch"), 0),
    (("position", "epoch"), 2**40),
    (("history",), {}),
    (("history",), recursive()),
    (("history", 0, "epoch"), 5),
    (("history", 0, "train"), "3"),
    (("history", 0, "train"), True),
    (("running",), [0.0] * 3),
    (("running",), [0.0, 0.0, 0.0, 5.0]),
    (("running",), [float("nan"), 0.0, 0.0, 0.0]),
    (("best_validation",), None),
    (("scheduler",), None),
    (("scheduler", "decay_epochs"), 0),
    (("scheduler", "decay_epochs"), float("nan")),
    (("scheduler", "decay_epochs"), "3"),
    (("processes",), 0),
    (("rng", "others"), 3),
    (("rng", "others"), [{}]),
    (("scaler",), {"scale": 1.0}),
    (("scaler",), dict.fromkeys(schema.SCALER, 0.0)),
    (("scaler",), dict.fromkeys(schema.SCALER, float("inf"))),
    (("rng",), {}),
    (("rng", "torch"), torch.zeros(5056, dtype=torch.uint8)),
    (("rng", "torch"), torch.zeros(3, dtype=torch.uint8)),
    (("rng", "torch"), None),
    (("rng", "cuda"), [torch.zeros(3, dtype=torch.uint8)]),
    (("rng", "cuda"), None),
    (("rng", "python"), None),
    (("rng", "python"), (3, (1, 2), None)),
    (("rng", "python"), (3, (*range(624), 2**40), None)),
    (("rng", "python"), (4, tuple(range(625)), None)),
    (("rng", "python"), (3, tuple(range(625)), "x")),
    (("settings",), recursive()),
    (("settings", "seed"), recursive()),
    (("settings", "seed"), float("nan")),
    (("settings", "seed"), torch.ones(1)),
    (("format",), torch.ones(3)),
    (("format",), True),
    (("weights_sha256",), "x" * 1000),
    (("model_fingerprint",), None),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[str(path) for path, _ in WRONG])
def test_a_wrong_part_is_named(tmp_path: Path, path: tuple[Any, ...], value: Any):
    """Wherever it is: one line, and no other error."""
    data = as_written(checkpoint(1))
    file = CheckpointFolder(tmp_path).epoch_path(1)
    torch.save(data, file)
    verify(file)
    at(data, path, value)
    torch.save(data, file)
    with pytest.raises(BrokenCheckpoint) as caught:
        verify(file)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("place", [MOMENT, ("gpt", "a.weight"), ("rng", "torch"), STEP])
@pytest.mark.parametrize("kind", [kind for kind in tensors() if kind != "of another shape"])
def test_a_tensor_of_another_kind_is_refused(tmp_path: Path, place: tuple[Any, ...], kind: str):
    """Sparse, nested, meta, conjugate, expanded, transposed and other tensors raise nothing but the one error."""
    data = as_written(checkpoint(1))
    at(data, place, tensors()[kind])
    file = CheckpointFolder(tmp_path).epoch_path(1)
    torch.save(data, file)
    with pytest.raises(BrokenCheckpoint):
        verify(file)


def test_an_ordered_dictionary_is_a_dictionary(tmp_path: Path):
    """PyTorch's own state dictionaries are such."""
    data = as_written(checkpoint(1))
    file = CheckpointFolder(tmp_path).epoch_path(1)
    torch.save(data | {"gpt": OrderedDict(data["gpt"])}, file)
    verify(file)


def shorten_moment(data: dict[str, Any]) -> None:
    at(data, MOMENT, torch.ones(1))


def claim_moment(data: dict[str, Any]) -> None:
    at(data, MOMENT, torch.ones(1).expand(data["optimizer"]["state"][0]["exp_avg"].shape))


def lower_precision(data: dict[str, Any]) -> None:
    at(data, MOMENT, data["optimizer"]["state"][0]["exp_avg"].half())


def more_parameters(data: dict[str, Any]) -> None:
    data["optimizer"]["state"][10**6] = data["optimizer"]["state"][0]


def batch_that_never_was(data: dict[str, Any]) -> None:
    data["position"]["batch"] = 2**40


def of_another_optimizer(data: dict[str, Any]) -> None:
    moments = data["optimizer"]["state"][0]
    for old, new in (("exp_avg", "state1"), ("exp_avg_sq", "state2")):
        moments[new] = moments.pop(old)


def other_weights(data: dict[str, Any]) -> None:
    data["gpt"] = {"a": torch.ones(1)}
    data["weights_sha256"] = weights.weights_digest(data["gpt"])


CRAFTED = [
    shorten_moment,
    claim_moment,
    lower_precision,
    more_parameters,
    batch_that_never_was,
    of_another_optimizer,
    other_weights,
]


@pytest.mark.parametrize("craft", CRAFTED)
def test_a_crafted_checkpoint_does_not_fit_the_run(tmp_path: Path, craft: Callable[[dict[str, Any]], None]):
    """Sound as an archive, and of nothing but plain tensors and numbers: it is not what the run could have written."""
    file = CheckpointFolder(tmp_path).epoch_path(1)
    data = as_written(checkpoint(1))
    own = schema.Run(data["gpt"], {}, [data["gpt"]["a.weight"]], batches=10)
    torch.save(data, file)
    schema.check_fits(verify(file), own)
    craft(data)
    torch.save(data, file)
    with pytest.raises(BrokenCheckpoint):
        schema.check_fits(verify(file), own)


def eight_bit(size: int, wrapped: bool) -> dict[str, Any]:
    """The state of one parameter as bitsandbytes' AdamW8bit makes and saves it."""
    moments = {name: torch.zeros(size, size, dtype=torch.uint8) for name in schema.MOMENTS_8BIT}
    maps = {name: torch.zeros(256) for name in ("qmap1", "qmap2")}
    scales = {name: torch.zeros(-(-(size**2) // 256)) for name in ("absmax1", "absmax2")}
    state = {**moments, **maps, **scales}
    return {"step": 3, schema.WRAPPED: state} if wrapped else {"step": 3, **state}


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("spoilt", ["", "state1", "qmap2", "absmax1"])
def test_the_state_of_8_bits_is_as_long_as_its_parameter(tmp_path: Path, wrapped: bool, spoilt: str):
    """Its scales and levels, too: the kernel reads them by the parameter's length."""
    file = CheckpointFolder(tmp_path).epoch_path(1)
    data = as_written(checkpoint(1))
    data["optimizer"]["state"][0] = state = eight_bit(64, wrapped)
    if spoilt:
        (state[schema.WRAPPED] if wrapped else state)[spoilt] = torch.zeros(3)
    torch.save(data, file)
    own = schema.Run(data["gpt"], {}, [data["gpt"]["a.weight"]], batches=10, eight_bit=True)
    if not spoilt:
        schema.check_fits(verify(file), own)
        return
    with pytest.raises(BrokenCheckpoint):
        schema.check_fits(verify(file), own)


@pytest.mark.parametrize("craft", [claim_moment, batch_that_never_was])
def test_a_crafted_checkpoint_costs_one_epoch_only(
    short_run: dict[str, Any],
    uninterrupted: Path,  # noqa: F811
    tmp_path: Path,
    craft: Callable[[dict[str, Any]], None],
    caplog,
):
    """It would have made the optimizer read and write elsewhere, or the run stand still.

    The run goes on from the one before it, and ends bit-equal.
    """
    output = shutil.copytree(uninterrupted, tmp_path / "out")
    newest = output / "checkpoints" / "checkpoint_epoch_2.pt"
    data = torch.load(newest, weights_only=True)
    craft(data)
    newest.unlink()
    torch.save(data, newest)
    (newest.parent / "best_model.pt").unlink()
    assert run(short_run, output) == 0
    assert "from checkpoint_epoch_1.pt" in (output / "train.log").read_text()
    assert final(output).weights_sha256 == final(uninterrupted).weights_sha256


def test_hyperparameters_of_a_file_are_not_taken(
    short_run: dict[str, Any],
    uninterrupted: Path,  # noqa: F811
    tmp_path: Path,
):
    """What the optimizer and the schedule are is this session's; a file says how far they came, and nothing else."""
    output = shutil.copytree(uninterrupted, tmp_path / "out")
    newest = output / "checkpoints" / "checkpoint_epoch_1.pt"
    data = torch.load(newest, weights_only=True)
    data["optimizer"]["param_groups"] = [{"amsgrad": True, "capturable": True, "lr": "x", "params": "nobody's"}]
    data["scheduler"] |= {"base_lrs": None, "step": 3, "lr_lambdas": 7, "__class__": 1}
    del data["processes"]  # as before several processes were counted
    for path in newest.parent.iterdir():
        path.unlink()
    torch.save(data, newest)
    assert run(short_run, output) == 0
    assert final(output).weights_sha256 == final(uninterrupted).weights_sha256


@pytest.mark.parametrize("version", ["2.0.1", "2.5.1+cu124", "2.6.0a0"])
def test_an_old_pytorch_reads_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str):
    """One that a file can make run code: the reason is said, and it is the same for every file of weights."""
    path = CheckpointFolder(tmp_path).save(checkpoint(1))
    monkeypatch.setattr(torch, "__version__", TorchVersion(version))
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(MachineError, match=r"CVE-2025-32434") as caught:
        load(path)
    assert "torch>=2.6" in caught.value.advice
