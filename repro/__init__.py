"""The evidence: what cuFFT does in every PyTorch release, with a GPU and under a simulated driver.

`versions.toml` lists the releases, `nox -s repro-<torch>` installs one and runs the pytest files of this folder in it,
and each run leaves one JSON file in `results/`. The FFT part needs torch, numpy and pytest alone, so that any file can
be taken out and run elsewhere.
"""
