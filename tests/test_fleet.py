"""cufft_harness.fleet: a check that never hangs, documents that survive damage, groups that say why."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from cufft_harness import processes
from cufft_harness.cli.check import command as check_command
from cufft_harness.errors import UserError
from cufft_harness.fleet import groups, reading
from cufft_harness.fleet.document import Document, NotADocument, from_dict
from cufft_harness.fleet.styles import Style, answer
from cufft_harness.status import Status

from repro import fleet as made_up
from repro.simdriver.build import CannotBuild, build, find_compiler

SOURCE = Path(__file__).parent / "simulated" / "libcufft.c"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a node with two simulated GPUs and a libcufft that computes."""
    folder = tmp_path_factory.mktemp("node")
    try:
        compiler = find_compiler()
    except CannotBuild as error:
        pytest.skip(str(error))
    build(folder)
    library = folder / "cufft"
    library.mkdir()
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library / "libcufft.so.11"), str(SOURCE), "-lm"]
    subprocess.run(command, check=True)
    simulated = {"LD_LIBRARY_PATH": str(folder), "SIMCUDA_HOST_MEMORY": "1", "SIMCUDA_DEVICES": "2"}
    return {**os.environ, **simulated, "LIBRARY": str(library)}


def run_check(node: dict[str, str], *arguments: str, **variables: str) -> processes.Finished:
    command = processes.python_module("cufft_harness", "check", "--library", node["LIBRARY"], *arguments)
    return processes.run(command, timeout_s=60, env={**node, **variables})


def test_a_healthy_node_is_one_line(node: dict[str, str]):
    """Exit status 0, both GPUs counted, no torch imported on the way."""
    finished = run_check(node, "--style", "nagios")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.startswith("CUFFT OK - cuFFT 11.3.3 works on 2 GPUs")
    assert "healthy=2;;;0;2" in finished.stdout
    assert len(finished.stdout.splitlines()) == 1


def test_a_broken_node_is_critical_with_its_cause(node: dict[str, str]):
    """A driver without its PTX compiler, and cuFFT's answer to it."""
    finished = run_check(node, "--style", "nagios", SIMCUFFT_ERROR="5", SIMCUDA_JIT_ERROR="221")
    assert finished.returncode == 2
    assert finished.stdout.startswith("CUFFT CRITICAL - GPU 0, 1: library_512: failed (CUFFT_INTERNAL_ERROR)")
    assert "cause: ptx-jit-unavailable" in finished.stdout


def test_a_driver_that_hangs_is_a_verdict_within_the_limit(node: dict[str, str]):
    """The check ends by itself, names the hang, and names no cause that nothing speaks for."""
    finished = run_check(node, "--style", "npd", "--limit", "2", SIMCUDA_INIT_ERROR="stubborn")
    assert (finished.returncode, finished.timed_out) == (1, False)
    assert finished.stdout.strip() == "the CUDA driver does not work: hung in init"


def test_a_library_that_hangs_is_a_verdict_within_the_limit(node: dict[str, str]):
    """The experiment that was running has hung, and the others are not waited for."""
    documents = [
        json.loads(line) for line in run_check(node, "--json", "--limit", "3", SIMCUFFT_ERROR="-1").stdout.splitlines()
    ]
    assert [one["verdicts"]["library_512"] for one in documents] == ["hung", "hung"]
    assert documents[0]["verdicts"]["library_1024"] == "could not be tested"


def test_documents_of_a_check_are_read_by_fleet(node: dict[str, str]):
    """What one command prints the other reads: two GPUs, told apart by UUID, with labels as facts."""
    finished = run_check(node, "--json", "--label", "rack=7", "--gpu", "1")
    fleet = reading.read("-", io.StringIO(finished.stdout))
    (document,) = fleet.documents.values()
    assert (document.index, document.status, document.attributes["rack"]) == (1, Status.HEALTHY, "7")
    assert document.gpu.startswith("GPU-02020202-")
    assert from_dict(document.as_dict()) == document


@pytest.mark.parametrize(("arguments", "words"), [(["--label", "rack"], "NAME=VALUE"), (["--gpu", "9"], "no GPU 9")])
def test_wrong_use_is_named(node: dict[str, str], arguments: list[str], words: str):
    """A label without a value and a GPU that is not there are errors of one line, exit status 2."""
    finished = run_check(node, *arguments)
    assert finished.returncode == 2
    assert words in finished.stderr


def test_the_help_teaches_the_exit_statuses():
    """An administrator finds them without leaving the terminal."""
    assert "nagios 0, 2, 3" in CliRunner().invoke(check_command, ["--help"]).output


