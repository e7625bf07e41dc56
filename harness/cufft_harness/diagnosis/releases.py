"""Which release brings which CUDA, which cuFFT knows which GPU, which driver is needed."""

from __future__ import annotations

from cufft_harness.diagnosis.facts import Version

# Which CUDA the default wheel of each PyTorch release was built for, and the newest CUDA any of its builds had.
# From the wheels' metadata on PyPI; before 1.13 from the release pages.
_DEFAULT_CUDA: tuple[tuple[Version, Version, Version], ...] = (
    ((2, 15), (13, 2), (13, 2)), ((2, 11), (13, 0), (13, 0)), ((2, 9), (12, 8), (13, 0)), ((2, 8), (12, 8), (12, 9)),
    ((2, 7), (12, 6), (12, 8)), ((2, 6), (12, 4), (12, 6)), ((2, 5), (12, 4), (12, 4)), ((2, 4), (12, 1), (12, 4)),
    ((2, 1), (12, 1), (12, 1)), ((2, 0), (11, 7), (11, 8)), ((1, 13), (11, 7), (11, 7)), ((1, 12), (10, 2), (11, 6)),
    ((1, 11), (10, 2), (11, 5)), ((1, 10), (10, 2), (11, 3)), ((1, 8), (10, 2), (11, 1)), ((1, 7), (10, 2), (11, 0)),
    ((1, 5), (10, 2), (10, 2)), ((1, 3), (10, 1), (10, 1)), ((1, 0), (9, 0), (10, 0)), ((0, 0), (8, 0), (9, 2)),
)  # fmt: skip

# The CUDA of TensorFlow's wheels, https://www.tensorflow.org/install/source#gpu.
_TENSORFLOW_CUDA: tuple[tuple[Version, Version], ...] = (
    ((2, 18), (12, 5)), ((2, 16), (12, 3)), ((2, 15), (12, 2)), ((2, 12), (11, 8)), ((2, 5), (11, 2)),
    ((2, 4), (11, 0)), ((2, 1), (10, 1)), ((1, 13), (10, 0)), ((1, 5), (9, 0)), ((1, 0), (8, 0)), ((0, 0), (7, 5)),
)  # fmt: skip

# The newest GPU that the cuFFT of a CUDA release carries machine code for. cuFFT of CUDA 11.7 and older has no code
# for compute capability 8.9, https://github.com/pytorch/pytorch/issues/88038.
_NEWEST_GPU: tuple[tuple[Version, Version], ...] = (
    ((12, 8), (12, 1)), ((11, 8), (9, 0)), ((11, 1), (8, 6)), ((11, 0), (8, 0)), ((10, 0), (7, 5)), ((9, 0), (7, 2)),
    ((8, 0), (6, 2)), ((0, 0), (5, 3)),
)  # fmt: skip

# The oldest GPU a CUDA release supports (release notes of CUDA 9, 11, 12 and 13: Fermi, sm_30, Kepler, Volta dropped).
# cuFFT 12 of CUDA 13 answers INVALID_DEVICE on compute capability 7.0: repro/simdriver/expected.json.
_OLDEST_GPU: tuple[tuple[Version, Version], ...] = (
    ((13, 0), (7, 5)), ((12, 0), (5, 0)), ((11, 0), (3, 5)), ((9, 0), (3, 0)), ((0, 0), (2, 0)),
)  # fmt: skip

# The oldest driver that runs a build for a CUDA release; from 11 on one driver serves a whole major version.
# CUDA Toolkit release notes, table 3.
_OLDEST_DRIVER: tuple[tuple[Version, Version], ...] = (
    ((13, 0), (580,)), ((12, 0), (525,)), ((11, 0), (450,)), ((10, 2), (440,)), ((10, 1), (418,)), ((10, 0), (410,)),
    ((9, 2), (396,)), ((9, 0), (384,)), ((8, 0), (367,)),
)  # fmt: skip

# cuFFT's own version and the CUDA release it belongs to, read from the packages on PyPI.
_CUDA_OF_CUFFT: tuple[tuple[Version, Version], ...] = (
    ((12, 2), (13, 2)), ((12, 0), (13, 0)), ((11, 4), (12, 9)), ((11, 3, 3), (12, 8)), ((11, 3), (12, 6)),
    ((11, 2), (12, 4)), ((11, 0, 8), (12, 2)), ((11, 0), (12, 1)), ((10, 9), (11, 8)), ((10, 7), (11, 7)),
    ((10, 6), (11, 5)), ((10, 4), (11, 2)), ((10, 3), (11, 1)), ((10, 2), (11, 0)), ((10, 1), (10, 2)),
    ((10, 0), (10, 0)), ((9, 2), (9, 2)), ((9, 0), (9, 0)), ((8, 0), (8, 0)),
)  # fmt: skip


def default_cuda(torch: Version) -> Version:
    """The CUDA version that the default wheel of this PyTorch was built for."""
    return next(cuda for since, cuda, _ in _DEFAULT_CUDA if torch[:2] >= since)


def newest_cuda(torch: Version) -> Version:
    """The newest CUDA version that any build of this PyTorch had."""
    return next(cuda for since, _, cuda in _DEFAULT_CUDA if torch[:2] >= since)


def tensorflow_cuda(tensorflow: Version) -> Version:
    """The CUDA version of this TensorFlow's wheel."""
    return next(cuda for since, cuda in _TENSORFLOW_CUDA if tensorflow[:2] >= since)


def newest_gpu(cuda: Version) -> Version:
    """The newest compute capability that the cuFFT of this CUDA carries code for."""
    return next(gpu for since, gpu in _NEWEST_GPU if cuda[:2] >= since)


def oldest_gpu(cuda: Version) -> Version:
    """The oldest compute capability that this CUDA supports."""
    return next(gpu for since, gpu in _OLDEST_GPU if cuda[:2] >= since)


def oldest_driver(cuda: Version) -> Version:
    """The oldest driver that runs a build for this CUDA; (0,) before CUDA 8."""
    return next((driver for since, driver in _OLDEST_DRIVER if cuda[:2] >= since), (0,))


def cuda_of_cufft(cufft: Version) -> Version:
    """The CUDA release a cuFFT library belongs to."""
    return next((cuda for since, cuda in _CUDA_OF_CUFFT if cufft >= since), (7, 5))


def cufft_of_cuda(cuda: Version) -> Version:
    """The cuFFT library, as (major, minor), that belongs to a CUDA release."""
    return next((cufft[:2] for cufft, since in _CUDA_OF_CUFFT if cuda[:2] >= since), (7, 5))
