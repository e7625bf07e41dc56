"""How long training stands still for a sample, and how much memory both take: the original flow beside this project's.

Each side is a process of its own that trains the same model on the same clips, saves a checkpoint and wants a sample
of it. The original's (as its log names the stages): unload the training model, load stock TTS, synthesize, load the
training model back from disk; the loop waits. Ours: writing the checkpoint and the order; the worker speaks meanwhile.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from cufft_harness import processes
from cufft_harness.training import run as training_run
from cufft_harness.training.events import CheckpointWritten, EpochEnded, EpochStarted, Stepped
from cufft_harness.training.loop import Trainer
from cufft_harness.training.samples import RunSamples

from repro.benchmarks.pairs import Pair
from repro.benchmarks.run import ready, settings
from repro.benchmarks.sample import CODE_SECONDS, TEXT, stock

LIMIT = 900.0


def measure(directory: Path, folder: Path, device: str, tokens: int, repeats: int) -> Iterator[dict[str, object]]:
    """Rows of the results file."""
    sample = Pair("training stands still for a sample", goal="standstill")
    both = Pair("training stands still for checkpoint and sample together")
    save = Pair("training stands still for the checkpoint alone")
    memory = Pair("peak memory of training and sampling together", unit="GB", goal="memory", least=1)
    epoch = Pair("training epoch with a sample (ours) against without (baseline)", goal="epoch")
    for repeat in range(repeats):
        theirs = _child("original", directory, folder, device, tokens)
        ours = _child("ours", directory, folder, device, tokens)
        print(f"{repeat + 1}/{repeats} flow: {theirs} {ours}", flush=True)
        for their_save, their_sample, our_save, our_sample in zip(
            theirs["save"], theirs["sample"], ours["save"], ours["sample"], strict=True
        ):
            sample.add(their_sample, our_sample)
            save.add(their_save, our_save)
            both.add(their_save + their_sample, our_save + our_sample)
        memory.add(ours["memory_gb"], theirs["memory_gb"])  # as the goal has it: ours over theirs
        if device == "cuda":
            silent = _child("silent", directory, folder, device, tokens)
            epoch.add(ours["epoch"], silent["epoch"])
        stages = {name: round(value, 1) for name, value in theirs["stages"].items()}
        sample.remark = f"original: {stages}; ours: the order. {ours['samples']} of {ours['epochs']} samples made"
        if ours["samples"] != ours["epochs"]:
            sample.different = f"{ours['samples']} samples of {ours['epochs']} were made"
    save.remark = "ours makes a digest of the weights first, and reads the file back beside the next step"
    memory.remark = "trainer + worker over the original's process; without pages of files that are mapped"
    memory.what += ", ours (first) over the original's"
    yield from (pair.outcome() for pair in (sample, save, both, memory))
    if device == "cuda":
        epoch.what += ", as a ratio with / without"
        yield epoch.outcome()


def _child(side: str, directory: Path, folder: Path, device: str, tokens: int) -> dict[str, Any]:
    """Run one side in a process of its own and watch its memory."""
    output = folder / f"flow-{side}"
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "repro.benchmarks.flow", side, str(directory), str(output), device, str(tokens)]
    with Peak(device) as peak:
        peak.watch(process := processes.start(command))
        try:
            _out, errors = process.communicate(timeout=LIMIT)
        finally:
            processes.end(process)
    if process.returncode:
        raise RuntimeError(f"{side}: {errors.decode(errors='replace').strip().splitlines()[-1]}")
    found = json.loads((output / "found.json").read_text())
    shutil.rmtree(output)
    return {**found, "memory_gb": peak.gigabytes}


class Peak:
    """Highest memory of a process and all below it: that of the GPU on CUDA, else anonymous; read 20 times a second."""

    def __init__(self, device: str) -> None:
        self.gigabytes = 0.0
        self._device, self._root, self._over = device, 0, threading.Event()
        self._before = _gpu_bytes() if device == "cuda" else 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def watch(self, process: object) -> None:
        """Look at this process from now on."""
        self._root = process.pid  # type: ignore[attr-defined]
        self._thread.start()

    def __enter__(self) -> Peak:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            taken = _gpu_bytes() - self._before if self._device == "cuda" else _anonymous_bytes(self._root)
            self.gigabytes = max(self.gigabytes, taken / 1e9)


def _anonymous_bytes(pid: int) -> int:
    """Anonymous and shared memory of a process and its descendants."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon", "RssShmem")):
                total += int(line.split()[1]) * 1024
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_anonymous_bytes(int(child)) for child in children.read_text().split())
    except OSError:  # gone meanwhile
        pass
    return total


