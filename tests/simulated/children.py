"""Children that behave badly, each in one way: ``python children.py BEHAVIOUR RESULT DEVICE NAME...``.

They stand in for `cufft_harness.probes.child`; the first experiment misbehaves, the others pass.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BEHAVIOUR, RESULT, _DEVICE, *NAMES = sys.argv[1:]
PASS = {"verdict": "pass", "code": None, "detail": "", "relative_error": 1e-7, "seconds": 0.1}


def append(text):
    with Path(RESULT).open("a") as stream:
        stream.write(text)


def write(**entry):
    append(json.dumps(entry) + "\n")


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def misbehave():
    if BEHAVIOUR == "sleeps":
        time.sleep(600)
    if BEHAVIOUR == "ignores-signals":
        ignore_signals()
        time.sleep(600)
    if BEHAVIOUR == "holds-the-gil":
        ignore_signals()
        ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the GIL during the call
    if BEHAVIOUR == "leaves-grandchildren":
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["GRANDCHILD"]).write_text(str(grandchild.pid))
        time.sleep(600)
    if BEHAVIOUR == "leaves-silently":
        os._exit(0)
    if BEHAVIOUR == "leaves-with-status":
        sys.exit("cannot go on")
    if BEHAVIOUR == "half-a-json":
        append(json.dumps({"end": NAMES[0], **PASS})[:30])
        os._exit(0)
    if BEHAVIOUR == "nonsense":
        append("\x00\xff[1, 2\n7\n" + json.dumps({"end": NAMES[0], "verdict": "splendid"}) + "\n")
        os._exit(0)
    if BEHAVIOUR == "segfaults":
        os.kill(os.getpid(), signal.SIGSEGV)
    if BEHAVIOUR == "aborts":
        os.abort()
    if BEHAVIOUR == "allocates":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
        ballast = []
        try:
            while True:
                ballast.append(bytearray(2**24))
        except MemoryError:
            ballast.clear()
            os.kill(os.getpid(), signal.SIGKILL)  # what the kernel's out-of-memory killer would do
    if BEHAVIOUR == "raises":
        write(end=NAMES[0], **{**PASS, "verdict": "failed", "code": "CUFFT_INVALID_SIZE", "detail": "call 1"})
        return
    if BEHAVIOUR == "wrong-on-call-two":
        write(end=NAMES[0], **{**PASS, "verdict": "wrong numbers", "detail": "call 2", "relative_error": 0.4})
        return
    if BEHAVIOUR == "talks":
        sys.stdout.write("x" * 2_000_000)
        sys.stderr.write("y" * 2_000_000)
    write(end=NAMES[0], **PASS)


write(begin="environment")
if BEHAVIOUR == "never-comes-up":
    time.sleep(600)
write(end="environment", torch="2.8.0")
for index, name in enumerate(NAMES):
    write(begin=name)
    if index == 0 and name == "matmul":
        misbehave()
    else:
        write(end=name, **PASS)
write(end="all")
if BEHAVIOUR == "does-not-leave":
    ignore_signals()
    time.sleep(600)
