"""The documentation's pages about causes, from the catalogue: one page a cause, and what each code means.

People who search for an error's text shall land on these pages, so they hold the texts that programs print.
"""

from __future__ import annotations

from collections.abc import Iterator

from cufft_harness.cufft import CufftResult
from cufft_harness.diagnosis.catalogue import Cause, catalogue
from cufft_harness.diagnosis.measured import FAULTS, answers, measured_cuffts
from cufft_harness.diagnosis.programs import Framework, title_of
from cufft_harness.diagnosis.releases import cuda_of_cufft
from cufft_harness.diagnosis.remedies import remedy_for
from cufft_harness.diagnosis.rules import RULES

# How programs print a code, by name or number.
_PRINTED = (
    ("PyTorch", "cuFFT error: {name}"),
    ("CuPy", "CuFFTError: {name}"),
    ("Paddle", "(External) CUFFT error({number})"),
    ("TensorFlow, JAX", "failed to make cuFFT batched plan:{number}"),
    ("OpenMM", "Error initializing FFT: {number}"),
    ("CUDA.jl", "CUFFTError(code {number}, ...)"),
)
# Which causes are worth reading for a code, whatever the version; those that a rule links to it are added.
_NOT_LINKED = ("undetermined", "not-cufft", "unexplained-reinstall-cures")


def pages() -> dict[str, str]:
    """Path below the documentation's folder, and text: causes.md and causes/ID.md for every cause."""
    made = {f"causes/{cause.id}.md": _page(cause) for cause in catalogue().values()}
    return {"causes.md": _index(), **made}


def _index() -> str:
    lines = ["# Causes", "", "What `doctor` and `diagnose` can name, and what each result code of cuFFT means.", ""]
    lines += ["## What a code means", "", *_table_of_codes(), ""]
    lines += ["## All causes", ""]
    lines += [f"- [{cause.title}](causes/{cause.id}.md)" for cause in catalogue().values()]
    return "\n".join(lines) + "\n"


def _table_of_codes() -> Iterator[str]:
    """Code, how programs print it, what was measured to give it in each cuFFT, and the causes to read about."""
    versions = measured_cuffts()
    heads = [f"cuFFT {version} (CUDA {_cuda(version)})" for version in versions]
    yield "Measured with the real libraries under a simulated driver; an empty cell was not seen there."
    yield ""
    yield "| code | printed as | " + " | ".join(heads) + " | see |"
    yield "|---" * (len(heads) + 3) + "|"
    for code in CufftResult:
        if code:
            printed = "<br>".join(f"`{text.format(name=code.name, number=int(code))}`" for _, text in _PRINTED)
            cells = [", ".join(_faults_of(code, version)) for version in versions]
            see = "<br>".join(f"[{name}](causes/{name}.md)" for name in _causes_of(code))
            yield f"| **{code.name}** ({int(code)}) | {printed} | " + " | ".join([*cells, see]) + " |"


def _faults_of(code: CufftResult, version: str) -> list[str]:
    return [meaning for fault, meaning in FAULTS.items() if code.name in answers(fault, version)]


def _causes_of(code: CufftResult) -> list[str]:
    """The causes for which a rule takes the code as evidence."""
    linked = [rule.cause for rule in RULES if rule.weight > 0 and any(code.name in need for need in rule.needs)]
    return [name for name in dict.fromkeys(linked) if name not in _NOT_LINKED]


def _cuda(version: str) -> str:
    return ".".join(map(str, cuda_of_cufft(tuple(map(int, version.split("."))))))


def _page(cause: Cause) -> str:
    lines = [f"# {cause.title} {{#{cause.id}}}", "", f"`{cause.id}`", "", cause.mechanism, ""]
    codes = [code.name for code in CufftResult if cause.id in _causes_of(code)]
    if codes:
        lines += ["**Codes it shows as**: " + ", ".join(f"`{name}`" for name in codes), ""]
    for framework in _frameworks(cause):
        lines += _remedy(cause, framework)
    if cause.evidence:
        lines += ["## Seen or explained", "", *(f"- <{page}>" for page in cause.evidence), ""]
    return "\n".join(lines) + "\n"


def _frameworks(cause: Cause) -> list[Framework]:
    """Those with a text of their own, PyTorch first, then what holds for all others."""
    own = [framework for framework in Framework if framework.value in cause.fixes]
    return own if cause.only else [*own, Framework.UNKNOWN]


def _remedy(cause: Cause, framework: Framework) -> list[str]:
    remedy = remedy_for(cause, framework)
    others = "Other programs" if len(_frameworks(cause)) > 1 else "Any program"
    lines = [f"## {others if framework is Framework.UNKNOWN else title_of(framework)}", "", "**What to do**", ""]
    for entry in remedy.fix:
        lines += [f"    {entry[2:]}" if entry.startswith("$ ") else f"- {entry}", ""]
    if remedy.meanwhile:
        lines += [f"**Meanwhile**: {remedy.meanwhile}", ""]
    if remedy.next_experiment:
        lines += ["**What would settle it**: " + remedy.next_experiment.removeprefix("$ "), ""]
    return lines
