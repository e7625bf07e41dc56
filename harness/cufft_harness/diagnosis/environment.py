# ruff: noqa: E501 (tables of patterns read better unbroken)
"""Versions and devices out of a report, each with how sure: printed, said, or what line numbers and releases give away."""

from __future__ import annotations

import re

from cufft_harness.diagnosis import hardware, releases, torch_versions
from cufft_harness.diagnosis.facts import Environment, Sure, Version
from cufft_harness.diagnosis.programs import Framework

# CUDA of the program that failed, in words that only a build, a package or the library itself has.
_PACKAGED = re.compile(
    r"(?:cuda used to build pytorch: |torch\.version\.cuda[^\n\d]{0,20}|pytorch-cuda[= ]{1,3}|cudatoolkit[=@ ]{1,24}|cuda-runtime[= ]{1,24}|"
    r"_cuda|torch for cuda[ :]{1,2}|built (?:with|for|against) cuda[ :]{1,2}|compiled (?:with|for|against) (?:the )?cuda[ :\-]{0,2}|"
    r"runtime api version: |cuda[\-_/]|module load cuda[/ ]|-cu(?=1[0-3]\.))(\d{1,2})\.(\d)(?!\d)",
    re.ASCII,
)
# Digits run together: cu117, cuda110, cupy-cuda102, .post117, "CUDA Build Version : 11020"
_TAGGED = re.compile(
    r"(?:cupy-cuda|\+cuda|\.post|paddlepaddle-gpu[^\n]{0,24}post|jax\[cuda|-cuda|cuda)(9|1[0-3])(\d)(?:x|_|\b)(?!\.)|"
    r"cupy-cuda(1[1-3])x()|cuda build version {0,24}: (\d{1,2})0(\d)0",
    re.ASCII,
)
# What people write, who may mean a toolkit beside it, or the host.
_SAID = re.compile(
    r"(?<![\-\w/])cuda(?:[ _-]?(?:toolkit|version|runtime version|runtime|版本))?[^\n\d]{0,6}(?:is )?[=:v ]{0,4}(8|9|1[0-4])(?:\.(\d))?(?![\d.%])",
    re.ASCII,
)
_TOOLKIT_ON_THE_SIDE = re.compile(r"driver|smi|nvcc|host|宿主|system")
# Of a version that should be taken, rather than is there: "consider cudatoolkit 11.8"
_WISHED = re.compile(
    r"(?:consider|should|need|upgrad\w{0,3}|switch\w{0,3}|chang\w{0,3}|pin\w{0,4}|increment|bump|require|try|instead|use)\b[^\n.]{0,40}$"
)
_CUFFT = re.compile(
    r"(?:nvidia-cufft(?:-cu\d\d)?|libcufft(?:\d\d)?(?:\.so)?|cufft(?: version)?)(?::amd64)?[=:. ]{1,24}v?(?:1[0-3]\.\d\.\d\+~)?((?:[89]|1[0-3])\.\d{1,2}\.\d{1,3}(?:\.\d{1,3})?)"
)
_CUFFT_NUMBER = re.compile(r"cufft version {0,24}[:=] {0,4}(\d{4,5})\b")
_DRIVER = re.compile(
    r"driver[^\n\d]{0,24}(\d{3})\.(\d{1,3})(?:\.(\d{1,3}))?|kernel module {1,3}(\d{3})\.(\d{1,3})(?:\.(\d{1,3}))?|\+ ?nvidia ?(\d{3})\.(\d{1,3})"
)
_DRIVER_CUDA = re.compile(r"cuda version: (\d{1,2})\.(\d)|driver api version: (\d{1,2})\.(\d)")
_FOUND = re.compile(r"driver on your system is too old \(found version (\d{4,5})\)")
_MEMORY = re.compile(
    r"(\d{1,6}) ?mi?b ?/ ?(\d{3,6}) ?mi?b|(\d{1,3}(?:\.\d{1,2})?) ?(?:gi?b?)? ?/ ?(\d{1,3}(?:\.\d{1,2})?) ?gi?b?\b"
)
_TENSORFLOW = re.compile(
    r"(?:tensorflow(?:-gpu|_gpu)?|tf)(?: ?version)?[ =:\-v]{0,4}([012]\.\d{1,2})(?:\.\d{1,2})?(?![\d%])"
)
_CONTAINER = re.compile(r"docker|singularity|apptainer|podman|container|\.sif\b")


