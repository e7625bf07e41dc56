"""Measurements; `python -m repro.benchmarks` runs them, `python -m repro.benchmarks.fft_table` writes a table."""
