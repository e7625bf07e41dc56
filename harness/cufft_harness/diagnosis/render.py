"""Show findings: a table for people, JSON for programs, Markdown for issue trackers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cufft_harness.diagnosis.facts import Environment, Evidence, version_text
from cufft_harness.diagnosis.rules import UNDETERMINED, Confidence, Finding

if TYPE_CHECKING:
    from rich.console import Console


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
                "fix": list(finding.cause.fix),
                "meanwhile": finding.cause.meanwhile,
                "next_experiment": finding.cause.next_experiment,
                "references": list(finding.cause.evidence),
            }
            for finding in findings
        ],
        "facts": {fact.name: fact.says for fact in evidence.facts if fact.says},
        "environment": environment_rows(evidence.environment),
        "notes": list(evidence.notes),
    }


def environment_rows(environment: Environment) -> dict[str, str]:
    """The versions and devices that are known, as text."""
    torch = version_text(environment.torch) + (" (from line numbers)" if environment.torch_from_frames else "")
    cuda = version_text(environment.cuda) + (" (not printed, concluded)" if environment.cuda_guessed else "")
    rows = {
        "PyTorch": torch if environment.torch else "",
        "CUDA of the build": cuda if environment.cuda else "",
        "cuFFT": version_text(environment.cufft) if environment.cufft else "",
        "driver": version_text(environment.driver) if environment.driver else "",
        "driver supports CUDA": version_text(environment.driver_cuda) if environment.driver_cuda else "",
        "GPU": ", ".join(gpu.name for gpu in environment.gpus[:4]),
    }
    return {name: text for name, text in rows.items() if text}


def markdown(findings: Sequence[Finding], evidence: Evidence) -> str:
    """The findings as Markdown: a table, then the first cause in full."""
    lines = ["| cause | confidence | for | against |", "|---|---|---|---|"]
    for finding in findings:
        cells = (finding.cause.id, finding.confidence.value, *map("; ".join, (finding.supports, finding.contradicts)))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    first = findings[0].cause
    lines += ["", f"**{first.title}**", "", first.mechanism, "", "Fix:", ""]
    for entry in first.fix:
        lines += ["", "    " + entry[2:], ""] if entry.startswith("$ ") else [entry]
    lines += ["", f"Next experiment: {first.next_experiment}"]
    if first.meanwhile:
        lines += ["", f"Meanwhile: {first.meanwhile}"]
    known = environment_rows(evidence.environment)
    if known:
        lines += ["", "Read from the report: " + ", ".join(f"{name} {text}" for name, text in known.items())]
    return "\n".join([*lines, *(f"\nNote: {note}" for note in evidence.notes)])


def show(findings: Sequence[Finding], evidence: Evidence, console: Console) -> None:
    """Print the findings: what was read, the first cause in full, the others as a table."""
    from rich.markup import escape
    from rich.table import Table

    for note in evidence.notes:
        console.print(f"[yellow]{escape(note)}[/]")
    known = environment_rows(evidence.environment)
    if known:
        console.print("[dim]Read: " + escape(", ".join(f"{name} {text}" for name, text in known.items())) + "[/]")
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
    for entry in first.cause.fix:
        if entry.startswith("$ "):
            console.print("    " + entry[2:], markup=False, highlight=False, soft_wrap=True)
        else:
            console.print("  " + escape(entry))
    if first.cause.meanwhile:
        console.print(f"\n[bold]Meanwhile[/]\n  {escape(first.cause.meanwhile)}")
    console.print(f"\n[bold]To settle it[/]\n  {escape(first.cause.next_experiment)}", soft_wrap=True)
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
