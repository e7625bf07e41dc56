"""One target under libFuzzer: ``child.py TARGET CORPUS -flags``. It ends with the first broken promise."""

from __future__ import annotations

import os
import shlex
import sys

import atheris

# our own code, and what parses TOML for it, so that inputs get past the syntax
with atheris.instrument_imports(include=["cufft_harness", "tomllib", "click"]):
    from cufft_harness.training.setting import PREFIX

    from repro.fuzz import targets

if __name__ == "__main__":
    name = sys.argv.pop(1)
    for variable in [one for one in os.environ if one.startswith(PREFIX)]:
        del os.environ[variable]
    # to merge corpora, libFuzzer runs its own first argument again, with a shell
    sys.argv[0] = shlex.join([sys.executable, __file__, name])
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()