def environment_of(text: str, framework: Framework = Framework.UNKNOWN) -> Environment:
    """Read versions and devices out of a lower-case text.

    Args:
        framework: who called cuFFT: only a PyTorch program's CUDA follows from PyTorch's version.
    """
    torch = torch_versions.read(text)
    cufft = _cufft(text)
    cuda, sure = _cuda(text, torch, cufft, framework)
    failing, working = hardware.gpus_in(text)
    found = _FOUND.search(text)
    return Environment(
        torch=torch.version,
        torch_from_frames=torch.from_frames,
        torch_or_later=torch.or_later,
        cuda=cuda,
        cuda_sure=sure,
        cufft=cufft,
        driver=_version(_DRIVER.search(text)),
        driver_cuda=_version(_DRIVER_CUDA.search(text)) if "smi" in text or "driver" in text else None,
        driver_found=(int(found.group(1)) // 1000, int(found.group(1)) % 1000 // 10) if found else None,
        gpus=failing,
        working_gpus=working,
        working=torch.working,
        memory_used=_memory_used(text),
    )


def _cuda(
    text: str, torch: torch_versions.TorchRead, cufft: Version | None, framework: Framework
) -> tuple[Version | None, Sure]:
    """The CUDA of the failing program's build, best known first."""
    is_torch = framework in (Framework.PYTORCH, Framework.UNKNOWN)
    if is_torch and torch.cuda:
        return torch.cuda, Sure.PRINTED
    if cufft:
        return releases.cuda_of_cufft(cufft), Sure.PRINTED
    packaged = _first(_PACKAGED, text) or (None if is_torch else _first(_TAGGED, text))
    if packaged:
        return packaged, Sure.PRINTED
    if "+rocm" in text:
        return None, Sure.NOT
    said = _said(text)
    if is_torch and torch.version:
        return _of_torch(torch, said), Sure.USUAL
    if said and not (_CONTAINER.search(text) and not is_torch):  # around a container, what people see is the host's
        return said[0], Sure.SAID
    if framework is Framework.TENSORFLOW and (match := _TENSORFLOW.search(text)):
        return releases.tensorflow_cuda(tuple(map(int, match[1].split(".")))), Sure.USUAL
    return None, Sure.NOT


def _first(pattern: re.Pattern[str], text: str) -> Version | None:
    """The first version that is there, rather than wished for."""
    found = (
        match for match in pattern.finditer(text) if not _WISHED.search(text, max(0, match.start() - 60), match.start())
    )
    return next((_version(match) for match in found), None)


def _of_torch(torch: torch_versions.TorchRead, said: list[Version]) -> Version:
    """What the user says CUDA is, if that PyTorch can have had it; else what that PyTorch usually brings."""
    version = torch.version or (0,)
    newest = releases.newest_cuda(version)
    oldest = (11, 8) if version >= (2, 1) else (10, 2) if version >= (1, 8) else (7, 5)
    fitting = [cuda for cuda in said if oldest <= cuda <= newest]
    return fitting[0] if fitting and not torch.from_frames else releases.default_cuda(version)


def _said(text: str) -> list[Version]:
    """Each CUDA version that is spoken of, but for those of the driver or of the toolkit beside it."""
    versions: list[Version] = []
    for match in _SAID.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not _TOOLKIT_ON_THE_SIDE.search(line[-60:]):
            versions.append((int(match[1]), int(match[2] or 0)))
    return versions


def _cufft(text: str) -> Version | None:
    if match := _CUFFT.search(text):
        return tuple(map(int, match.group(1).split(".")))
    if match := _CUFFT_NUMBER.search(text):  # cufftGetVersion: 10401 is 10.4.1, 9000 is 9.0
        number = int(match[1])
        return number // 1000, number % 1000 // 100, number % 100
    return None


def _memory_used(text: str) -> float | None:
    """The fullest GPU that "used / total" in MiB or GB shows; None if none is shown."""
    pairs = ((float(m[1] or m[3]), float(m[2] or m[4])) for m in _MEMORY.finditer(text))
    return max((used / total for used, total in pairs if 0 < used <= total), default=None)


def _version(match: re.Match[str] | None) -> Version | None:
    return tuple(int(group) for group in match.groups() if group) if match else None
