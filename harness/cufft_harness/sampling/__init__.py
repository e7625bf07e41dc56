"""Samples beside training: a worker process with its own context, tiers chosen from probes, files that are checked.

checkpoint -> `supervisor` (a thread of the trainer) -> `protocol` -> `worker` (own process) -> `artefacts`.
"""
