"""Measurements; `pytest benchmarks --benchmark-enable` runs them, `python -m benchmarks.fft_table` writes a table."""
