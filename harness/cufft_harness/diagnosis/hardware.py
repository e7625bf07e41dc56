# ruff: noqa: E501 (tables of patterns read better unbroken)
"""Which GPU has which compute capability, which PyTorch brings which CUDA, which cuFFT knows which GPU."""

from __future__ import annotations

import re

from cufft_harness.diagnosis.facts import Gpu, Version

# NVIDIA's table of CUDA-capable GPUs, https://developer.nvidia.com/cuda-gpus. Names as people write them: the word
# RTX or GeForce is often left out, "RX 4090" is met. A short name such as L4 or T4 needs a word beside it (`_NAMED`).
_NAMED = r"(?:nvidia|tesla|geforce|gpu|card|graphics|quadro|an?|on|with|single|google|gcp|aws|x)[ :(\-]{1,3}"
_TABLE: tuple[tuple[str, Version], ...] = (
    (r"rtx pro \d000 ?blackwell|rtx pro \d000", (12, 0)),
    (r"(?:rtx|geforce|rx)[ \-_]{0,2}50[5-9]0(?: ?ti| ?super| ?d\b)?|\b50[7-9]0(?: ?ti)?\b", (12, 0)),
    (r"\bgb10\b|dgx spark", (12, 1)),
    (r"\bg?b[12]00\b", (10, 0)),
    (r"\bg?b300\b", (10, 3)),
    (r"\bg?h[12]00\b|\bh800\b|\bh20\b", (9, 0)),
    (r"rtx[ \-_]{0,2}\d000[ \-_]{0,2}(?:sff )?ada(?: generation)?|\d000 ada\b|ada lovelace", (8, 9)),
    (r"(?:rtx|geforce|rx)[ \-_]{0,2}40[5-9]0(?: ?ti| ?super| ?d\b)?|\b40[6-9]0(?: ?ti| ?d\b)?\b", (8, 9)),
    (r"\bl40s?\b|\bl20\b|" + _NAMED + r"l[24]\b|\bl4 gpu", (8, 9)),
    (r"(?:rtx|geforce|rx)[ \-_]{0,2}30[5-9]0(?: ?ti)?|\b30[6-9]0(?: ?ti)?\b", (8, 6)),
    (r"rtx[ \-_]{0,2}a[2-6]0{2,3}\b|\ba[456]000\b|\ba40\b|" + _NAMED + r"a(?:10g?|16|2)\b|\ba10g\b", (8, 6)),
    (r"\ba[18]00\b|\ba30\b", (8, 0)),
    (r"\borin\b", (8, 7)),
    (r"(?:rtx|geforce|rx)[ \-_]{0,2}20[5-8]0(?: ?ti| ?super)?|\b20[678]0(?: ?ti)?\b|titan rtx|quadro rtx ?\d000", (7, 5)),
    (r"(?:gtx|geforce)[ \-_]{0,2}16[356]0(?: ?ti| ?super)?|\b16[56]0 ?(?:ti|super)\b|" + _NAMED + r"t4\b|\bt4 (?:gpu|x ?2)|2 ?x ?t4\b|(?:colab|kaggle)[^\n]{0,20}\bt4\b|\bt[456]00\b", (7, 5)),
    (r"\bv100\w{0,2}\b|titan v\b", (7, 0)),
    (r"\bxavier\b", (7, 2)),
    (r"(?:gtx|geforce|rx)[ \-_]{0,2}10[1-8]0(?: ?ti)?|\b10[678]0 ?ti\b|\b1080s?\b(?!p| ?x|x)(?= gpu| card)|titan x ?p|titan 10|"
     r"\bp40\b|" + _NAMED + r"p4\b|quadro p\d{3,4}|\bmx[1-3]\d0\b", (6, 1)),
    (r"\bp100\b", (6, 0)),
    (r"(?:gtx|geforce)[ \-_]{0,2}9[5-8]0m?(?: ?ti)?|titan ?x\b|\bm40\b|\bm60\b|quadro m\d{4}", (5, 2)),
    (r"(?:gtx|geforce)[ \-_]{0,2}(?:750|745|8[3-6]0m|9[1-4]0mx?)(?: ?ti)?|\bm10\b|quadro k[126]20\b", (5, 0)),
    (r"\bk[48]0\b|" + _NAMED + r"k[48]0m?\b", (3, 7)),
    (r"gtx[ \-_]{0,2}(?:6[5-9]0|7[678]0)\b(?: ?ti)?", (3, 0)),
)  # fmt: skip
_AMD = (
    r"(?<!with )\bradeon\b[ \w]{0,24}|\brx[ \-]?(?:4[678]0|5[5-9]0|vega|5[3-7]00|6[3-9]\d0|7[6-9]\d0|90[67]0)(?: ?xtx?| ?gre)?\b|"
    r"\binstinct\b|\bmi(?:50|60|100|210|250x?|300[xa]?|325x?)\b|\bamd (?:gpu|card|graphics|graphic card|video card|显卡)|"
    r"\bamd'?s? (?:ryzen )?ai max|\b7900 ?xtx?\b|\b6[6-9]\d0 ?xt\b|\bvega ?(?:56|64|7|ii)\b|a卡|amd显卡|\bamd gpu"
)
_CAPABILITY = re.compile(
    r"\bsm_?(\d{1,2})(\d)\b(?! is not)|(?:compute )?capability[^\n\d]{0,20}\(?(\d{1,2})[., ]{1,2}(\d)\b|\(sm_?(\d{1,2})(\d)\)"
)

