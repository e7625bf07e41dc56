"""What is meant for others says nothing of who made it: home, user, host, and where things lie outside the system.

The end of a path stays, because that is what tells: which libcufft.so, from which package.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

T = TypeVar("T")

HOME, USER, HOST, ELSEWHERE = "~", "<user>", "<host>", "<...>"
SYSTEM = frozenset(
    [
        "bin",
        "boot",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "opt",
        "proc",
        "run",
        "sbin",
        "sys",
        "tmp",
        "usr",
        "var",
        "System",
        "Library",
        "Applications",
    ]
)
"""Folders that are called so on every machine."""
TOO_COMMON = frozenset(
    [
        "root",
        "user",
        "admin",
        "ubuntu",
        "debian",
        "fedora",
        "arch",
        "linux",
        "nvidia",
        "cuda",
        "cufft",
        "torch",
        "python",
        "conda",
        "docker",
        "jupyter",
        "runner",
        "build",
        "test",
        "gpu",
        "cpu",
        "host",
        "localhost",
        "localdomain",
        "local",
    ]
)
"""Names that say nothing of anybody, and that the rest of the text is full of."""
_ANY_HOME = re.compile(r"(?:/home|/Users|[A-Za-z]:[\\/]+Users)[\\/]+[^\\/\s:;,'\"|]+")
_PATH = re.compile(r"(?<![\w.~<>/:-])/[^\s:;,'\"|`()\[\]{}<>]+")


@dataclass(frozen=True)
class Redaction:
    """What is to be replaced.

    Attributes:
        homes: home directories, as paths.
        users: names of the user.
        hosts: names of the machine.
    """

    homes: tuple[str, ...]
    users: tuple[str, ...]
    hosts: tuple[str, ...]

    @classmethod
    def of_this_machine(cls) -> Redaction:
        """Of the user and the machine that this process is on."""
        home = os.path.expanduser("~")  # noqa: PTH111 - never raises, as Path.home does where there is none
        homes = {home, os.path.realpath(home), os.environ.get("HOME", "")}
        users = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER", "USERNAME")}
        users |= {PurePosixPath(one).name for one in homes}
        try:
            import pwd

            entry = pwd.getpwuid(os.getuid())
            homes.add(entry.pw_dir)
            users.add(entry.pw_name)
        except (ImportError, KeyError):  # Windows, or a container without an entry for this user
            pass
        host = platform.node()
        hosts = {host, host.partition(".")[0], os.environ.get("HOSTNAME", "")}
        return cls(_longest_first(one for one in homes if len(one) > 1), _telling(users), _telling(hosts))

    def text(self, text: str) -> str:
        """The same without what is private."""
        for home in self.homes:
            text = re.sub(rf"{re.escape(home)}(?=$|[^\w.-])", HOME, text)
        text = _ANY_HOME.sub(HOME, text)
        text = _PATH.sub(lambda match: _end_of(match[0]), text)
        for names, instead in ((self.users, USER), (self.hosts, HOST)):
            for name in names:
                text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", instead, text, flags=re.IGNORECASE)
        return text

    def everywhere(self, data: T) -> T:
        """The same for nested dictionaries, lists and tuples; their keys are ours."""
        if isinstance(data, str):
            return self.text(data)  # type: ignore[return-value]
        if isinstance(data, dict):
            return {key: self.everywhere(value) for key, value in data.items()}  # type: ignore[return-value]
        if isinstance(data, (list, tuple)):
            return [self.everywhere(value) for value in data]  # type: ignore[return-value]
        return data


def _end_of(path: str) -> str:
    """A path of the system as it is; of any other what a package or a library is called."""
    parts = path.split("/")
    if parts[1] in SYSTEM or parts[1] == "" or len(parts) == 2:
        return path
    for name in ("site-packages", "dist-packages"):
        if name in parts:
            return "/".join([ELSEWHERE, *parts[parts.index(name) :]])
    return f"{ELSEWHERE}/{parts[-1]}"


def _telling(names: Iterable[str]) -> tuple[str, ...]:
    return _longest_first(name for name in names if len(name) > 2 and name.lower() not in TOO_COMMON)


def _longest_first(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: (-len(name), name)))
