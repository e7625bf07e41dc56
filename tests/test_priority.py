"""cufft_harness.sampling.priority: a worker stands back, and gets its share again, with and without the right to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cufft_harness import processes
from cufft_harness.sampling.priority import Account, is_stopped

HAS_AUTOGROUPS = Path("/proc/self/autogroup").exists()
TRY = """
import json, os, subprocess, sys, time
from pathlib import Path
from cufft_harness import processes
from cufft_harness.sampling.priority import Priority
sleep = "threading.Thread(target=time.sleep, args=(60,)).start(); print(flush=True); time.sleep(60)"
code = f"import threading, time; {sleep}"
process = processes.start([sys.executable, "-c", code])
process.stdout.readline()
def values():
    group = Path(f"/proc/{process.pid}/autogroup")
    nice = {os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in Path(f"/proc/{process.pid}/task").iterdir()}
    return sorted(nice), int(group.read_text().split()[-1]) if group.exists() else None
def told(priority):
    return [*values(), priority.is_low, priority.is_stuck]
priority, found = Priority(process.pid, by_nice=sys.argv[1] == "nice"), []
priority.lower()
found.append(told(priority))
priority.restore()
found.append(told(priority))
print(json.dumps(found))
processes.end(process, grace_s=0.1)
"""
"""Lowers and restores the priority of a process of two threads, and prints what could be seen each time."""


def change(by: str, *before: str) -> Any:
    result = subprocess.run([*before, sys.executable, "-c", TRY, by], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def without_the_right() -> list[str]:
    """Starts a program that may not put nice values back, as users and containers may not."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv here to give up the right to restore nice values")
    return ["setpriv", "--inh-caps=-sys_nice", "--bounding-set=-sys_nice"]


def test_without_the_right_the_session_gets_its_share_back():
    """Nice values stay, which is said; the session's value, which counts between sessions, is what it was."""
    lowered, restored = change("nice", *without_the_right())
    assert lowered == [[19], 19 if HAS_AUTOGROUPS else None, True, False]
    assert restored == [[19], 0 if HAS_AUTOGROUPS else None, False, True]


def test_a_worker_told_so_never_has_its_nice_values_changed():
    """So it can always be given its share back: what the worker after a starved one gets."""
    lowered, restored = change("session", *without_the_right())
    assert lowered == [[0], 19 if HAS_AUTOGROUPS else None, True, False]
    assert restored == [[0], 0 if HAS_AUTOGROUPS else None, False, False]


@pytest.mark.skipif(os.geteuid() != 0, reason="putting nice values back takes root, or a limit that allows it")
def test_with_the_right_everything_is_put_back():
    """Nice values of all threads, and the session's."""
    _lowered, restored = change("nice")
    assert restored == [[0], 0 if HAS_AUTOGROUPS else None, False, False]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts")
def test_the_account_tells_running_from_waiting():
    """A process that only computes has run, hardly waited unless others took the processor, and is not stopped."""
    import signal

    process = processes.start([sys.executable, "-c", "print(sum(range(10**7)), flush=True); input()"], stdin=-1)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        account = Account.of(process.pid)
        assert account.ran > 0.01
        assert not is_stopped(process.pid)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert is_stopped(process.pid)
    finally:
        processes.end(process, grace_s=0.1)
    assert Account.of(process.pid) == Account()
    assert account.since(Account(account.ran / 2, account.waited + 1)) == Account(account.ran / 2, 0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this value")
def test_a_worker_is_what_linux_ends_first_for_want_of_memory():
    """A sample can be made again; the trainer keeps the value it has."""
    read = "print(open('/proc/self/oom_score_adj').read())"
    code = f"from cufft_harness.sampling.__main__ import die_first; die_first(); {read}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) == 1000