def _gpu_bytes() -> int:
    import pynvml

    pynvml.nvmlInit()
    return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used)


def _original(directory: Path, output: Path, device: str, tokens: int) -> dict[str, object]:
    found: dict[str, list[float]] = {"save": [], "sample": []}
    with ready(settings(directory, output, device, samples=False)) as (trainer, _prepared):
        path = output / "checkpoint.pt"
        for batch in trainer.data.train.epoch(1):
            trainer.update([batch])
        for _ in range(trainer.settings.num_epochs):
            found["save"].append(_timed(lambda: _plain_save(trainer, path)))
            stages = {"unload": _timed(lambda: trainer.model.to("cpu"))}
            spoken = stock(directory, "cpu", tokens, output / "sample.wav")
            gc.collect()
            stages |= {"load": spoken.seconds["load"], "synthesize": spoken.total - spoken.seconds["load"]}
            stages["reload"] = _timed(lambda: _plain_reload(trainer, path, device))
            found["sample"].append(sum(stages.values()))
    return {**found, "stages": stages}


def _plain_save(trainer: Trainer, path: Path) -> None:
    torch.save({"model": trainer.model.state_dict(), "optimizer": trainer.optimizer.state_dict()}, path)


def _plain_reload(trainer: Trainer, path: Path, device: str) -> None:
    saved = torch.load(path, map_location=device, weights_only=True)
    trainer.model.load_state_dict(saved["model"])
    trainer.optimizer.load_state_dict(saved["optimizer"])
    trainer.model.to(device)


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _ours(directory: Path, output: Path, device: str, tokens: int, samples: bool) -> dict[str, object]:
    """The whole product: what its events say about checkpoints and epochs, and a watch held beside the order."""
    seconds: dict[str, list[float]] = {"save": [], "order": [], "epoch": []}
    plain = RunSamples.order

    def timed(self: RunSamples, *arguments: Any, **named: Any) -> None:
        began = time.perf_counter()
        try:
            plain(self, *arguments, **named)
        finally:
            seconds["order"].append(time.perf_counter() - began)

    RunSamples.order = timed  # type: ignore[method-assign]
    chosen = settings(
        directory,
        output,
        device,
        samples=samples,
        sample_text=TEXT,
        sample_max_seconds=(tokens + 0.5) * CODE_SECONDS,
        validate_first=False,
    )
    began = time.perf_counter()
    for event in training_run.run(chosen):
        match event:
            case EpochStarted():
                began = time.perf_counter()
                seconds["epoch"].append(0.0)
            case Stepped():
                seconds["epoch"][-1] = time.perf_counter() - began
            case EpochEnded():
                began = time.perf_counter()
            case CheckpointWritten():
                seconds["save"].append(time.perf_counter() - began)
    return {
        "save": seconds["save"],
        "sample": seconds["order"] or [0.0] * len(seconds["save"]),
        "epoch": seconds["epoch"][-1],
        "epochs": len(seconds["epoch"]),
        "samples": len(list((output / "samples").glob("epoch_*_output.wav"))),
    }


def main() -> None:
    """One side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["original", "ours", "silent"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("device")
    parser.add_argument("tokens", type=int)
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # coqui's trainer package has set it to one
    where = given.directory, given.output, given.device, given.tokens
    found = _original(*where) if given.side == "original" else _ours(*where, samples=given.side == "ours")
    (given.output / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
