"""How much of the processor a worker gets: what training leaves while training needs it, its fair share otherwise.

Linux has two values for this, and which of them counts depends on the machine (sched(7), "The autogroup feature"):

- the nice value of each thread, among the threads of one control group or one session. Whoever raised it needs a right
  to put it back (CAP_SYS_NICE, or RLIMIT_NICE), which users and containers do not have;
- where the system has autogroups, time is shared evenly between sessions, and the worker leads its own. The session's
  value may be put back by its owner.

So both are lowered, both are put back, and `Priority` says whether that was possible. Of a worker that stays low
although it should not, the supervisor makes another.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOWEST = 19


class Priority:
    """The priority of a worker, seen and set from its trainer.

    Args:
        leader: process id of the worker, which leads a session and a process group.
        by_nice: also use the nice values, which cannot always be put back.
    """

    def __init__(self, leader: int, by_nice: bool = True) -> None:
        self.is_low = False
        self.is_stuck = False
        """The nice values could not be put back: where they are what counts, the worker starves on a busy machine."""
        self._leader, self._by_nice = leader, by_nice
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._session = _session_nice("self")

    def lower(self) -> None:
        """Let everything else go first."""
        self._set_session(LOWEST)
        if self._by_nice:
            self._set_nice(LOWEST)
        self.is_low = True

    def restore(self) -> None:
        """Let the worker have its fair share: the values of the trainer."""
        self._set_session(self._session)
        if self._by_nice:
            self.is_stuck = not self._set_nice(self._nice)
        self.is_low = False

    def _set_nice(self, value: int) -> bool:
        """Set it for every thread of the group; False where that is not allowed."""
        try:
            os.setpriority(os.PRIO_PGRP, self._leader, value)
        except PermissionError:
            return False
        except ProcessLookupError:  # it has ended; whoever waits for it will see
            pass
        return True

    def _set_session(self, value: int) -> None:
        for _ in range(5):
            try:
                Path(f"/proc/{self._leader}/autogroup").write_text(str(value))
            except BlockingIOError:  # the kernel lets users write one such value in a tenth of a second, all together
                time.sleep(0.11)
                continue
            except OSError:  # no autogroups here, or the worker has ended
                pass
            return


def _session_nice(process: str) -> int:
    """The nice value of a process's session: its autogroup file says, for example, "/autogroup-97 nice 5"."""
    try:
        return int(Path(f"/proc/{process}/autogroup").read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


@dataclass(frozen=True)
class Account:
    """What the thread of a process that waited longest got of the processor, in seconds; all 0 where nobody counts.

    Attributes:
        ran: it had the processor.
        waited: it wanted the processor and had none.
    """

    ran: float = 0.0
    waited: float = 0.0

    @classmethod
    def of(cls, process_id: int) -> Account:
        """Read it from Linux's /proc/PID/task/TID/schedstat (its first two numbers, in nanoseconds)."""
        longest = cls()
        for thread in Path(f"/proc/{process_id}/task").glob("*/schedstat"):
            with suppress(OSError, ValueError):  # the thread has just ended, or the kernel keeps no account
                ran, waited = (int(number) / 1e9 for number in thread.read_text().split()[:2])
                longest = max(longest, cls(ran, waited), key=lambda account: account.waited)
        return longest

    def since(self, before: Account) -> Account:
        """What came between; a thread that ended meanwhile has taken its account along, so nothing is below 0."""
        return Account(max(0.0, self.ran - before.ran), max(0.0, self.waited - before.waited))


def is_stopped(process_id: int) -> bool:
    """Whether somebody has stopped the process (SIGSTOP): state "T" in proc(5)."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    except (OSError, IndexError):
        return False