# Which CUDA the default wheel of each PyTorch release was built for, and the newest CUDA any of its builds had.
# From the wheels' metadata on PyPI; before 1.13 from the release pages.
_DEFAULT_CUDA: tuple[tuple[Version, Version, Version], ...] = (
    ((2, 15), (13, 2), (13, 2)), ((2, 11), (13, 0), (13, 0)), ((2, 9), (12, 8), (13, 0)), ((2, 8), (12, 8), (12, 9)),
    ((2, 7), (12, 6), (12, 8)), ((2, 6), (12, 4), (12, 6)), ((2, 5), (12, 4), (12, 4)), ((2, 4), (12, 1), (12, 4)),
    ((2, 1), (12, 1), (12, 1)), ((2, 0), (11, 7), (11, 8)), ((1, 13), (11, 7), (11, 7)), ((1, 12), (10, 2), (11, 6)),
    ((1, 11), (10, 2), (11, 5)), ((1, 10), (10, 2), (11, 3)), ((1, 8), (10, 2), (11, 1)), ((1, 7), (10, 2), (11, 0)),
    ((1, 5), (10, 2), (10, 2)), ((1, 3), (10, 1), (10, 1)), ((1, 0), (9, 0), (10, 0)), ((0, 0), (8, 0), (9, 2)),
)  # fmt: skip

# The newest GPU that the cuFFT of a CUDA release carries machine code for. cuFFT of CUDA 11.7 and older has no code
# for compute capability 8.9, https://github.com/pytorch/pytorch/issues/88038.
_NEWEST_GPU: tuple[tuple[Version, Version], ...] = (
    ((12, 8), (12, 1)), ((11, 8), (9, 0)), ((11, 1), (8, 6)), ((11, 0), (8, 0)), ((10, 0), (7, 5)), ((9, 0), (7, 2)),
    ((8, 0), (6, 2)), ((0, 0), (5, 3)),
)  # fmt: skip


def gpus_in(text: str) -> tuple[Gpu, ...]:
    """The GPUs that a lower-case text names, each model once."""
    gpus: dict[str, Gpu] = {}
    if (
        re.search(r"\d0|l[24]|titan|amd|radeon|vega|instinct|a卡|t4|ada|xavier|orin|gb10|a2|sm_|capability", text)
        is None
    ):
        return ()
    for pattern, capability in _TABLE:
        for match in re.finditer(pattern, text, re.ASCII):
            if _is_name(text, match):
                name = " ".join(match.group(0).split())
                gpus.setdefault(name, Gpu(name, capability))
    for match in re.finditer(_AMD, text, re.ASCII):
        gpus.setdefault(match.group(0).strip(), Gpu(match.group(0).strip(), None, amd=True))
    if not gpus:
        for match in _CAPABILITY.finditer(text):
            major, minor = (group for group in match.groups() if group is not None)
            if 3 <= int(major) <= 12:
                gpus.setdefault(f"sm_{major}{minor}", Gpu(f"sm_{major}{minor}", (int(major), int(minor))))
    return tuple(gpus.values())


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Not a line number, a port, a size or part of a longer number."""
    before, after = text[max(0, match.start() - 8) : match.start()], text[match.end() : match.end() + 6]
    bare = match.group(0)[:1].isdigit()
    if bare and re.search(r"(?:line |port |step |[:=#./\\,\[(x] ?|\d|epoch |iter )$", before):
        return False
    return not (bare and re.match(r"[\d:%]|[.,]\d| ?(?:hz|mib|mb|ms|step|epoch|iter|sample|/)|, \d|\)|\]", after))


def default_cuda(torch: Version) -> Version:
    """The CUDA version that the default wheel of this PyTorch was built for."""
    return next(cuda for since, cuda, _ in _DEFAULT_CUDA if torch[:2] >= since)


def newest_cuda(torch: Version) -> Version:
    """The newest CUDA version that any build of this PyTorch had."""
    return next(cuda for since, _, cuda in _DEFAULT_CUDA if torch[:2] >= since)


def newest_gpu(cuda: Version) -> Version:
    """The newest compute capability that the cuFFT of this CUDA carries code for."""
    return next(gpu for since, gpu in _NEWEST_GPU if cuda[:2] >= since)


def cuda_of_cufft(cufft: Version) -> Version:
    """The CUDA release a cuFFT library belongs to, from its own version (read from the packages on PyPI)."""
    table: tuple[tuple[Version, Version], ...] = (
        ((12, 2), (13, 2)), ((12, 0), (13, 0)), ((11, 4), (12, 9)), ((11, 3, 3), (12, 8)), ((11, 3), (12, 6)),
        ((11, 2), (12, 4)), ((11, 0, 8), (12, 2)), ((11, 0), (12, 1)), ((10, 9), (11, 8)), ((10, 7), (11, 7)),
        ((10, 6), (11, 5)), ((10, 4), (11, 2)), ((10, 3), (11, 1)), ((10, 2), (11, 0)), ((10, 1), (10, 2)),
    )  # fmt: skip
    return next((cuda for since, cuda in table if cufft >= since), (10, 0))
