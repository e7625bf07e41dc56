"""Show findings: a table for people, JSON for programs, Markdown for issue trackers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cufft_harness.diagnosis.facts import Environment, ErrorLine, Evidence, Sure, version_text
from cufft_harness.diagnosis.rules import UNDETERMINED, Confidence, Finding

if TYPE_CHECKING:
    from rich.console import Console

_HOW = {
    Sure.NOT: "",
    Sure.USUAL: " (not printed, concluded)",
    Sure.SAID: " (as the report says)",
    Sure.PRINTED: "",
}


def as_dict(findings: Sequence[Finding], evidence: Evidence) -> dict[str, Any]:
    """The findings as JSON-ready data; the keys are a contract."""
    return {
        "causes": [
            {
                "id": finding.cause.id,
                "confidence": finding.confidence.value,
                "score": round(finding.score, 1),
                "title": finding.cause.title,
                "mechanism": finding.cause.mechanism,
                "evidence": {"for": list(finding.supports), "against": list(finding.contradicts)},
                "fix": list(finding.remedy.fix),
                "meanwhile": finding.remedy.meanwhile,
                "next_experiment": finding.remedy.next_experiment,
                "references": list(finding.cause.evidence),
                "page": page_of(finding),
            }
            for finding in findings
        ],
        "program": {"framework": evidence.program.framework.value, "title": evidence.program.title},
        "error_line": _line(evidence.error) if evidence.error else None,
        "also_shown": [_line(line) for line in evidence.also_shown],
        "harmless": [{**_line(harmless.line), "means": harmless.means} for harmless in evidence.harmless],
        "facts": {fact.name: fact.says for fact in evidence.facts if fact.says},
        "environment": environment_rows(evidence.environment),
        "notes": list(evidence.notes),
    }


def page_of(finding: Finding) -> str:
    """The page of the documentation about the cause."""
    return f"docs/causes/{finding.cause.id}"


def _line(line: ErrorLine) -> dict[str, Any]:
    return {"line": line.number, "text": line.text, "kind": line.kind}


def environment_rows(environment: Environment) -> dict[str, str]:
    """The versions and devices that are known, as text, with how they are known where they are not printed."""
    torch = version_text(environment.torch) + (" or later" if environment.torch_or_later else "")
    rows = {
        "PyTorch": torch + (" (from line numbers)" if environment.torch_from_frames else "")
        if environment.torch
        else "",
        "CUDA of the build": version_text(environment.cuda) + _HOW[environment.cuda_sure] if environment.cuda else "",
        "cuFFT": version_text(environment.cufft) if environment.cufft else "",
        "driver": version_text(environment.driver) if environment.driver else "",
        "driver supports CUDA": version_text(environment.driver_cuda) if environment.driver_cuda else "",
        "GPU": ", ".join(gpu.name for gpu in environment.gpus[:4]),
        "GPU on which it works": ", ".join(gpu.name for gpu in environment.working_gpus[:4]),
    }
    return {name: text for name, text in rows.items() if text}


def markdown(findings: Sequence[Finding], evidence: Evidence) -> str:
    """The findings as Markdown: a table, then the first cause in full."""
    lines = ["| cause | confidence | for | against |", "|---|---|---|---|"]
    for finding in findings:
        cells = (finding.cause.id, finding.confidence.value, *map("; ".join, (finding.supports, finding.contradicts)))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    first = findings[0]
    lines += ["", f"**{first.cause.title}**", "", first.cause.mechanism, ""]
    if evidence.error:
        lines += [
            f"Taken for the error: `{evidence.error.text.replace('`', chr(39))}` (line {evidence.error.number})",
            "",
        ]
    lines += ["Fix:", ""]
    for entry in first.remedy.fix:
        lines += ["", "    " + entry[2:], ""] if entry.startswith("$ ") else [entry]
    lines += ["", f"Next experiment: {first.remedy.next_experiment}"]
    if first.remedy.meanwhile:
        lines += ["", f"Meanwhile: {first.remedy.meanwhile}"]
    known = _known(evidence)
    if known:
        lines += ["", f"Read from the report: {known}"]
    lines += [f"\nHarmless: line {one.line.number}: {one.means}" for one in evidence.harmless]
    return "\n".join([*lines, *(f"\nNote: {note}" for note in evidence.notes)])


def _known(evidence: Evidence) -> str:
    rows = environment_rows(evidence.environment)
    program = [evidence.program.title] if evidence.program.title not in ("", "PyTorch") else []
    return ", ".join([*program, *(f"{name} {text}" for name, text in rows.items())])


def show(findings: Sequence[Finding], evidence: Evidence, console: Console) -> None:
    """Print the findings: what was read, the first cause in full, the others as a table."""
    from rich.markup import escape
    from rich.table import Table

    for note in evidence.notes:
        console.print(f"[yellow]{escape(note)}[/]")
    if known := _known(evidence):
        console.print(f"[dim]Read: {escape(known)}[/]")
    _show_lines(evidence, console)
    first = findings[0]
    colour = {Confidence.HIGH: "green", Confidence.MEDIUM: "yellow", Confidence.LOW: "red"}[first.confidence]
    name = first.cause.id
    console.print(
        f"\n[bold]{escape(first.cause.title)}[/]  [dim]{name}[/], [{colour}]{first.confidence} confidence[/]\n"
    )
    console.print(escape(first.cause.mechanism) + "\n")
    for heading, items in (("For", first.supports), ("Against", first.contradicts)):
        for item in items:
            console.print(f"  {heading + ':':9}{escape(item)}")
    console.print("\n[bold]Fix[/]")
    for entry in first.remedy.fix:
        if entry.startswith("$ "):
            console.print("    " + entry[2:], markup=False, highlight=False, soft_wrap=True)
        else:
            console.print("  " + escape(entry))
    if first.remedy.meanwhile:
        console.print(f"\n[bold]Meanwhile[/]\n  {escape(first.remedy.meanwhile)}")
    console.print(f"\n[bold]To settle it[/]\n  {escape(first.remedy.next_experiment)}", soft_wrap=True)
    console.print(f"\n[dim]More: {page_of(first)}[/]", soft_wrap=True)
    others = [finding for finding in findings[1:] if finding.cause.id != UNDETERMINED]
    if others:
        table = Table("also possible", "confidence", "for", "against", title_justify="left", show_lines=False)
        for finding in others:
            table.add_row(
                finding.cause.id,
                finding.confidence.value,
                escape("\n".join(finding.supports)),
                escape("\n".join(finding.contradicts)),
            )
        console.print()
        console.print(table)


def _show_lines(evidence: Evidence, console: Console) -> None:
    """Which line was taken for the error, which others there are, and what the harmless ones mean."""
    from rich.markup import escape

    if evidence.error:
        console.print(f"[dim]Taken for the error: line {evidence.error.number}:[/] {escape(evidence.error.text)}")
    for line in evidence.also_shown:
        console.print(f"[dim]Also shown: line {line.number}: {escape(line.text)}[/]")
    for harmless in evidence.harmless:
        console.print(f"[dim]Harmless: line {harmless.line.number}: {escape(harmless.means)}[/]")
