"""cufft-harness: why cuFFT fails, proof across PyTorch and CUDA versions, and training that goes on regardless."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up only when asked for: reading package metadata costs more than the rest of the start."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cufft-harness")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
