"""Programs run under `cufft-harness run`: what the parent tells them, what they do about it, what they report back.

The parent puts `launch/startup` on PYTHONPATH and its orders into one environment variable; Python child processes
inherit both. A process acts only when it imports torch, and not before: importing this module imports neither torch
nor the rest of the package.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "CUFFT_HARNESS_RUN"
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class LaunchConfig:
    """What a guarded process is to do.

    Attributes:
        mode: "guard" or "bypass".
        device: "cuda", "cpu", "cuda:1" ...
        verify: compare first results with products (guard only).
        directory: where each process leaves its account.
        inject: a fault to play, or "".
    """

    mode: str
    device: str
    verify: bool
    directory: str
    inject: str = ""


@dataclass(frozen=True)
class Caught:
    """One kind of failure, summed over all processes; the fields are those of `cufft_cufft_harness.fft.Entry`."""

    code: str
    operator: str
    shape: str
    dtype: str
    device: str
    outcome: str


def environment(orders: LaunchConfig, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a guarded program."""
    path = [str(_PACKAGE / "launch" / "startup"), *filter(None, [base.get("PYTHONPATH", "")])]
    return {**base, "PYTHONPATH": os.pathsep.join(path), VARIABLE: json.dumps(asdict(orders))}


def read_accounts(directory: Path) -> tuple[Counter[Caught], int]:
    """What all processes caught, and how many processes caught something."""
    total: Counter[Caught] = Counter()
    files = sorted(directory.glob("*.json"))
    for file in files:
        for row in json.loads(file.read_text(encoding="utf-8")):
            count = row.pop("count")
            total[Caught(**row)] += count
    return total, len(files)


def install() -> None:
    """Follow the orders of the environment as soon as this process has imported torch; without orders do nothing."""
    text = os.environ.get(VARIABLE)
    if text:
        sys.meta_path.insert(0, _TorchFinder(LaunchConfig(**json.loads(text))))


class _TorchFinder(importlib.abc.MetaPathFinder):
    """Lets everyone else find torch, and acts after it was imported."""

    def __init__(self, orders: LaunchConfig) -> None:
        self.orders = orders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torch":
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = _ThenGuard(spec.loader, self)
                    return spec
        return None


class _ThenGuard(importlib.abc.Loader):
    """torch's own loader, and then the guard."""

    def __init__(self, loader: Any, finder: _TorchFinder) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader  # nobody is to see that it was ever another
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        sys.meta_path.remove(self.finder)
        activate(self.finder.orders)


def activate(orders: LaunchConfig) -> None:
    """Open the layers for the rest of the process; it never fails the program."""
    try:
        fallback_log, injection, guarding = _import_our(
            "cufft_harness.fft.fallback_log", "cufft_harness.fft.injection", "cufft_harness.fft.guarding"
        )
        if orders.inject:
            injection.inject(orders.inject, orders.device)
        if orders.mode == "bypass":
            guarding.bypass(orders.device)
        else:
            report = _Report(Path(orders.directory))
            report.account = fallback_log.Account(on_change=report.write)
            guarding.guard(orders.device, verify=orders.verify, account=report.account)
    except Exception as error:
        # An old torch, a half-installed one: the program may still do what it did before.
        sys.stderr.write(f"cufft-harness run: this process is not guarded: {error}\n")


def _import_our(*names: str) -> list[ModuleType]:
    """Modules of this installation, which need not be one of the program's Python: found by their files."""
    if "cufft_harness" not in sys.modules:
        own = _PACKAGE / "__init__.py"
        spec = importlib.util.spec_from_file_location("cufft_harness", own, submodule_search_locations=[str(_PACKAGE)])
        if spec is None or spec.loader is None:
            raise ImportError("the package's files are gone")
        package = importlib.util.module_from_spec(spec)
        sys.modules["cufft_harness"] = package
        spec.loader.exec_module(package)
    return [importlib.import_module(name) for name in names]


class _Report:
    """Keeps this process's account on disk: at new entries, at powers of two, and at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.account: Any = None
        from multiprocessing import util

        atexit.register(self.write_all)
        util.register_after_fork(self, _Report.start_over)

    def start_over(self) -> None:
        """In a forked child: what the parent caught is the parent's; the child's end is not announced by atexit."""
        from multiprocessing import util

        self.account.clear()
        util.Finalize(self, self.write_all, exitpriority=0)

    def write_all(self) -> None:
        """Write the account, if there is anything in it."""
        if self.account is not None and len(self.account):
            self.write(self.account)

    def write(self, account: Any) -> None:
        """Write the account whole, to the file of this process."""
        rows = [
            {**asdict(entry), "outcome": entry.outcome.value, "count": count}
            for entry, count in account.entries().items()
        ]
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.directory, suffix=".part", delete=False
            ) as part:
                json.dump(rows, part)
            Path(part.name).replace(self.directory / f"{os.getpid()}.json")
        except OSError:  # the parent has gone and taken the directory along, or the disk is full: the program goes on
            return
