"""The way to a build for another CUDA, for each framework and as near as can be to the version a project has."""

from __future__ import annotations

from cufft_harness.diagnosis.facts import Environment, Version, version_text
from cufft_harness.diagnosis.programs import Framework, title_of
from cufft_harness.diagnosis.releases import newest_gpu, oldest_gpu
from cufft_harness.diagnosis.toml import load

# The indexes https://download.pytorch.org/whl/cuNNN, and the first and last PyTorch minor seen there.
_INDEXES: tuple[tuple[Version, Version, Version], ...] = (
    ((11, 8), (2, 0), (2, 7)), ((12, 1), (2, 1), (2, 5)), ((12, 4), (2, 4), (2, 6)), ((12, 6), (2, 6), (2, 10)),
    ((12, 8), (2, 7), (2, 10)), ((13, 0), (2, 9), (2, 99)),
)  # fmt: skip
_LAST_PATCH: dict[Version, int] = {
    (2, 0): 1,
    (2, 1): 2,
    (2, 2): 2,
    (2, 3): 1,
    (2, 4): 1,
    (2, 5): 1,
    (2, 6): 0,
    (2, 7): 1,
    (2, 9): 1,
}
_CUDAS: tuple[Version, ...] = ((10, 0), (10, 2), (11, 0), (11, 1), (11, 8), (12, 6), (12, 8), (12, 9), (13, 0))


def at_least(cuda: Version, framework: Framework, environment: Environment) -> tuple[str, ...]:
    """How to get a build for this CUDA or a later one; entries that begin with ``$ `` are commands."""
    if framework is Framework.PYTORCH:
        fitting = [index for index in _INDEXES if index[0] >= cuda]
        return _pytorch(fitting, environment)
    return _other("build", cuda, framework)


def at_most(cuda: Version, framework: Framework, environment: Environment) -> tuple[str, ...]:
    """How to get a build for this CUDA or an earlier one."""
    if framework is Framework.PYTORCH:
        fitting = [index for index in reversed(_INDEXES) if index[0] <= cuda]
        return _pytorch(fitting, environment)
    return _other("keep-build", cuda, framework)


def reinstall(environment: Environment) -> tuple[str, ...]:
    """Reinstall PyTorch as it is: the version that the project has, where it is known."""
    pin = f"=={version_text(environment.torch)}" if _exact(environment) else ""
    return (f"$ pip install --force-reinstall torch{pin}",)


def cuda_for_card(environment: Environment) -> Version | None:
    """The first CUDA release whose cuFFT knows all the cards it fails on; None if no card is known."""
    capability = max((gpu.capability for gpu in environment.gpus if gpu.capability), default=None)
    return next((cuda for cuda in _CUDAS if capability and newest_gpu(cuda) >= capability), None)


def last_cuda_for_card(environment: Environment) -> Version | None:
    """The last CUDA release that supports all the cards it fails on; None if no card is known."""
    capability = min((gpu.capability for gpu in environment.gpus if gpu.capability), default=None)
    return next((cuda for cuda in reversed(_CUDAS) if capability and oldest_gpu(cuda) <= capability), None)


def last_cuda_for_driver(environment: Environment) -> Version:
    """The last CUDA release before the major version that the driver is too old for."""
    supported = environment.driver_found or environment.driver_cuda
    if supported and supported < (12,):
        return 11, 8
    return 12, 8


def _pytorch(indexes: list[tuple[Version, Version, Version]], environment: Environment) -> tuple[str, ...]:
    """A pip command that keeps the project's PyTorch where such a build of it exists, else takes the nearest."""
    torch = environment.torch[:2] if environment.torch else None
    if torch is None or not indexes:
        cuda, since, last = indexes[0] if indexes else _INDEXES[0]
        spoken = f"{version_text(since)} to {version_text(last)}" if last < (2, 99) else f"{version_text(since)} on"
        return (
            f"Any build of PyTorch {spoken}; put ==VERSION behind both names to keep the project's own:",
            f"$ pip install --force-reinstall torch torchaudio --index-url {_index(cuda)}",
        )
    same = [index for index in indexes if index[1] <= torch <= index[2]]
    if same:
        return ("The same PyTorch, built for another CUDA:", _command(environment, torch, same[0][0]))
    newer = [index for index in indexes if index[1] > torch]
    cuda, since, last = min(newer, key=lambda index: index[1]) if newer else max(indexes, key=lambda index: index[2])
    nearest = since if newer else last
    return (
        f"There is no such build of PyTorch {version_text(torch)}; the nearest is {version_text(nearest)}:",
        _command(environment, nearest, cuda),
    )


def _command(environment: Environment, torch: Version, cuda: Version) -> str:
    own = environment.torch if _exact(environment) else None
    version = version_text(own) if own and own[:2] == torch else _last(torch)
    return f"$ pip install torch=={version} torchaudio=={_audio(version)} --force-reinstall --index-url {_index(cuda)}"


def _exact(environment: Environment) -> bool:
    """The version is known to the patch, as stated."""
    return bool(environment.torch) and len(environment.torch or ()) == 3 and not environment.torch_or_later


def _last(torch: Version) -> str:
    return f"{version_text(torch)}.{_LAST_PATCH.get(torch, 0)}"


def _audio(torch: str) -> str:
    """The torchaudio of a PyTorch release: of the same version, but in 2.0 a patch ahead; 2.11.0 is the last."""
    major, minor, patch = map(int, torch.split("."))
    if (major, minor) == (2, 0):
        return f"2.0.{patch + 1}"
    return torch if (major, minor) < (2, 12) else "2.11.0"


def _index(cuda: Version) -> str:
    return f"https://download.pytorch.org/whl/cu{''.join(map(str, cuda))}"


def _other(kind: str, cuda: Version, framework: Framework) -> tuple[str, ...]:
    table = load("remedies.toml")[kind]
    lines = table.get(framework.value, table["any"])
    facts = {"cuda": version_text(cuda), "major": str(cuda[0]), "program": title_of(framework)}
    return tuple(line.format_map(facts) for line in lines)
