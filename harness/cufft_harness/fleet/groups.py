"""Which GPUs fail alike, and the shortest list of facts that separates them from those that do not.

A GPU's facts are its attributes. For each way to fail, conditions `attribute = value` are looked for that hold on all
of the failing ones and on as few healthy ones as possible: one condition if one will do, else two, else three. What is
counted are profiles, the distinct sets of facts: a fleet of 100,000 GPUs has a few hundred.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from cufft_harness.fleet.document import Document
from cufft_harness.probes.outcome import Verdict
from cufft_harness.status import Status

Condition = tuple[str, str]
Profile = frozenset[Condition]
MOST_CONDITIONS = 3
_EXAMPLES = 5
_SAYS_NOTHING = (Verdict.PASS.value, Verdict.NOT_TESTED.value)


@dataclass(frozen=True)
class Failure:
    """How a GPU fails: GPUs with the same are one group, whatever else they have."""

    status: Status
    cause: str
    problem: str


@dataclass(frozen=True)
class Group:
    """GPUs that fail alike.

    Attributes:
        gpus: how many.
        hosts: names of their machines, sorted.
        examples: some of the GPUs by name.
        separates: conditions that hold on all of them, the fewest that keep healthy GPUs out; empty where none do.
        healthy_too: healthy GPUs on which these hold as well: 0 where they explain the failure by themselves.
    """

    failure: Failure
    gpus: int
    hosts: tuple[str, ...]
    examples: tuple[str, ...]
    separates: tuple[Condition, ...]
    healthy_too: int


@dataclass(frozen=True)
class Picture:
    """A whole fleet.

    Attributes:
        gpus: examined, the healthy ones among them in `healthy`.
        groups: of failing GPUs, the largest first.
        kinds: of healthy machines: the facts in which they differ, and how many GPUs have them, the most first.
    """

    gpus: int
    healthy: int
    hosts: int
    groups: tuple[Group, ...]
    kinds: tuple[tuple[str, int], ...]


def picture(documents: Iterable[Document]) -> Picture:
    """Group the GPUs of a fleet."""
    healthy: Counter[Profile] = Counter()
    failing: dict[Failure, list[Document]] = defaultdict(list)
    hosts: set[str] = set()
    profiles: dict[Profile, Profile] = {}  # the one copy of each
    for document in documents:
        hosts.add(document.host)
        if document.healthy:
            profile = frozenset(document.attributes.items())
            healthy[profiles.setdefault(profile, profile)] += 1
        else:
            failing[Failure(document.status, document.cause, _kind(document))].append(document)
    groups = [group for failure, members in failing.items() for group in _groups(failure, members, healthy)]
    groups.sort(key=lambda group: (-group.gpus, group.failure.cause, group.failure.problem))
    count = healthy.total()
    bad = sum(group.gpus for group in groups)
    return Picture(count + bad, count, len(hosts), tuple(groups), _kinds(healthy))


def _kind(document: Document) -> str:
    """How it fails, without what differs from GPU to GPU: the codes of its experiments, or the words where none ran."""
    failed = sorted(
        {verdict for verdict in document.verdicts.values() if verdict not in ("pass", "could not be tested")}
    )
    return ", ".join(failed) or document.problem


def _groups(failure: Failure, members: list[Document], healthy: Counter[Profile]) -> Iterator[Group]:
    """One group of GPUs that fail alike, or several, where what fails alike has several explanations."""
    while members:
        facts = frozenset.intersection(*map(_profile, members))
        separates, too = separating(facts, healthy)
        part, rest = members, list[Document]()
        if too and (explained := _largest_explained(members, healthy)):
            separates, too = explained, 0
            part = [member for member in members if _profile(member).issuperset(explained)]
            rest = [member for member in members if not _profile(member).issuperset(explained)]
        yield Group(
            failure,
            len(part),
            tuple(sorted({member.host for member in part})),
            tuple(member.name for member in sorted(part, key=lambda one: (one.host, one.index or 0))[:_EXAMPLES]),
            separates,
            too,
        )
        members = rest


def _profile(document: Document) -> Profile:
    return frozenset(document.attributes.items())


def _largest_explained(members: list[Document], healthy: Counter[Profile]) -> tuple[Condition, ...]:
    """One or two conditions that hold on no healthy GPU and on as many members as possible, two at least; else none."""
    profiles = Counter(map(_profile, members))
    facts = sorted(frozenset[Condition]().union(*profiles))
    best: tuple[int, tuple[Condition, ...]] = (1, ())
    for size in (1, 2):
        for chosen in combinations(facts, size):
            covered = sum(count for profile, count in profiles.items() if profile.issuperset(chosen))
            if covered > best[0] and not any(profile.issuperset(chosen) for profile in healthy):
                best = covered, chosen
    return best[1]


def separating(facts: Profile, healthy: Counter[Profile]) -> tuple[tuple[Condition, ...], int]:
    """The fewest of `facts` that hold on the fewest healthy GPUs, and on how many they hold; a group has all of them.

    Facts that every healthy GPU has, too, separate nothing and are not named.
    """
    telling = sorted(fact for fact in facts if any(fact not in profile for profile in healthy))
    best: tuple[tuple[Condition, ...], int] = ((), healthy.total())
    for size in range(1, MOST_CONDITIONS + 1):
        for chosen in combinations(telling, size):
            holds = sum(count for profile, count in healthy.items() if profile.issuperset(chosen))
            if holds < best[1]:
                best = chosen, holds
        if best[1] == 0:
            break
    return best


def _kinds(healthy: Counter[Profile]) -> tuple[tuple[str, int], ...]:
    """Healthy GPUs by the facts in which they differ."""
    shared = frozenset.intersection(*healthy) if healthy else frozenset()
    kinds: Counter[str] = Counter()
    for profile, count in healthy.items():
        kinds[", ".join(f"{name} {value}" for name, value in sorted(profile - shared)) or "all alike"] += count
    return tuple(kinds.most_common())
