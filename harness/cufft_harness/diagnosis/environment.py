# ruff: noqa: E501 (tables of patterns read better unbroken)
"""Versions and devices out of a report: what is printed, what is said, and what line numbers give away."""

from __future__ import annotations

import re

from cufft_harness.diagnosis import hardware
from cufft_harness.diagnosis.facts import Environment, Version

_TORCH = re.compile(
    r"(?<![\w\-/])(?:py)?torch(?:\.__version__|[ _]version)?[`'\"*)\]]{0,3}[ \t]{0,24}(?:==|=|:|->|-|\(|,|\||\bis\b|\bversion\b)?"
    r"[ \t]{0,24}['\"`(v:]{0,3}[ \t]{0,3}(\d\.\d{1,2}(?:\.\d{1,2})?)(?![\d%])[a-z\d.]{0,16}(?:\+(cu\d{2,3}|rocm|cpu))?",
    re.ASCII,
)
_LOCAL = re.compile(r"\b(\d\.\d{1,2}(?:\.\d{1,2})?)[a-z\d.]{0,16}\+cu(\d{2})(\d)\b", re.ASCII)
_PRINTED = re.compile(r"torch\.__version__[^\n]{0,4}\n[^\d\n]{0,5}(\d\.\d{1,2}\.\d{1,2})")
_TAG = re.compile(r"\bcu(9[02]|1[0-4])(\d)?\b(?!\.\w)", re.ASCII)
_BUILD = re.compile(
    r"(?:cuda used to build pytorch: |torch\.version\.cuda[^\n\d]{0,20}|pytorch-cuda[= ]{1,3}|cudatoolkit[= ]{1,12}|"
    r"_cuda|torch for cuda[ :]{1,2}|built (?:with|for|against) cuda[ :]{1,2})(\d{1,2})\.(\d)",
    re.ASCII,
)
_SAID = re.compile(
    r"(?<![\-\w])cuda(?:[ _]?(?:toolkit|version|runtime version))?[^\n\d]{0,6}(?:is )?[=:v ]{0,3}(8|9|1[0-4])(?:\.(\d))?(?![\d.%])",
    re.ASCII,
)
_CUFFT = re.compile(
    r"(?:nvidia-cufft(?:-cu\d\d)?|libcufft|cufft(?: version)?)[=: ]{1,24}v?(1[0-3]\.\d{1,2}\.\d{1,3}(?:\.\d{1,3})?)"
)
_DRIVER = re.compile(
    r"driver[^\n\d]{0,24}(\d{3})\.(\d{1,3})(?:\.(\d{1,3}))?|kernel module {1,3}(\d{3})\.(\d{1,3})(?:\.(\d{1,3}))?"
)
_DRIVER_CUDA = re.compile(r"cuda version: (\d{1,2})\.(\d)")
_FOUND = re.compile(r"driver on your system is too old \(found version (\d{4,5})\)")
_MEMORY = re.compile(
    r"(\d{1,6}) ?mi?b ?/ ?(\d{3,6}) ?mi?b|(\d{1,3}(?:\.\d{1,2})?) ?(?:gi?b?)? ?/ ?(\d{1,3}(?:\.\d{1,2})?) ?gi?b?\b"
)
_WORKS = re.compile(
    r"\b(?:works?|worked|working|fine|ok|solved|fixed|fixes|cured|resolved|helped|no error|fix)\b|没问题|解决|正常"
)
_BROKEN = re.compile(
    r"(?:not|n't|doesn't|don't|no longer|stops?|isn't) work|without success|not ok|(?:not|n't) fixed|should be ok"
)

# Line numbers of torch/functional.py (in stft) and torch/nn/modules/module.py (in _call_impl) per release: tracebacks
# betray the version where the report does not state it.
_FRAME_VERSIONS: dict[str, dict[int, Version]] = {
    "functional.py": {
        465: (1, 6), 515: (1, 7), 516: (1, 7), 573: (1, 9), 579: (1, 9), 580: (1, 10), 605: (1, 12), 606: (1, 12),
        632: (1, 13), 639: (2, 0), 640: (2, 0), 641: (2, 0), 650: (2, 1), 660: (2, 2), 665: (2, 3), 666: (2, 4),
    },
    "module.py": {
        532: (1, 4), 550: (1, 5), 722: (1, 6), 727: (1, 7), 744: (1, 7), 889: (1, 8), 1051: (1, 9), 1071: (1, 9),
        1102: (1, 10), 1110: (1, 11), 1128: (1, 12), 1130: (1, 12), 1148: (1, 12), 1190: (1, 13), 1194: (1, 13),
        1208: (1, 13), 1212: (1, 13), 1501: (2, 0), 1518: (2, 1), 1527: (2, 1), 1511: (2, 2), 1520: (2, 2),
        1532: (2, 3), 1541: (2, 3), 1553: (2, 4), 1562: (2, 4), 1736: (2, 5), 1747: (2, 5), 1739: (2, 6),
        1750: (2, 6), 1751: (2, 7), 1762: (2, 7), 1773: (2, 8), 1784: (2, 8), 1775: (2, 9), 1786: (2, 9),
    },
}  # fmt: skip
_FRAMES = re.compile(r"torch[/\\](?:nn[/\\]modules[/\\])?(functional\.py|module\.py)\"?,? ?(?:line |:)(\d{3,4})")


