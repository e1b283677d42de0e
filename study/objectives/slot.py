"""The part of a machine that one run may use: threads, and a GPU by the name that it has here."""

from __future__ import annotations

import os

THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS"),
)
VISIBLE = "CUDA_VISIBLE_DEVICES"


def slot_environment(device: str, threads: int) -> dict[str, str]:
    """Environment variables that keep a run within its slot.

    Args:
        device: "cpu", or "cuda:1" for the second of the GPUs that this process sees.
        threads: that it may use, unless the user has said so already.
    """
    kind, _, index = device.partition(":")
    visible = {VISIBLE: _gpu_name(int(index or 0))} if kind == "cuda" else {}
    shared = {name: str(threads) for name in THREADS if name not in os.environ}
    return {**shared, **visible, "PYTHONUNBUFFERED": "1", "LANDSCAPE_DEVICE": kind}


def _gpu_name(index: int) -> str:
    """What CUDA calls a GPU of those that this process sees: a number, GPU-… or MIG-….

    Where a batch system lets this process see "2,5", its first GPU is the machine's third.
    """
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return names[index] if index < len(names) else str(index)
