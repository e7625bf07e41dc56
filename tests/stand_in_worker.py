"""A worker that makes no speech but keeps to the protocol, until it is told to misbehave.

Usage: ``stand_in_worker.py PLAN PARENT``, PLAN being a JSON file with `kind` and `tiers`: how to fail, and where.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import wave
from pathlib import Path
from typing import Any


def main() -> None:
    """Greet, answer, and fail as planned; the plan is read anew for each request."""
    answer: dict[str, Any]
    answer = {"number": 0, "made": True}
    if plan()["kind"].startswith("start-"):
        misbehave(plan()["kind"].removeprefix("start-"), answer, Path(os.devnull))
    say(b'{"number": 0, "stage": "model"}\n')
    say(json.dumps(answer).encode() + b"\n")
    for line in sys.stdin.buffer:
        request = json.loads(line)
        say(json.dumps({"number": request["number"], "stage": "decode"}).encode() + b"\n")
        target = Path(request["target"])
        answer = {"number": request["number"], "made": True, "weights_sha256": "ab", "audio_seconds": 0.2}
        write_wav(target)
        if request["placement"]["tier"] in plan()["tiers"]:
            misbehave(plan()["kind"], answer, target)
        say(json.dumps(answer).encode() + b"\n")


def plan() -> dict[str, Any]:
    """What is wanted now."""
    content: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    return content


def say(line: bytes) -> None:
    """Write all of a line."""
    while line:
        line = line[os.write(1, line) :]


def write_wav(path: Path, rate: int = 22_050, channels: int = 1, frames: int = 4410) -> None:
    """A sample as it should be, or not."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(b"\x10\x20" * frames * channels)


def misbehave(kind: str, answer: dict[str, Any], target: Path) -> None:
    """Fail; those that return have changed the answer or the file and let it be sent."""
    once = Path(f"{sys.argv[1]}.hung")
    if kind == "hang-once" and once.exists():
        return
    if kind == "hang-once":
        once.touch()
        kind = "hang"
    if kind == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("hanging\n")
        sys.stderr.flush()
        time.sleep(3600)
    elif kind in ("segfault", "killed"):
        os.kill(os.getpid(), signal.SIGSEGV if kind == "segfault" else signal.SIGKILL)
    elif kind == "exit":
        sys.exit(3)
    elif kind == "garbage":
        say(b"\x00\xff{]\n")
    elif kind == "nested":
        say(b"[" * 200_000 + b"\n")
    elif kind == "endless":
        say(b"x" * (3 << 20))
    elif kind == "half-a-line":
        say(json.dumps(answer).encode()[:-3])
        sys.exit(0)
    elif kind == "other-stage":
        say(b'{"number": 77, "stage": "decode"}\n')
    elif kind == "odd-stage":
        say(b'{"number": 1, "stage": "\\u001b[2J"}\n')
    elif kind == "stages-without-end":
        while True:
            say(json.dumps({"number": answer["number"], "stage": "decode"}).encode() + b"\n")
    elif kind == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif kind == "other-number":
        answer["number"] += 1
    elif kind == "twice":
        say(json.dumps(answer | {"number": answer["number"] + 5}).encode() + b"\n")
    elif kind == "not-made":
        answer |= {"made": False, "reason": "\x1b[2J\x07 probe error: \ud800 CUFFT_INVALID_SIZE\nsecond line"}
    elif kind == "wrong-types":
        answer["stages"] = {"decode": "fast"}
    elif kind == "odd-stages":
        answer["stages"] = {"\x1b[31m": 1.0}
    elif kind == "not-a-number":
        answer["audio_seconds"] = float("nan")
    elif kind == "no-file":
        target.unlink()
    elif kind == "empty-file":
        target.write_bytes(b"")
    elif kind == "cut-file":
        target.write_bytes(target.read_bytes()[:-100])
    elif kind == "no-samples":
        write_wav(target, frames=0)
    elif kind == "other-rate":
        write_wav(target, rate=24_000)
    elif kind == "stereo":
        write_wav(target, channels=2)
    elif kind == "directory":
        target.unlink()
        target.mkdir()
    else:
        raise ValueError(kind)


if __name__ == "__main__":
    main()
