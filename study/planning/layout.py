"""How work is laid out over a machine: workers, their threads, and cells trained together."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import joblib
import torch

from landscape_study.study.environment.machine import free_memory
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Study

# Cells trained together where memory does not forbid it: on a CPU more of them leave the cache,
# on a GPU more of them no longer fill it better.
CHUNK = {"cpu": 48, "cuda": 512}
# Cells that the referee trains gain nothing from each other, and a chunk that dies is lost.
REFEREE_CHUNK = 8
LEAST_CHUNK = 8  # that is thought of as another size: fewer gain too little from each other
MEMORY_SHARE = 0.6  # of the free memory that chunks may take

T = TypeVar("T")
Missing = Mapping[str, Sequence[int]]  # cells by panel, for each seed


@dataclass(frozen=True)
class Layout:
    """Who trains how much at a time."""

    devices: tuple[str, ...]  # one worker each
    threads: int  # of each worker on a CPU
    chunk: int  # most cells trained together

    def width(self, study: Study) -> int:
        """Cells of a whole chunk."""
        panels = (panel_chunks(range(study.at_once(p)), self.chunk) for p in study.panels)
        return max(len(chunk) for chunks in panels for chunk in chunks)

    def busiest(self, study: Study, missing: Missing) -> int:
        """Epochs of cells of the worker that has most to train, each taking the longest left."""
        loads = [0] * len(self.devices)
        for load in sorted(_chunk_epochs(study, missing, self.chunk), reverse=True):
            heapq.heapreplace(loads, loads[0] + load)
        return max(loads)

    def others(self, *, chunks: bool, workers: bool) -> Iterator[Layout]:
        """Layouts on CPUs that may be faster: smaller chunks, or half the workers.

        Smaller chunks stay in the cache and spread evenly over many workers; half the workers,
        with two threads for one, share what one core has too little of.
        """
        if chunks:
            for part in (2, 4):
                if self.chunk // part >= LEAST_CHUNK:
                    yield replace(self, chunk=self.chunk // part)
        if workers and len(self.devices) > 1:
            few = len(self.devices) // 2
            yield replace(self, devices=self.devices[:few], threads=joblib.cpu_count() // few)


def _chunk_epochs(study: Study, missing: Missing, most: int) -> Iterator[int]:
    """Epochs of cells of each chunk."""
    for panel in study.panels:
        for count in missing[panel.name]:
            for alike in panel_chunks(range(count), -(-max(count, 1) // panel.kinds)):
                for chunk in panel_chunks(alike, most):
                    yield len(chunk) * (panel.epochs or 0)


def panel_chunks(cells: Sequence[T], most: int) -> list[Sequence[T]]:
    """The cells in as few chunks of at most so many as possible, all nearly of one size."""
    count = math.ceil(len(cells) / most)
    bounds = [round(i * len(cells) / count) for i in range(count + 1)] if count else [0]
    return [cells[a:b] for a, b in pairwise(bounds)]


def choose_devices(
    device: str, workers: int | None, memory: int = 0, *, per_gpu: int | None = None
) -> tuple[str, ...]:
    """The device of each worker.

    Args:
        device: "cpu", "cuda" or "auto".
        workers: how many; None for one per core, or one per GPU, as far as memory allows.
        memory: bytes that one cell takes.
        per_gpu: how many on each GPU; None for one.

    Raises:
        UsageError: a GPU was asked for and there is none.
    """
    gpus = torch.cuda.device_count()
    if device == "cuda" and gpus == 0:
        raise UsageError("--device cuda: PyTorch sees no CUDA device here: use --device cpu")
    if device == "cpu" or gpus == 0:
        if per_gpu is not None:
            why = "--device cpu takes none" if gpus else "PyTorch sees no GPU here"
            raise UsageError(
                f"--per-gpu {per_gpu}: {why}: leave it out, or give --workers instead"
            )
        # Processes of one thread outrun one process of many, as long as each has room for a cell.
        fitting = room(("cpu",)) // max(1, memory)
        return ("cpu",) * (workers or max(1, min(joblib.cpu_count(), fitting)))
    return tuple(f"cuda:{i % gpus}" for i in range(workers or gpus * (per_gpu or 1)))


def room(devices: tuple[str, ...]) -> int:
    """Bytes that the chunk of one worker may take."""
    if devices[0].startswith("cuda"):
        free = min(torch.cuda.mem_get_info(d)[0] // devices.count(d) for d in set(devices))
    else:
        free = free_memory() // len(devices)
    return int(free * MEMORY_SHARE)
