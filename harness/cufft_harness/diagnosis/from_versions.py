"""Facts that follow from versions and devices, rather than from what somebody wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cufft_harness.diagnosis.facts import Environment, Fact, Gpu, Sure, Version, version_text
from cufft_harness.diagnosis.releases import default_cuda, newest_gpu, oldest_driver, oldest_gpu

_HOW = {Sure.PRINTED: "as printed", Sure.SAID: "as the report says", Sure.USUAL: "by its usual build", Sure.NOT: ""}
_NEARLY_FULL, _NOT_FULL = 0.92, 0.75


def facts_of(environment: Environment, facts: Sequence[Fact] = ()) -> Iterator[Fact]:
    """All derived facts; `facts` are those read from the text, needed only to tell a code apart from none."""
    yield from _cuda(environment)
    yield from _torch(environment)
    yield from _gpus(environment)
    yield from _driver(environment)
    yield from _working(environment)
    yield from _codes({fact.name for fact in facts})
    if environment.memory_used is not None:
        used = f"nvidia-smi shows {environment.memory_used:.0%} of the memory in use"
        if environment.memory_used >= _NEARLY_FULL:
            yield Fact("memory-nearly-full", used)
        elif environment.memory_used < _NOT_FULL:
            yield Fact("memory-not-full", used)


def _codes(names: set[str]) -> Iterator[Fact]:
    coded = any(name.startswith("CUFFT_") for name in names)
    in_words = names & {"cufft-error", "plan-failed", "plan-with-allocator", "exec-failed-words"}
    if coded:
        yield Fact("cufft-code", "cuFFT answered with an error code")
    if coded or in_words:
        yield Fact("cufft-error", "a cuFFT error is reported")
    if "CUFFT_INTERNAL_ERROR" in names:
        yield Fact("cufft-unspecific", "the code is INTERNAL_ERROR")
    elif in_words - {"exec-failed-words"} and not coded and "half-power-of-two" not in names:
        yield Fact("cufft-unspecific", "a cuFFT failure is shown without a code")


def _cuda(environment: Environment) -> Iterator[Fact]:
    cuda = environment.cuda
    if cuda is None:
        yield Fact("cuda-unknown", "the CUDA version of the build is not known")
        return
    built = f"built for CUDA {version_text(cuda)} ({_HOW[environment.cuda_sure]})"
    sure = environment.cuda_sure is Sure.PRINTED
    if cuda >= (13,):
        yield Fact("cuda-13", built)
    if cuda >= (12,):
        yield Fact("cuda-12-or-newer", f"{built}, whose cuFFT needs the driver's PTX JIT compiler")
    else:
        yield Fact("cuda-11-or-older", f"{built}, whose cuFFT carries machine code")
        if sure:
            yield Fact("cuda-11-or-older-sure", f"{built}, whose cuFFT carries machine code")
    if cuda >= (11,):
        yield Fact("cuda-11-or-newer", built)
    if cuda < (12, 8):
        yield Fact("cuda-before-blackwell", f"{built}, which knows no RTX 50 card")
    if cuda < (11, 8):
        yield Fact("cufft-before-ada", f"{built}, whose cuFFT knows no GPU newer than compute capability 8.6")
    else:
        yield Fact("cufft-ada-ready", f"{built}, whose cuFFT supports the RTX 40 series")
        if sure:
            yield Fact("cufft-ada-ready-sure", f"{built}, whose cuFFT supports the RTX 40 series")
    if cuda >= (11, 2):
        yield Fact("cuda-after-11.1", f"{built}, where plan reuse is repaired")
    if cuda[:2] == (11, 1):
        yield Fact("cuda-11.1", f"{built}, whose cuFFT skips the work when some plans are used again")
    if cuda < (10,):
        yield Fact("cuda-before-10", f"{built}, whose cuFFT fails from 1024 live plans on")


def _torch(environment: Environment) -> Iterator[Fact]:
    torch = environment.torch
    if environment.cuda and environment.cuda_sure is Sure.SAID:
        yield Fact("cuda-only-said", "the CUDA version that is mentioned need not be that of the build")
    if torch is None:
        yield Fact("torch-unknown", "the PyTorch version is not known")
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
        ("torch-before-1.12", (0, 0), (1, 12)),
        ("torch-1.13-or-older", (1, 4), (2, 0)),
        ("torch-2.0", (2, 0), (2, 1)),
        ("torch-2.0-to-2.1", (2, 0), (2, 2)),
    )
    for name, since, before in spans:
        if since <= torch < before:
            yield Fact(name, text)
    if environment.torch_from_frames or environment.cuda_sure < Sure.PRINTED:
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
    if (8, 9) <= capability < (10,):
        yield Fact("gpu-ada-or-hopper", text)
    if capability >= (10,):
        yield Fact("gpu-blackwell", text)
    if capability < (5, 3):
        yield Fact("gpu-below-sm53", text)
    if capability < (7, 5):
        yield Fact("gpu-before-turing", text)
    if environment.cuda:
        yield from _too_new(text, capability, environment)
        yield from _too_old(nvidia, environment)


def _too_new(text: str, capability: Version, environment: Environment) -> Iterator[Fact]:
    cuda = environment.cuda or ()
    if oldest_gpu(cuda) <= capability <= newest_gpu(cuda):
        yield Fact("gpu-supported", f"{text}, which the cuFFT of CUDA {version_text(cuda)} supports")
    if capability <= newest_gpu(cuda):
        return
    # What people call "my CUDA" is often the toolkit beside PyTorch's own, and the PyPI wheel of PyTorch 2.0 says
    # cu117 but brings the cuFFT of CUDA 11.8 (nvidia-cufft-cu11 10.9.0.58).
    torch = environment.torch
    printed = environment.cuda_sure is Sure.PRINTED and (torch or ())[:2] != (2, 0)
    sure = printed or (torch is not None and torch < (2, 0) and environment.cuda_sure >= Sure.USUAL)
    build = f"the build is {'' if sure else 'probably '}for CUDA {version_text(cuda)}"
    name = "gpu-newer-than-cufft" if sure else "gpu-perhaps-newer-than-cufft"
    yield Fact(name, f"{text} and {build}, whose cuFFT has no code for it")


def _too_old(nvidia: list[Gpu], environment: Environment) -> Iterator[Fact]:
    cuda = environment.cuda or ()
    newest = max(nvidia, key=lambda gpu: gpu.capability or ())
    if (newest.capability or ()) < oldest_gpu(cuda):
        sure = environment.cuda_sure is Sure.PRINTED
        yield Fact(
            "gpu-older-than-cufft" if sure else "gpu-perhaps-older-than-cufft",
            f"the GPU is {newest.name} (compute capability {version_text(newest.capability)}), which CUDA "
            f"{version_text(cuda)} ({_HOW[environment.cuda_sure]}) no longer supports",
        )


def _driver(environment: Environment) -> Iterator[Fact]:
    supports, driver, cuda = environment.driver_cuda, environment.driver, environment.cuda
    if (supports and supports < (13,)) or (driver and driver < oldest_driver((13, 0)) and not supports):
        yield Fact("driver-before-cuda-13", f"the driver ({version_text(driver or supports)}) is older than CUDA 13")
    if driver and cuda and driver[:1] < oldest_driver(cuda) and environment.cuda_sure >= Sure.SAID:
        yield Fact(
            "driver-older-than-build",
            f"the driver is {version_text(driver)}; a build for CUDA {version_text(cuda)} needs "
            f"{version_text(oldest_driver(cuda))} or later",
        )
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
