"""Which of the installed packages do not fit together, and the command that mends it. Nothing is imported to find out.

Versions come from package metadata, CUDA versions from the `version.py` that each of PyTorch's packages carries: a
package that cannot even be imported is examined all the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

SHOWN = ("torch", "torchaudio", "torchcodec", "transformers", "coqui-tts")
CPU = "cpu"
_LAST_TORCHAUDIO = (2, 11)
"""The last release of torchaudio, and the first that asks for no exact version of torch, but for its CUDA version."""
_LAST_CUDA = {"12.6", "12.8", "13.0"}
"""The CUDA versions that torchaudio 2.11 is built for, besides the CPU."""
# The torch that each torchcodec is for; 0.12 and later take all from 2.11. From its README, "Compatibility with torch
# versions".
_TORCHCODEC = {
    (0, 0): (2, 4), (0, 1): (2, 5), (0, 2): (2, 6), (0, 3): (2, 7), (0, 4): (2, 7), (0, 5): (2, 7), (0, 6): (2, 8),
    (0, 7): (2, 8), (0, 8): (2, 9), (0, 9): (2, 9), (0, 10): (2, 10), (0, 11): (2, 11),
}  # fmt: skip


class Harm(str, Enum):
    """What does not work because of a misfit."""

    TRAINING = "train and sample"
    OTHERS = "other programs"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        version: with its local part, where the package itself says more than its metadata does.
        cuda: such as "13.0", or "cpu"; None where it has none, or does not say.
    """

    name: str
    version: Version
    cuda: str | None = None

    @property
    def minor(self) -> tuple[int, int]:
        """The first two numbers of the version."""
        return self.version.major, self.version.minor

    def __str__(self) -> str:
        built = {None: "", CPU: " (CPU)"}.get(self.cuda, f" (CUDA {self.cuda})")
        return f"{self.name} {self.version.public}{built}"


@dataclass(frozen=True)
class Misfit:
    """Packages that do not fit together.

    Attributes:
        packages: their names.
        problem: what is wrong, one sentence.
        fix: the command that mends it.
    """

    packages: tuple[str, ...]
    harm: Harm
    problem: str
    fix: str


@dataclass(frozen=True)
class Installed:
    """The packages that matter, by normalised name, and what the `train` extra asks of them."""

    packages: Mapping[str, Package]
    required: tuple[Requirement, ...] = ()

    @property
    def summary(self) -> str:
        """The packages whose fit decides, in one line."""
        return ", ".join(str(self.packages.get(name, f"no {name}")) for name in SHOWN)


NOTHING = Installed({})


def read_installed(path: Sequence[str] | None = None) -> Installed:
    """Read what is installed on `path`, by default where this Python looks."""
    path = sys.path if path is None else path
    found: dict[str, metadata.Distribution] = {}
    required: list[Requirement] = []
    for distribution in metadata.distributions(path=list(path)):
        # the first on the path is the one that is imported; an interrupted installation leaves some without a name
        if name := distribution.metadata["Name"]:
            found.setdefault(canonicalize_name(name), distribution)
    if "cufft-harness" in found:
        marked = [Requirement(line) for line in found["cufft-harness"].requires or []]
        required = [one for one in marked if one.marker is None or one.marker.evaluate({"extra": "train"})]
    wanted = {*SHOWN, "tts", "coqpit", *(canonicalize_name(one.name) for one in required)}
    packages = {}
    for name in sorted(wanted & found.keys()):
        with suppress(InvalidVersion):  # somebody's own build under a name of its own: nothing can be said of it
            packages[name] = _package(name, found[name])
    return Installed(packages, tuple(required))


def _package(name: str, distribution: metadata.Distribution) -> Package:
    version, cuda = Version(distribution.version), None
    if name in ("torch", "torchaudio", "torchcodec"):
        own = _version_file(name, distribution)
        if stated := re.search(r"__version__ = ['\"]([^'\"]+)", own):
            version = Version(stated[1])
        if local := re.fullmatch(r"cu(\d+)(\d)", version.local or ""):
            cuda = f"{local[1]}.{local[2]}"
        elif number := re.search(r"^cuda[^=]*= ['\"](\d+\.\d+)", own, re.MULTILINE):
            cuda = number[1]
        elif version.local == CPU:
            cuda = CPU
    return Package(name, version, cuda)


