# ruff: noqa: E501 (tables of patterns read better unbroken)
"""Which GPU has which compute capability, and where a report names one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cufft_harness.diagnosis.clauses import said_to_work
from cufft_harness.diagnosis.facts import Gpu, Version

# NVIDIA's table of CUDA-capable GPUs, https://developer.nvidia.com/cuda-gpus. Names as people write them: the word
# RTX or GeForce is often left out, "RX 4090" is met. A short name such as L4 or T4 needs a word beside it (`_NAMED`).
_NAMED = r"(?:nvidia|tesla|geforce|gpus?|cards?|graphics|quadro|an?|on|with|single|google|gcp|aws|x)[ :(\-]{1,3}"
_RTX = r"(?:rtx|geforce|rx|nvidia)[ \-_]{0,2}"
_TABLE: tuple[tuple[str, Version], ...] = (
    (r"rtx pro \d000 ?blackwell|rtx pro \d000|(?:rtx[ \-]?)?(?:50|5000)[ \-]?series|rtx ?50xx|50系|blackwell", (12, 0)),
    (_RTX + r"50[5-9]0(?: ?ti| ?super| ?d\b)?|\b50[6-9]0(?: ?ti| ?d\b)?\b", (12, 0)),
    (r"\bgb10\b|dgx spark", (12, 1)),
    (r"\bg?b[12]00\b", (10, 0)),
    (r"\bg?b300\b", (10, 3)),
    (r"\bg?h[12]00\b|\bh800\b|\bh20\b", (9, 0)),
    (r"rtx[ \-_]{0,2}\d000[ \-_]{0,2}(?:sff )?ada(?: generation)?|\d000 ada\b|ada lovelace|(?:rtx[ \-]?)?(?:40|4000)[ \-]?series|rtx ?40xx|40系", (8, 9)),
    (_RTX + r"40[5-9]0(?: ?ti| ?super| ?d\b)?|\b40[6-9]0(?: ?ti| ?d\b)?\b", (8, 9)),
    (r"\bl40s?\b|\bl20\b|" + _NAMED + r"l[24]\b|\bl4 gpu", (8, 9)),
    (_RTX + r"30[5-9]0(?: ?ti)?|\b30[6-9]0(?: ?ti)?\b|(?:rtx[ \-]?)?(?:30|3000)[ \-]?series|rtx ?30xx|30系", (8, 6)),
    (r"(?:rtx|quadro|nvidia)[ \-_]{0,2}a[2-6][05]0{1,3}\b|\ba[456][05]00\b|\ba40\b|" + _NAMED + r"a(?:10g?|16|2)\b|\ba10g?\b(?= |,|\n|$)", (8, 6)),
    (r"\ba[18]00\b|\ba30\b", (8, 0)),
    (r"\borin\b", (8, 7)),
    (_RTX + r"20[5-8]0(?: ?ti| ?super)?|\b20[678]0(?: ?ti| ?super)?\b|titan rtx|qua[dt]ro rtx ?\d000|(?:rtx[ \-]?)?(?:20|2000)[ \-]?series", (7, 5)),
    (r"(?:gtx|geforce)[ \-_]{0,2}16[356]0(?: ?ti| ?super)?|\b16[56]0 ?(?:ti|super)\b|\b1650(?=显卡| gpu| card)|" + _NAMED + r"t4\b|\bt4 (?:gpu|x ?2)|2 ?x ?t4\b|(?:colab|kaggle)[^\n]{0,20}\bt4\b|\bt[456]00\b|\bt[12]000\b|\bmx4[56]0\b", (7, 5)),
    (r"\bv100\w{0,2}\b|titan v\b|\bgv100\b", (7, 0)),
    (r"\bxavier\b", (7, 2)),
    (r"(?:gtx|geforce|rx)[ \-_]{0,2}10[1-8]0(?: ?ti)?|\b10[678]0 ?ti\b|\b1080s?\b(?!p| ?x|x)(?= gpu| card)|titan x ?p|titan 10|"
     r"\bp40\b|" + _NAMED + r"p4\b|qua[dt]ro p\d{3,4}|\bmx[1-3]\d0\b|(?:gtx[ \-]?)?10[ \-]?series", (6, 1)),
    (r"\bp100\b|\bgp100\b", (6, 0)),
    (r"(?:gtx|geforce)[ \-_]{0,2}9[5-8]0m?(?: ?ti)?|titan ?x\b|\bm40\b|\bm60\b|qua[dt]ro m\d{4}|(?:gtx[ \-]?)?9(?:00)?[ \-]series", (5, 2)),
    (r"jetson nano", (5, 3)),
    (r"(?:gtx|geforce)[ \-_]{0,2}(?:750|745|8[3-6]0m|9[1-4]0mx?)(?: ?ti)?|\bm10\b|qua[dt]ro k(?:[126]20|1200|2200)\b", (5, 0)),
    (r"\bk80\b", (3, 7)),
    (r"\bk[24]0[cmx]?\b|(?:gtx )?titan black|(?:gtx )?titan z|gtx titan\b(?! [xvpr])|gt[ \-]?7[134]0\b|qua[dt]ro k6000|gtx[ \-_]{0,2}780(?: ?ti)?", (3, 5)),
    (r"(?:gtx|geforce gt|gt)[ \-_]{0,2}(?:6[1-9]0m?|7[67]0m?)\b(?: ?ti)?|qua[dt]ro k(?:600|[2345]000m?|[34]100m)\b|\bk10\b|grid k[12]\b|nvs 510", (3, 0)),
    (r"(?:gtx|gts|gt)[ \-_]{0,2}[45]\d0m?(?: ?ti)?\b|\b[cm]20[57]0\b|qua[dt]ro [4-6]000\b", (2, 0)),
)  # fmt: skip
_AMD = (
    r"(?<!with )\bradeon\b[ \w]{0,24}|\brx[ \-]?(?:4[678]0|5[5-9]0|vega|5[3-7]00|6[3-9]\d0|7[6-9]\d0|90[67]0)(?: ?xtx?| ?gre)?\b|"
    r"\binstinct\b|\bmi(?:50|60|100|210|250x?|300[xa]?|325x?)\b|\bamd (?:gpu|card|graphics|graphic card|video card|显卡)|"
    r"\bamd'?s? (?:ryzen )?ai max|\b7900 ?xtx?\b|\b6[6-9]\d0 ?xt\b|\bvega ?(?:56|64|7|ii)\b|a卡|amd显卡|\bamd gpu"
)
_CAPABILITY = re.compile(
    r"\bsm_?(\d{1,2})(\d)\b(?! is not)|(?:compute )?capability[^\n\d]{0,20}\(?(\d{1,2})[., ]{1,2}(\d)\b|\(sm_?(\d{1,2})(\d)\)"
)
_ANY = re.compile(
    r"\d0|l[24]|titan|amd|radeon|vega|instinct|a卡|t4|ada|xavier|orin|gb10|a2|sm_|capability|系|blackwell|nano"
)


def gpus_in(text: str) -> tuple[tuple[Gpu, ...], tuple[Gpu, ...]]:
    """The GPUs that a lower-case text names, each model once: those it fails on or that are just named, and those where
    the same is said to work."""
    if _ANY.search(text) is None:
        return (), ()
    failing: dict[str, Gpu] = {}
    working: dict[str, Gpu] = {}
    for gpu, at, end in _named(text):
        (working if said_to_work(text, at, end) else failing).setdefault(gpu.name, gpu)
    for match in re.finditer(_AMD, text, re.ASCII):
        failing.setdefault(match.group(0).strip(), Gpu(match.group(0).strip(), None, amd=True))
    if not failing and not working:
        for match in _CAPABILITY.finditer(text):
            major, minor = (int(group) for group in match.groups() if group is not None)
            if 3 <= major <= 12:
                failing.setdefault(f"sm_{major}{minor}", Gpu(f"sm_{major}{minor}", (major, minor)))
    if not failing:  # nothing is left that it fails on: what works is all that is known of the machine
        return tuple(working.values()), ()
    return tuple(failing.values()), tuple(gpu for gpu in working.values() if gpu.name not in failing)


def _named(text: str) -> Iterator[tuple[Gpu, int, int]]:
    for pattern, capability in _TABLE:
        for match in re.finditer(pattern, text, re.ASCII):
            if _is_name(text, match):
                yield Gpu(" ".join(match.group(0).split()), capability), match.start(), match.end()


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Not a line number, a port, a size or part of a longer number."""
    before, after = text[max(0, match.start() - 8) : match.start()], text[match.end() : match.end() + 6]
    bare = match.group(0)[:1].isdigit()
    if bare and re.search(r"(?:line |port |step |[:=#./\\,\[(x] ?|\d|epoch |iter )$", before):
        return False
    return not (bare and re.match(r"[\d:%]|[.,]\d| ?(?:hz|mib|mb|ms|step|epoch|iter|sample|/)|, \d|\)|\]", after))
