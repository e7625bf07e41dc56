"""Facts that follow from versions and devices, rather than from what somebody wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cufft_harness.diagnosis.facts import Environment, Fact, Version, version_text
from cufft_harness.diagnosis.hardware import default_cuda, newest_gpu

_DRIVER_OF_CUDA_13 = (580,)


def facts_of(environment: Environment, facts: Sequence[Fact] = ()) -> Iterator[Fact]:
    """All derived facts; `facts` are those read from the text, needed only to tell a code apart from none."""
    yield from _cuda(environment)
    yield from _torch(environment)
    yield from _gpus(environment)
    yield from _driver(environment)
    yield from _working(environment)
    names = {fact.name for fact in facts}
    if any(name.startswith("CUFFT_") for name in names):
        yield Fact("cufft-code", "")
    if names & {"CUFFT_INTERNAL_ERROR"} or (
        "cufft-error" in names and not any(n.startswith("CUFFT_") for n in names) and "half-power-of-two" not in names
    ):
        yield Fact("cufft-unspecific", "cuFFT reports only an internal or unnamed error")
    if environment.memory_used is not None:
        used = f"nvidia-smi shows {environment.memory_used:.0%} of the memory in use"
        if environment.memory_used >= 0.92:
            yield Fact("memory-nearly-full", used)
        elif environment.memory_used < 0.75:
            yield Fact("memory-not-full", used)


def _cuda(environment: Environment) -> Iterator[Fact]:
    cuda = environment.cuda
    if cuda is None:
        yield Fact("cuda-unknown", "the CUDA version of the build is not known")
        return
    how = "by its usual build" if environment.cuda_guessed else "as printed"
    built = f"built for CUDA {version_text(cuda)} ({how})"
    if cuda >= (13,):
        yield Fact("cuda-13", built)
    if cuda >= (12,):
        yield Fact("cuda-12-or-newer", f"{built}, whose cuFFT needs the driver's PTX JIT compiler")
    else:
        yield Fact("cuda-11-or-older", f"{built}, whose cuFFT carries machine code")
    if cuda < (12, 8):
        yield Fact("cuda-before-blackwell", f"{built}, which knows no RTX 50 card")
    if cuda < (11, 8):
        yield Fact("cufft-before-ada", f"{built}, whose cuFFT knows no GPU newer than compute capability 8.6")
    else:
        yield Fact("cufft-ada-ready", f"{built}, whose cuFFT supports the RTX 40 series")
    if cuda >= (11, 2):
        yield Fact("cuda-after-11.1", f"{built}, where plan reuse is repaired")
    if cuda[:2] == (11, 1):
        yield Fact("cuda-11.1", f"{built}, whose cuFFT skips the work when some plans are used again")
    if cuda < (10,):
        yield Fact("cuda-before-10", f"{built}, whose cuFFT fails from 1024 live plans on")
    if (12, 6) <= cuda < (12, 9):
        yield Fact("cufft-11.3", f"{built}: cuFFT 11.3, which answers INVALID_SIZE when its kernels cannot be loaded")


def _torch(environment: Environment) -> Iterator[Fact]:
    torch = environment.torch
    if torch is None:
        yield Fact("torch-unknown", "the PyTorch version is not known")
        if environment.cuda and environment.cuda_guessed:
            yield Fact("cuda-only-said", "the CUDA version that is mentioned need not be that of the PyTorch build")
        return
    source = "by the line numbers of the traceback" if environment.torch_from_frames else "as stated"
    text = f"PyTorch {version_text(torch)} ({source})"
    spans: tuple[tuple[str, Version, Version], ...] = (
        ("torch-0.4", (0, 0), (1, 0)),
        ("torch-before-1.2", (0, 0), (1, 2)),
        ("torch-1.2-or-newer", (1, 2), (99,)),
        ("torch-1.2-to-1.4", (1, 2), (1, 5)),
        ("torch-1.5-or-newer", (1, 5), (99,)),
        ("torch-before-1.9", (1, 3), (1, 9)),
        ("torch-1.13-or-older", (1, 4), (2, 0)),
        ("torch-2.0", (2, 0), (2, 1)),
        ("torch-2.0-to-2.1", (2, 0), (2, 2)),
    )
    for name, since, before in spans:
        if since <= torch < before:
            yield Fact(name, text)
    if environment.torch_from_frames or environment.cuda_guessed:
        yield Fact("cuda-not-printed", "the CUDA version of the build is not printed")


def _gpus(environment: Environment) -> Iterator[Fact]:
    nvidia = [gpu for gpu in environment.gpus if gpu.capability]
    if any(gpu.amd for gpu in environment.gpus) and not nvidia:
        yield Fact("amd-gpu", f"the card is an AMD {environment.gpus[0].name}")
    if not environment.gpus:
        yield Fact("gpu-unknown", "the GPU is not named")
    if not nvidia:
        return
    yield Fact("nvidia-gpu", f"the card is NVIDIA's ({nvidia[0].name})")
    newest = max(nvidia, key=lambda gpu: gpu.capability or ())
    capability = newest.capability or ()
    text = f"the GPU is {newest.name} (compute capability {version_text(capability)})"
    if capability >= (8, 9):
        yield Fact("gpu-ada-or-newer", text)
    else:
        yield Fact("gpu-before-ada", f"{text}, older than the RTX 40 series")
    if capability >= (10,):
        yield Fact("gpu-blackwell", text)
    if capability < (5, 3):
        yield Fact("gpu-below-sm53", text)
    if capability < (7, 5):
        yield Fact("gpu-before-turing", text)
    if environment.cuda and capability > newest_gpu(environment.cuda):
        # What people call "my CUDA" is often the toolkit beside PyTorch's own, and the PyPI wheel of PyTorch 2.0 says
        # cu117 but brings the cuFFT of CUDA 11.8 (nvidia-cufft-cu11 10.9.0.58).
        torch = environment.torch
        sure = (torch or (9,)) < (2, 0) or not (environment.cuda_guessed or (torch or ())[:2] == (2, 0))
        build = f"the build is {'' if sure else 'probably '}for CUDA {version_text(environment.cuda)}"
        name = "gpu-newer-than-cufft" if sure else "gpu-perhaps-newer-than-cufft"
        yield Fact(name, f"{text} and {build}, whose cuFFT has no code for it")


def _driver(environment: Environment) -> Iterator[Fact]:
    supports, driver = environment.driver_cuda, environment.driver
    if (supports and supports < (13,)) or (driver and driver < _DRIVER_OF_CUDA_13 and not supports):
        yield Fact("driver-before-cuda-13", f"the driver ({version_text(driver or supports)}) is older than CUDA 13")
    found = environment.driver_found
    if found is None:
        return
    text = f"PyTorch refuses the driver as too old: it supports CUDA {version_text(found)}"
    # Within one CUDA major version any driver is accepted, so a CUDA 12 driver can only be too old for a CUDA 13 build.
    yield Fact("driver-too-old-for-13" if (12,) <= found < (13,) else "driver-too-old-for-12", text)


def _working(environment: Environment) -> Iterator[Fact]:
    for torch, cuda in environment.working:
        built = cuda or (default_cuda(torch) if torch else None)
        name = " ".join(filter(None, [f"PyTorch {version_text(torch)}" if torch else "",
                                      f"CUDA {version_text(cuda)}" if cuda else ""]))  # fmt: skip
        if cuda and cuda < (12,) and environment.cuda and environment.cuda >= (12,):
            yield Fact("older-cuda-works", f"{name} works on the same card")
        if built and built >= (11, 8) and not (environment.cuda and environment.cuda >= (11, 8)):
            yield Fact("newer-cuda-works", f"{name} works on the same card")
