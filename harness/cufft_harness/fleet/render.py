"""A fleet's picture as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cufft_harness.diagnosis.catalogue import catalogue
from cufft_harness.diagnosis.programs import Framework
from cufft_harness.diagnosis.remedies import remedy_for
from cufft_harness.fleet.groups import Group, Picture
from cufft_harness.fleet.reading import Fleet

if TYPE_CHECKING:
    from rich.console import Console

_HOSTS_SHOWN = 12


def as_dict(picture: Picture, fleet: Fleet) -> dict[str, Any]:
    """JSON-ready; the keys are a contract."""
    return {
        "gpus": picture.gpus,
        "healthy": picture.healthy,
        "hosts": picture.hosts,
        "groups": [
            {
                "status": group.failure.status.value,
                "cause": group.failure.cause,
                "problem": group.failure.problem,
                "gpus": group.gpus,
                "hosts": list(group.hosts),
                "separates": dict(group.separates),
                "healthy_too": group.healthy_too,
                "fix": list(_fix(group)),
            }
            for group in picture.groups
        ],
        "healthy_kinds": [{"differs_in": kind, "gpus": count} for kind, count in picture.kinds],
        "left_out": dict(fleet.left_out),
        "replaced": fleet.replaced,
    }


def _fix(group: Group) -> tuple[str, ...]:
    cause = catalogue().get(group.failure.cause)
    return remedy_for(cause, Framework.PYTORCH).fix if cause else ()


def difference(group: Group, picture: Picture) -> str:
    """What separates a group from the healthy GPUs, in words."""
    if not group.separates:
        if not picture.healthy:
            return "no GPU is healthy, so nothing can be told apart"
        return "nothing that is known of them: the machines themselves"
    words = " and ".join(f"{name} = {value}" for name, value in group.separates)
    return f"{words} ({group.healthy_too} healthy GPUs have that, too)" if group.healthy_too else words


def show(picture: Picture, fleet: Fleet, console: Console) -> None:
    """Print the groups that fail, what separates each, and its fix."""
    from rich.markup import escape
    from rich.table import Table

    console.print(
        f"{picture.gpus} GPUs on {picture.hosts} machines: {picture.healthy} healthy, "
        f"{picture.gpus - picture.healthy} not, in {len(picture.groups)} groups"
    )
    if picture.groups:
        table = Table("GPUs", "fails with", "cause", "what separates them", "machines")
        for group in picture.groups:
            hosts = ", ".join(group.hosts[:_HOSTS_SHOWN])
            more = f" and {len(group.hosts) - _HOSTS_SHOWN} more" if len(group.hosts) > _HOSTS_SHOWN else ""
            only = ", ".join(group.examples) if len(group.hosts) == 1 else hosts + more
            cells = (group.failure.problem, group.failure.cause or "not known", difference(group, picture), only)
            table.add_row(str(group.gpus), *map(escape, cells))
        console.print(table)
    for cause in dict.fromkeys(group.failure.cause for group in picture.groups):
        if entry := catalogue().get(cause):
            console.print(f"\n[bold]{escape(cause)}[/]: {escape(entry.title)}")
            for line in remedy_for(entry, Framework.PYTORCH).fix:
                console.print(f"  {escape(line)}")
    if len(picture.kinds) > 1:
        console.print("\nHealthy GPUs differ in:")
        for kind, count in picture.kinds[:10]:
            console.print(f"  {count:6d}  {escape(kind)}")
    for reason, count in fleet.left_out.most_common():
        console.print(f"[yellow]left out: {count} x {escape(reason)}[/]")
    if fleet.replaced:
        console.print(f"{fleet.replaced} older documents of the same GPUs were left out")