def environment_of(text: str) -> Environment:
    """Read versions and devices out of a lower-case text."""
    stated = _torch_versions(text)
    failing = [pair for pair, works in stated if not works]
    working = [pair for pair, works in stated if works] if failing else []
    failing = failing or [pair for pair, _ in stated]
    torch, cuda = failing[0] if failing else (None, None)
    from_frames = False
    if torch is None:
        torch = _torch_from_frames(text)
        from_frames = torch is not None
    cufft = _version(_CUFFT.search(text), split=True)
    cuda = cuda or _version(_BUILD.search(text)) or (hardware.cuda_of_cufft(cufft) if cufft else None)
    guessed = cuda is None
    if guessed and "+rocm" not in text:
        cuda = _guess_cuda(text, torch, from_frames)
    found = _FOUND.search(text)
    return Environment(
        torch=torch,
        torch_from_frames=from_frames,
        cuda=cuda,
        cuda_guessed=guessed,
        cufft=cufft,
        driver=_version(_DRIVER.search(text)),
        driver_cuda=_version(_DRIVER_CUDA.search(text)) if "smi" in text or "driver" in text else None,
        driver_found=(int(found.group(1)) // 1000, int(found.group(1)) % 1000 // 10) if found else None,
        gpus=hardware.gpus_in(text),
        working=tuple(working),
        memory_used=_memory_used(text),
    )


def _memory_used(text: str) -> float | None:
    """The fullest GPU that "used / total" in MiB or GB shows; None if none is shown."""
    pairs = ((float(m[1] or m[3]), float(m[2] or m[4])) for m in _MEMORY.finditer(text))
    return max((used / total for used, total in pairs if 0 < used <= total), default=None)


def _version(match: re.Match[str] | None, split: bool = False) -> Version | None:
    if match is None:
        return None
    if split:
        return tuple(map(int, match.group(1).split(".")))
    return tuple(int(group) for group in match.groups() if group is not None)


def _torch_versions(text: str) -> list[tuple[tuple[Version | None, Version | None], bool]]:
    """Each (PyTorch, CUDA) stated, in order, and whether that build is said to work."""
    found: dict[int, tuple[Version | None, Version | None]] = {}
    for match in _TORCH.finditer(text):
        tag = match.group(2) or ""
        cuda = (int(tag[2:-1]), int(tag[-1])) if tag.startswith("cu") else None
        found[match.start(1)] = (tuple(map(int, match.group(1).split("."))), cuda)
    for match in _LOCAL.finditer(text):
        found[match.start(1)] = (tuple(map(int, match.group(1).split("."))), (int(match.group(2)), int(match.group(3))))
    for match in _PRINTED.finditer(text):
        found.setdefault(match.start(1), (tuple(map(int, match.group(1).split("."))), None))
    if not found:
        for match in _TAG.finditer(text):
            digits = match.group(1) + (match.group(2) or "")
            cuda = (int(digits[:-1]), int(digits[-1])) if len(digits) == 3 or digits[0] == "9" else None
            if cuda:
                found[match.start()] = (None, cuda)
    return [
        (found[at], _said_to_work(text, at))
        for at in sorted(found)
        if (found[at][0] or (9,))[0] < 3 or not found[at][0]
    ]


def _said_to_work(text: str, at: int) -> bool:
    """The clause around `at` says that this build works or cures."""
    start = max(text.rfind("\n", 0, at), text.rfind(". ", 0, at), text.rfind("; ", 0, at), at - 160) + 1
    ends = [end for end in (text.find("\n", at), text.find(". ", at), text.find("; ", at)) if end >= 0]
    clause = text[start : min([*ends, at + 120])]
    return bool(_WORKS.search(clause)) and not _BROKEN.search(clause)


def _torch_from_frames(text: str) -> Version | None:
    seen = [_FRAME_VERSIONS[match[1]].get(int(match[2])) for match in _FRAMES.finditer(text)]
    return next((version for version in seen if version), None)


def _guess_cuda(text: str, torch: Version | None, from_frames: bool) -> Version | None:
    """What the user says CUDA is, if that PyTorch can have had it; else what that PyTorch usually brings."""
    said = [
        (int(match[1]), int(match[2] or 0))
        for match in _SAID.finditer(text)
        if "driver" not in text[max(0, match.start() - 60) : match.start()]
    ]
    if torch is None:
        return said[0] if said else None
    newest = hardware.newest_cuda(torch)
    oldest = (11, 8) if torch >= (2, 1) else (10, 2) if torch >= (1, 8) else (7, 5)
    fitting = [cuda for cuda in said if oldest <= cuda <= newest]
    return fitting[0] if fitting and not from_frames else hardware.default_cuda(torch)
