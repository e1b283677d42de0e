"""How workers compute."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
KEPT = 2**30  # bytes: more than any tensor of a chunk


@contextmanager
def worker_arithmetic(device: str, threads: int = 1, *, tf32: bool = False) -> Iterator[None]:
    """How workers compute: with so many threads each on a CPU, denormal numbers as 0."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32  # PyTorch's own default is to round convolutions
    if device == "cpu":
        torch.set_num_threads(threads)
        _keep_freed_memory()
    # Weights that decay towards 0 become denormal numbers, which are slow on a CPU.
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of large tensors instead of handing it back at each step.

    Handed back, it comes anew page by page: with 44 cells of the ConvNet of mnist5k a step took
    a fifth longer (torch 2.13). Elsewhere than under glibc nothing is changed.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
