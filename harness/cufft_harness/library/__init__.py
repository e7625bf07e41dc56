"""A copy of libcufft by itself, without PyTorch: which copies there are, what they compute on this machine's GPU.

For the users of CuPy, JAX, OpenMM, RELION and everything else that loads cuFFT. The library is only ever loaded in a
child process (`library.child`): one that crashes, hangs or lacks symbols becomes a verdict here.
"""