def document(status: Status, **changes: object) -> Document:
    fields = {"host": "n1", "gpu": "GPU-1", "index": 0, "time": "2026-01-01T00:00:00Z", "status": status}
    return Document(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("style", "statuses"),
    [
        (Style.PLAIN, (0, 3, 4, 5)),
        (Style.NAGIOS, (0, 2, 2, 3)),
        (Style.NHC, (0, 1, 1, 1)),
        (Style.NPD, (0, 1, 1, 2)),
        (Style.SLURM, (0, 1, 1, 0)),
    ],
)
def test_exit_statuses_are_those_of_the_caller(style: Style, statuses: tuple[int, ...]):
    """Each caller's own numbers for healthy, broken with a way out, broken, not tested; the worst GPU decides."""
    order = (Status.HEALTHY, Status.FALLBACK, Status.BROKEN, Status.NOT_TESTED)
    assert tuple(answer(style, [document(one)], 1).exit_code for one in order) == statuses
    both = [document(Status.HEALTHY), document(Status.BROKEN)]
    assert answer(style, both, 1).exit_code == statuses[2]


def test_what_npd_reads_is_cut_to_what_it_reads():
    """80 characters, and nothing at all for NHC where all is well."""
    line = answer(Style.NPD, [document(Status.BROKEN, problem="x" * 200)], 1).line
    assert len(line) == 80
    assert answer(Style.NHC, [document(Status.HEALTHY)], 1).line == ""


def test_damage_is_counted_and_the_latest_counts(tmp_path: Path):
    """Cut, foreign, binary and future documents are left out by reason; an older one never replaces a newer one."""
    good = document(Status.HEALTHY, time="2026-01-02T00:00:00Z").as_dict()
    old = document(Status.BROKEN).as_dict()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "good.json").write_text(json.dumps(good))
    (tmp_path / "old.jsonl").write_text(json.dumps(old) + "\n" + json.dumps(old)[:40] + "\n")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "foreign.json").write_text('{"kind": "other"}')
    (tmp_path / "future.json").write_text(json.dumps({**good, "schema": 2}))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "typed.json").write_text(json.dumps({**good, "attributes": {"driver": 5}}))
    fleet = reading.read(str(tmp_path), [])
    assert [one.status for one in fleet.documents.values()] == [Status.HEALTHY]
    assert fleet.replaced == 1
    assert fleet.left_out.total() == 6
    with pytest.raises(UserError, match="no documents at"):
        reading.read(str(tmp_path / "none"), [])


def test_text_of_a_document_steers_no_terminal():
    """Control characters from a machine's names become question marks; what has no end is cut."""
    entry = document(Status.BROKEN, problem="\x1b[2J", attributes={"image\x07": "y" * 5000}).as_dict()
    read = from_dict(entry)
    assert read.problem == "?[2J"
    assert {name: len(value) for name, value in read.attributes.items()} == {"image?": 300}
    with pytest.raises(NotADocument, match="index"):
        from_dict({**entry, "index": True})


def test_one_fact_is_named_before_two():
    """The shortest list of differences, and only facts in which somebody healthy differs."""
    healthy = Counter(
        {
            frozenset({("image", "a"), ("driver", "new"), ("os", "x")}): 5,
            frozenset({("image", "b"), ("driver", "old"), ("os", "x")}): 5,
        }
    )
    one = frozenset({("image", "a"), ("driver", "odd"), ("os", "x")})
    assert groups.separating(one, healthy) == ((("driver", "odd"),), 0)
    two = frozenset({("image", "a"), ("driver", "old"), ("os", "x")})
    assert groups.separating(two, healthy) == ((("driver", "old"), ("image", "a")), 0)
    same = frozenset({("image", "a"), ("driver", "new"), ("os", "x")})
    assert groups.separating(same, healthy)[1] == 5


def test_what_fails_alike_for_two_reasons_becomes_two_groups():
    """One code, two explanations: each has its group and its facts."""
    bad = [
        document(Status.BROKEN, host=f"b{number}", attributes={"rack": "1" if number < 3 else "2", "image": image})
        for number, image in enumerate(["a", "a", "b", "odd", "odd"])
    ]
    good = [
        document(Status.HEALTHY, host=f"g{number}", attributes={"rack": "2", "image": image})
        for number, image in enumerate(["a", "b"])
    ]
    picture = groups.picture([*bad, *good])
    assert {group.separates: group.gpus for group in picture.groups} == {
        (("rack", "1"),): 3,
        (("image", "odd"),): 2,
    }


def test_faults_of_a_made_up_fleet_are_found():
    """Partial mounts on one image, an old rack, one hung card: each is a group of exactly its machines."""
    row = made_up.measure(4000)
    assert (row["faults"], row["groups"], row["named"]) == (3, 3, 3)
    assert (row["recall"], row["precision"]) == (1.0, 1.0)
    assert row["damaged"] > 0
