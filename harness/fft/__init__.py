"""Fourier transforms without cuFFT, for any PyTorch program."""
