"""Real runs of the tiny model, hurt on purpose: `nox -s faults`. docs/promises.md says what is promised and why."""
