"""A Slurm of several nodes on this machine, in a folder of its own, ended with it.

Each node is a slurmd of its own under a name of its own; munge, slurmctld and all of them listen on 127.0.0.1 and run
as root, as slurmd must.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cufft_harness import processes

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "srun", "sbatch", "scontrol")
ADVICE = "On Debian or Ubuntu: apt install slurmctld slurmd slurm-client munge."
_CONFIGURATION = """\
ClusterName=harness
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SchedulerType=sched/backfill
ReturnToService=2
MpiDefault=none
SlurmdTimeout=10
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
HealthCheckInterval={interval}
HealthCheckProgram={health_check}
HealthCheckNodeState=ANY
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=30 State=UP OverSubscribe=YES
"""


class CannotStart(Exception):
    """There is no Slurm here, or it did not come up; the message is one line."""


@dataclass(frozen=True)
class Slurm:
    """A running cluster; commands take their configuration from `environment`."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, timeout_s: float = 120) -> processes.Finished:
        """Run a command of Slurm's, such as srun."""
        return processes.run(command, timeout_s=timeout_s, env=self.environment)

    def state(self, node: str) -> tuple[str, str]:
        """(state, reason) of a node, as sinfo prints them: ``("drained", "cufft-harness: …")``."""
        finished = self.run("sinfo", "--noheader", "--nodes", node, "--format", "%T|%E")
        state, _, reason = finished.stdout.strip().partition("|")
        return state, reason

    def wait(self, node: str, wanted: Callable[[str], bool], limit_s: float) -> tuple[str, str]:
        """The state of a node once it is as wanted, or at the end of the limit."""
        end = time.monotonic() + limit_s
        while not wanted(self.state(node)[0]) and time.monotonic() < end:
            time.sleep(0.5)
        return self.state(node)

    def kill(self, node: str) -> None:
        """End a node's slurmd as a crash would."""
        os.kill(int((self.folder / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)


@contextlib.contextmanager
def slurm(folder: Path, nodes: int, health_check: Path, interval: int) -> Iterator[Slurm]:
    """A cluster of `nodes` nodes n1, n2, … for the time of the body.

    Args:
        folder: for everything it writes; of root alone.
        health_check: what slurmd runs every `interval` seconds on each node.

    Raises:
        CannotStart: with one line why.
    """
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if missing:
        raise CannotStart(f"{', '.join(missing)} not installed. {ADVICE}")
    if os.geteuid() != 0:
        raise CannotStart("slurmd needs to be root.")
    for name in ("state", "log", *(f"spool/n{number}" for number in range(1, nodes + 1))):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.touch(0o400)
    key.write_bytes(secrets.token_bytes(1024))
    first = _free_ports(nodes + 1)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0], folder=folder, nodes=nodes, port=first,
            first=first + 1, last=first + nodes, health_check=health_check, interval=interval,
        )
    )  # fmt: skip
    environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(configuration)}
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        daemons.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    try:
        start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/log/munged.log",
            f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        _until(lambda: (folder / "munge.socket").exists(), "munged")
        start("slurmctld", "-D", "-f", str(configuration))
        for number in range(1, nodes + 1):
            start("slurmd", "-D", "-f", str(configuration), "-N", f"n{number}")
        cluster = Slurm(folder, environment)
        names = [f"n{number}" for number in range(1, nodes + 1)]
        # a node that registers is checked at once: it may drain before anybody sees it idle
        _until(lambda: all(cluster.state(node)[0].startswith(("idle", "drain")) for node in names), "a node")
        yield cluster
    finally:
        for daemon in reversed(daemons):
            daemon.kill()
            daemon.wait()


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on."""
    for first in range(16817, 30000, 50):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise CannotStart("no free ports")


def _until(is_true: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > end:
            raise CannotStart(f"{what} did not come up within {limit_s:.0f} s.")
        time.sleep(0.3)
