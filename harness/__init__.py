"""cufft-harness: why cuFFT fails, proof across PyTorch and CUDA versions, and training that goes on regardless."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cufft-harness")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