def _version_file(name: str, distribution: metadata.Distribution) -> str:
    try:
        return Path(str(distribution.locate_file(f"{name}/version.py"))).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def misfits(installed: Installed) -> tuple[Misfit, ...]:
    """What does not fit, worst first."""
    found = [*_requirements(installed), *_old_tts(installed.packages), *_torchaudio(installed.packages)]
    found += _torchcodec(installed.packages)
    return tuple(sorted(found, key=lambda misfit: misfit.harm is not Harm.TRAINING))


def _requirements(installed: Installed) -> Iterable[Misfit]:
    """Packages of the `train` extra that are too old or too new, or missing where the rest of it is there."""
    if "coqui-tts" not in installed.packages:
        return  # nobody meant to train here
    for requirement in installed.required:
        package = installed.packages.get(canonicalize_name(requirement.name))
        if package is None:
            problem = f"{requirement.name} is missing"
        elif not requirement.specifier.contains(package.version, prereleases=True):
            problem = f"{package} is installed, and {requirement.name} {requirement.specifier} is asked for"
        else:
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        yield Misfit((requirement.name,), Harm.TRAINING, problem, f'pip install "{wanted}"')


def _old_tts(packages: Mapping[str, Package]) -> Iterable[Misfit]:
    """The original TTS and its coqpit have the same import names as coqui-tts and coqpit-config."""
    old = [name for name in ("tts", "coqpit") if name in packages]
    if old and "coqui-tts" in packages:
        yield Misfit(
            (*old, "coqui-tts"),
            Harm.TRAINING,
            f"{' and '.join(str(packages[name]) for name in old)} and {packages['coqui-tts']} overwrite each other",
            f"pip uninstall -y {' '.join(old)} && pip install --force-reinstall --no-deps coqui-tts coqpit-config",
        )


def _torchaudio(packages: Mapping[str, Package]) -> Iterable[Misfit]:
    """torchaudio refuses any PyTorch but the one it was built with; this package does without it."""
    torch, torchaudio = packages.get("torch"), packages.get("torchaudio")
    if not torch or not torchaudio:
        return
    exact = torchaudio.minor < _LAST_TORCHAUDIO
    if (exact and torch.minor != torchaudio.minor) or torch.minor < torchaudio.minor:
        problem = f"{torchaudio} is made for torch {torchaudio.minor[0]}.{torchaudio.minor[1]} and cannot be imported"
    elif torch.cuda and torchaudio.cuda and torch.cuda != torchaudio.cuda and torchaudio.cuda != CPU:
        problem = f"{torchaudio} is built for another CUDA version and refuses to be imported"
    else:
        return
    release = torch.version.base_version if torch.minor <= _LAST_TORCHAUDIO else "2.11.0"
    fix = f"pip install --force-reinstall --no-deps torchaudio=={release}"
    if torch.minor > _LAST_TORCHAUDIO and torch.cuda not in {*_LAST_CUDA, CPU, None}:
        fix = "pip uninstall -y torchaudio"  # there is none for this CUDA version
    elif torch.cuda:
        fix += f" --index-url https://download.pytorch.org/whl/{_tag(torch.cuda)}"
    problem += f" beside {torch}; cufft-harness does without it"
    yield Misfit(("torchaudio", "torch"), Harm.OTHERS, problem, fix)


def _torchcodec(packages: Mapping[str, Package]) -> Iterable[Misfit]:
    """torchcodec is what torchaudio and stock TTS read audio files with from torch 2.9 on."""
    torch, torchcodec = packages.get("torch"), packages.get("torchcodec")
    if not torch or not torchcodec:
        return
    made_for = _TORCHCODEC.get(torchcodec.minor)
    if torch.minor == made_for or (made_for is None and torch.minor >= _LAST_TORCHAUDIO):
        return
    fitting = max((minor for minor, made in _TORCHCODEC.items() if made == torch.minor), default=None)
    wanted = f"=={fitting[0]}.{fitting[1]}.*" if fitting else ">=0.12"
    meant = "2.11 and later" if made_for is None else f"{made_for[0]}.{made_for[1]}"
    problem = f"{torchcodec} is made for torch {meant} and may not load beside {torch}; cufft-harness does without it"
    yield Misfit(("torchcodec", "torch"), Harm.OTHERS, problem, f'pip install "torchcodec{wanted}"')


def _tag(cuda: str) -> str:
    return CPU if cuda == CPU else f"cu{cuda.replace('.', '')}"
