"""One line and an exit status, as the program that calls the check expects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cufft_harness.fleet.document import Document
from cufft_harness.status import Status


class Style(str, Enum):
    """Who calls."""

    PLAIN = "plain"
    """Exit statuses of `doctor`: 0 healthy, 3 cuFFT broken, 4 broken, 5 not tested."""
    NAGIOS = "nagios"
    """Nagios, Icinga and what speaks their language: 0 OK, 1 warning, 2 critical, 3 unknown, performance data."""
    NHC = "nhc"
    """LBNL Node Health Check, through check_cmd_status: 0 good, 1 bad; nothing is printed where all is well."""
    NPD = "npd"
    """node-problem-detector's custom plugins: 0 OK, 1 not OK, 2 unknown; at most 80 characters are read."""
    SLURM = "slurm"
    """Prolog, Epilog and HealthCheckProgram: 0 good, 1 bad; a GPU that could not be tested does not drain a node."""


_EXIT = {
    Style.NAGIOS: {Status.HEALTHY: 0, Status.FALLBACK: 2, Status.BROKEN: 2, Status.NOT_TESTED: 3},
    Style.NHC: {Status.HEALTHY: 0, Status.FALLBACK: 1, Status.BROKEN: 1, Status.NOT_TESTED: 1},
    Style.NPD: {Status.HEALTHY: 0, Status.FALLBACK: 1, Status.BROKEN: 1, Status.NOT_TESTED: 2},
    Style.SLURM: {Status.HEALTHY: 0, Status.FALLBACK: 1, Status.BROKEN: 1, Status.NOT_TESTED: 0},
}
_NAGIOS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}
_NPD_CHARACTERS = 80
_SEVERITY = [Status.HEALTHY, Status.NOT_TESTED, Status.FALLBACK, Status.BROKEN]


@dataclass(frozen=True)
class Answer:
    """What is printed (nothing, where empty) and the exit status."""

    line: str
    exit_code: int


def answer(style: Style, documents: Sequence[Document], seconds: float) -> Answer:
    """The worst of the documents decides.

    Args:
        style: who calls.
        documents: one a GPU, at least one.
        seconds: that the check took.
    """
    worst = max((document.status for document in documents), key=_SEVERITY.index)
    code = worst.exit_code if style is Style.PLAIN else _EXIT[style][worst]
    line = _line(documents, worst)
    if style is Style.NAGIOS:
        healthy = sum(document.healthy for document in documents)
        line = f"CUFFT {_NAGIOS[code]} - {line} | healthy={healthy};;;0;{len(documents)} time={seconds:.2f}s"
    elif style is Style.NHC and code == 0:
        line = ""
    elif style is Style.NPD and len(line) > _NPD_CHARACTERS:
        line = line[: _NPD_CHARACTERS - 3] + "..."
    return Answer(line, code)


def _line(documents: Sequence[Document], worst: Status) -> str:
    if worst is Status.HEALTHY:
        first = documents[0].attributes
        gpus = "1 GPU" if len(documents) == 1 else f"{len(documents)} GPUs"
        return f"cuFFT {first.get('cuFFT', '?')} works on {gpus} (driver {first.get('driver', '?')})"
    bad = [document for document in documents if document.status is worst]
    where = "" if bad[0].index is None else f"GPU {', '.join(str(one.index) for one in bad)}: "
    cause = f"; cause: {bad[0].cause}" if bad[0].cause else ""
    return f"{where}{bad[0].problem or worst.words}{cause}"
