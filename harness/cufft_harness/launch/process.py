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
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from cufft_harness.launch import children
else:  # by its file, as this one may have been loaded itself: a program without torch sees nothing of the package
    _spec = importlib.util.spec_from_file_location("_cufft_harness_children", Path(__file__).with_name("children.py"))
    children = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(children)

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
    """One kind of failure, summed over all processes; the fields are those of `cufft_harness.fft.Entry`."""

    code: str
    operator: str
    shape: str
    dtype: str
    device: str
    outcome: str


@dataclass(frozen=True)
class Accounts:
    """What all processes that imported torch left.

    Attributes:
        caught: the failures, counted.
        saved: processes in which something was caught.
        guarded: processes that were guarded.
        without_device: of these, those whose PyTorch had no such device, where a fault was to be played.
        idle: of these, those that had the device and ran no FFT on it, where a fault was to be played.
        unguarded: Python processes that were seen started without the guard, by what they were started with.
    """

    caught: Counter[Caught]
    saved: int
    guarded: int
    without_device: int
    idle: int
    unguarded: Counter[str]


def environment(orders: LaunchConfig, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a guarded program."""
    path = [str(_PACKAGE / "launch" / "startup"), *filter(None, [base.get("PYTHONPATH", "")])]
    return {**base, "PYTHONPATH": os.pathsep.join(path), VARIABLE: json.dumps(asdict(orders))}


def read_accounts(directory: Path) -> Accounts:
    """What all processes left in `directory`."""
    left = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(directory.glob("*.json"))]
    caught: Counter[Caught] = Counter()
    for account in left:
        for row in account["caught"]:
            count = row.pop("count")
            caught[Caught(**row)] += count
    return Accounts(
        caught=caught,
        saved=sum(bool(account["caught"]) for account in left),
        guarded=len(left),
        without_device=sum(account["has_device"] is False for account in left),
        idle=sum(account["injected"] == 0 and account["has_device"] is True for account in left),
        unguarded=children.read(directory),
    )


def install() -> None:
    """Follow the orders of the environment as soon as this process has imported torch; without orders do nothing."""
    text = os.environ.get(VARIABLE)
    if not text:
        return
    try:
        orders = LaunchConfig(**json.loads(text))
    except (ValueError, TypeError):  # somebody else's variable: the program is none the worse for it
        sys.stderr.write(f"cufft-harness run: this process is not guarded: {VARIABLE} is not what `run` sets\n")
        return
    sys.meta_path.insert(0, _TorchFinder(orders))
    children.watch(Path(orders.directory), str(_PACKAGE / "launch" / "startup"))


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

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)  # `get_filename`, `is_package` ...: asked of it through `find_spec("torch")`

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
        report = _Report(Path(orders.directory))
        if orders.inject:
            report.device, report.injection = orders.device, injection.inject(orders.device, orders.inject)
        if orders.mode == "bypass":
            guarding.bypass(orders.device)
        else:
            report.account = fallback_log.Account(on_change=report.write)
            guarding.guard(orders.device, verify=orders.verify, account=report.account)
        report.write(report.account)  # a process that is killed was guarded, too
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
    """Keeps this process's account on disk: at the start, at new entries, at powers of two, and at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.account: Any = None
        self.injection: Any = None
        self.device = ""
        self._has_device: bool | None = None
        from multiprocessing import util

        atexit.register(self.write_all)
        sys.addaudithook(self._before_exec)
        self._exit = os._exit
        os._exit = self._write_and_exit
        util.register_after_fork(self, _Report.start_over)

    def start_over(self) -> None:
        """In a forked child: what the parent caught is the parent's; the child's end is not announced by atexit."""
        from multiprocessing import util

        if self.account is not None:
            self.account.clear()
        if self.injection is not None:
            self.injection.seen = 0
        util.Finalize(self, self.write_all, exitpriority=0)

    def _before_exec(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.exec":  # this process goes on as another program, and nothing at its end is called
            self.write(self.account)

    def _write_and_exit(self, status: int) -> NoReturn:
        self.write(self.account)
        self._exit(status)

    def write_all(self) -> None:
        """Write the account at the end, when asking for the device can no longer disturb the program."""
        if self.injection is not None:
            self._has_device = _has(self.device)
        self.write(self.account)

    def write(self, account: Any) -> None:
        """Write the account whole, to the file of this process."""
        entries = account.entries() if account is not None else {}
        caught = [{**asdict(entry), "outcome": entry.outcome.value, "count": count} for entry, count in entries.items()]
        injected = self.injection.seen if self.injection is not None else None
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.directory, suffix=".part", delete=False
            ) as part:
                json.dump({"caught": caught, "injected": injected, "has_device": self._has_device}, part)
            Path(part.name).replace(self.directory / f"{os.getpid()}.json")
        except OSError:  # the parent has gone and taken the directory along, or the disk is full: the program goes on
            return


def _has(name: str) -> bool | None:
    """Whether PyTorch has the device; None where it does not say."""
    torch: Any = sys.modules["torch"]  # the program's
    try:
        device = torch.device(name)
        return bool(device.type != "cuda" or (device.index or 0) < torch.cuda.device_count())
    except Exception:
        return None
