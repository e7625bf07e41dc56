"""Imported once, by the process that scenarios on the CPU are forked from: importing TTS takes longer than they do."""

import contextlib
import importlib

for _name in ("cufft_harness.probes.transforms", "repro.matrix.xtts_scenarios", "TTS.tts.models.xtts"):
    with contextlib.suppress(Exception):  # what cannot be imported fails again, and is told of, in its scenario
        importlib.import_module(_name)
