"""FFTs where a program puts something between itself and PyTorch's kernels: compilers, modes, subclasses, transforms.

Inside them some dispatch keys are switched off, and what needs those, a lazy conjugate above all, is read wrongly
without an error. So every FFT function is computed in each of them, and compared with float64 by value.
"""

import contextlib
import functools

import pytest
import torch
from cufft_harness.fft import bypass, dispatch, guard, inject
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")
RELEASE = tuple(int(part) for part in torch.__version__.split(".")[:2])


def _stft(x, n_fft, **options):
    window = torch.hann_window(n_fft, dtype=torch.float64).to(x.dtype)
    return torch.stft(x, n_fft, n_fft // 4, window=window, return_complex=True, **options)


def _istft(z, n_fft, **options):
    window = torch.hann_window(n_fft, dtype=torch.float64).to(z.real.dtype)
    return torch.istft(z, n_fft, n_fft // 4, window=window, **options)


# Lengths: 30 and 32 split into small factors, 37 goes through Bluestein's algorithm, 74 through both; odd and even.
REAL = {
    "fft": lambda x: torch.fft.fft(x),
    "fft to 37": lambda x: torch.fft.fft(x, n=37, norm="ortho"),
    "fft to 74": lambda x: torch.fft.fft(x, n=74),
    "ifft": lambda x: torch.fft.ifft(x, dim=0),
    "rfft": lambda x: torch.fft.rfft(x, norm="forward"),
    "rfft to 37": lambda x: torch.fft.rfft(x, n=37),
    "rfft to 33": lambda x: torch.fft.rfft(x, n=33),
    "ihfft": lambda x: torch.fft.ihfft(x),
    "ihfft to 37": lambda x: torch.fft.ihfft(x, n=37),
    "fft2": lambda x: torch.fft.fft2(x),
    "fft2 of odd sizes": lambda x: torch.fft.fft2(x, s=(5, 37)),
    "ifft2": lambda x: torch.fft.ifft2(x, dim=(1, 0)),
    "rfft2": lambda x: torch.fft.rfft2(x),
    "ihfft2": lambda x: torch.fft.ihfft2(x),
    "fftn": lambda x: torch.fft.fftn(x.reshape(2, 3, 30)),
    "ifftn": lambda x: torch.fft.ifftn(x.reshape(2, 3, 30), dim=(0, 2)),
    "rfftn": lambda x: torch.fft.rfftn(x.reshape(2, 3, 30)),
    "ihfftn": lambda x: torch.fft.ihfftn(x.reshape(2, 3, 30)),
    "stft": lambda x: _stft(x, 16),
    "stft of both sides": lambda x: _stft(x, 16, onesided=False),
    "stft of odd length": lambda x: _stft(x, 15, onesided=False, normalized=True),
}
COMPLEX = {
    "fft": lambda z: torch.fft.fft(z),
    "fft to 37": lambda z: torch.fft.fft(z, n=37),
    "fft of a conjugate": lambda z: torch.fft.fft(z.conj()),
    "rfft of a negative": lambda z: torch.fft.rfft(z.conj().imag),
    "fft of a negative": lambda z: torch.fft.fft(z.conj().imag),
    "ifft": lambda z: torch.fft.ifft(z, norm="ortho"),
    "irfft": lambda z: torch.fft.irfft(z),
    "irfft to odd": lambda z: torch.fft.irfft(z, n=31),
    "irfft to 37": lambda z: torch.fft.irfft(z, n=37),
    "irfft to 74": lambda z: torch.fft.irfft(z, n=74),
    "hfft": lambda z: torch.fft.hfft(z),
    "hfft to 37": lambda z: torch.fft.hfft(z, n=37),
    "fft2": lambda z: torch.fft.fft2(z),
    "ifft2": lambda z: torch.fft.ifft2(z),
    "irfft2": lambda z: torch.fft.irfft2(z, s=(6, 37)),
    "hfft2": lambda z: torch.fft.hfft2(z),
    "fftn": lambda z: torch.fft.fftn(z.reshape(2, 3, 30)),
    "ifftn": lambda z: torch.fft.ifftn(z.reshape(2, 3, 30)),
    "irfftn": lambda z: torch.fft.irfftn(z.reshape(2, 3, 30)),
    "hfftn": lambda z: torch.fft.hfftn(z.reshape(2, 3, 30), dim=(0, 2)),
    "stft": lambda z: _stft(z, 16, onesided=False),
    "istft": lambda z: _istft(z[:, :9].t(), 16),
    "istft of both sides": lambda z: _istft(z[:, :16].t(), 16, onesided=False),
}


def everything(x, z):
    """All of the above, as one program."""
    results = {f"real {name}": function(x) for name, function in REAL.items()}
    return {**results, **{f"complex {name}": function(z) for name, function in COMPLEX.items()}}


def operands(real=torch.float32):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(6, 30, dtype=torch.float64, generator=generator)
    z = torch.complex(x.flip(1), torch.randn(6, 30, dtype=torch.float64, generator=generator))
    return x.to(real), z.to(torch.complex64 if real == torch.float32 else torch.complex128)


@functools.lru_cache(maxsize=1)
def reference():
    """Everything in float64, by the library, without layers, modes and compilers."""
    return everything(*operands(torch.float64))


def assert_right(results):
    """Each result is the float64 one but for float32's rounding, relative to the whole result."""
    assert results.keys() == reference().keys()
    for name, expected in reference().items():
        error = torch.linalg.vector_norm(results[name].to(expected.dtype) - expected)
        assert error <= 1e-6 * torch.linalg.vector_norm(expected), name


class Passing(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Wrapped(torch.Tensor):
    """A tensor that holds another and passes every operator on to it."""

    @staticmethod
    def __new__(cls, inner):
        """Hold `inner`, which has the memory; this has only shape and type."""
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=inner.device
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        def unwrap(value):
            return value.inner if isinstance(value, Wrapped) else value

        result = function(*tree_map(unwrap, args), **tree_map(unwrap, kwargs or {}))
        return tree_map(lambda value: Wrapped(_plain(value)) if isinstance(value, torch.Tensor) else value, result)


def _plain(value):
    return value.resolve_conj().resolve_neg()  # the wrapper itself has no lazy bits to show


@contextlib.contextmanager
def layers(kind):
    """A layer under which every result is one of products, or (verify) a library result compared with products."""
    with contextlib.ExitStack() as stack:
        if kind == "bypass":
            stack.enter_context(bypass("cpu"))
        if kind == "guard":
            stack.enter_context(guard("cpu"))
            stack.enter_context(inject("cpu", "CUFFT_INVALID_SIZE"))
        if kind == "verify":
            verifying = stack.enter_context(guard("cpu", verify=True))
        yield
        if kind == "verify":
            assert not verifying.account.entries()  # nobody takes a right answer for a wrong one


@pytest.fixture(params=["bypass", "guard", "verify"])
def layer(request):
    with layers(request.param):
        yield


@pytest.fixture(scope="module")
def compiled():
    """Everything, compiled once, without a layer: a program may have compiled itself before."""
    try:
        return torch.compile(everything, backend="aot_eager")
    except RuntimeError as error:  # torch 2.0 on Python 3.11
        pytest.skip(str(error))


def test_as_it_is(layer):
    """The plain program, to tell a wrong function from a wrong surrounding."""
    assert_right(everything(*operands()))


def test_in_a_dispatch_mode(layer):
    """A mode that looks on, also two of them."""
    with Passing():
        assert_right(everything(*operands()))
        with Passing():
            assert_right(everything(*operands()))


def test_counting_operations(layer):
    """PyTorch's own counter of operations, a mode many training programs use."""
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode(display=False)
    with counter:
        assert_right(everything(*operands()))


def test_in_a_wrapper_subclass(layer):
    """Quantized, distributed and nested parameters are such tensors."""
    x, z = operands()
    results = everything(Wrapped(x), Wrapped(z))
    assert_right({name: result.inner for name, result in results.items()})


def test_compiled(layer, compiled):
    """Traced by dynamo and functionalized by AOT autograd; PyTorch switches keys off when it runs the graph."""
    assert_right(compiled(*operands()))


def test_compiled_by_inductor(monkeypatch):
    """The default compiler, here without kernels of its own, which take a C++ compiler and a minute."""
    names = ("fft", "rfft to 37", "ihfft", "stft of both sides")

    def some(x):
        return [REAL[name](x) for name in names]

    try:
        compiled = torch.compile(some)
    except RuntimeError as error:  # torch 2.0 on Python 3.11
        pytest.skip(str(error))
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "vec_isa_ok", False, raising=False)  # its answer takes the compiler as well
    expected = some(operands(torch.float64)[0])
    for kind in ("bypass", "guard", "verify"):
        with layers(kind):
            for ours, wide in zip(compiled(operands()[0]), expected, strict=True):
                torch.testing.assert_close(ours.to(wide.dtype), wide, rtol=1e-5, atol=1e-5)


def test_dynamo_does_not_look_at_the_products(layer):
    """Dynamo looks at each frame below a function that it gave up on; it must not compile the kernels of a layer."""
    try:
        outer = torch.compile(
            lambda x: given_up(x + 1), backend=lambda graph, inputs: seen.append(graph) or graph.forward
        )
    except RuntimeError as error:  # torch 2.0 on Python 3.11
        pytest.skip(str(error))

    @functools.partial(torch._dynamo.disable, recursive=False)
    def given_up(x):
        return torch.fft.fft(x, n=37), torch.fft.irfft(torch.fft.rfft(x), n=30)

    seen = []
    x = operands()[0]
    for ours, wide in zip(outer(x), given_up(x.double() + 1), strict=True):
        torch.testing.assert_close(ours.to(wide.dtype), wide, rtol=1e-5, atol=1e-5)
    nodes = [[node.name for node in graph.graph.nodes if node.op == "call_function"] for graph in seen]
    assert nodes == [["add"]]


def gradients(function, real):
    """Of the squared distance of everything from one, by the real and the complex operand."""
    x, z = (operand.requires_grad_() for operand in operands(real))
    sum((result - 1).abs().square().mean() for result in function(x, z).values()).backward()
    return x.grad, z.grad


def assert_gradients_right(ours):
    for gradient, expected in zip(ours, gradients(everything, torch.float64), strict=True):
        error = torch.linalg.vector_norm(gradient.to(expected.dtype) - expected)
        assert error <= 1e-6 * torch.linalg.vector_norm(expected)


def test_gradients_in_a_mode(layer):
    """The backward pass has its own FFTs, of tensors with strides and lazy bits of its own."""
    with Passing():
        assert_gradients_right(gradients(everything, torch.float32))


def test_gradients_compiled(layer, compiled):
    """A compiled training step."""
    assert_gradients_right(gradients(compiled, torch.float32))


@pytest.mark.skipif(RELEASE < (2, 5), reason="selective checkpointing came with torch 2.5")
def test_selective_checkpointing(layer):
    """The forward pass runs twice, each time in a mode that keeps or recomputes results."""
    from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

    keep = [torch.ops.aten._fft_c2r.default]
    contexts = functools.partial(create_selective_checkpoint_contexts, keep)

    def checkpointed(x, z):
        return checkpoint(everything, x, z, use_reentrant=False, context_fn=contexts)

    assert_gradients_right(gradients(checkpointed, torch.float32))


def test_transforms_of_functions(layer):
    """vmap, functionalize, jvp, and a mode inside and outside of them."""

    def row(x):
        return torch.fft.fft(x), torch.fft.ihfft(x, n=37)

    def row_in_a_mode(x):
        with Passing():
            return row(x)

    x = operands()[0]
    wide = row(x.double())
    for function in (
        torch.func.vmap(row),
        torch.func.functionalize(row),
        torch.func.vmap(torch.func.functionalize(row)),
        lambda x: torch.func.jvp(row, (x,), (x,))[1],
        lambda x: torch.func.linearize(row, x)[1](x) if hasattr(torch.func, "linearize") else row(x),
        *([torch.func.vmap(row_in_a_mode)] if RELEASE >= (2, 4) else []),
    ):
        for surrounding in (contextlib.nullcontext, Passing):
            with surrounding():
                for result, expected in zip(function(x), wide, strict=True):
                    torch.testing.assert_close(result.to(expected.dtype), expected, rtol=1e-5, atol=1e-5)


def test_lazy_bits_inside_a_mode():
    """A mode may itself make a conjugate, negative or zero tensor, whose keys are switched off there: it is read."""
    seen = []

    class Lazy(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten._fft_c2c.default:
                z = args[0]
                zeros = torch._efficientzerotensor(z.shape, dtype=z.dtype)
                seen.append(function(z.conj(), *args[1:]))
                seen.append(function(torch._neg_view(z), *args[1:]))
                seen.append(function(zeros, *args[1:]))
            return function(*args, **(kwargs or {}))

    z = operands()[1]
    with bypass("cpu"), Lazy():
        torch.fft.fft(z)
    wide = z.to(torch.complex128)
    right = torch.fft.fft(wide.conj()), torch.fft.fft(-wide), torch.zeros_like(wide)
    for result, expected in zip(seen, right, strict=True):
        torch.testing.assert_close(result.to(torch.complex128), expected, rtol=1e-5, atol=1e-5)


def test_nothing_stays_open():
    """The layers of this file were all closed."""
    assert dispatch._stack.layers == ()
