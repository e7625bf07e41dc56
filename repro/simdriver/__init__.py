"""The real libcufft under a simulated CUDA driver: which fault of the driver gives which cuFFT code.

`src/` is the driver in C, built when it is needed; `experiments` lists what is tried; `run` does it, each experiment in
a process of its own. By hand: ``python -m repro.simdriver PATH/libcufft.so.11``.
"""
