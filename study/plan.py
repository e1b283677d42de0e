"""From a study to work: which chunks, of what size, on which devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import joblib
import psutil
import torch

from study.cost import cell_bytes
from study.ensemble import why_not_fused
from study.errors import UsageError
from study.metrics import TOP5_CLASSES, metrics_of
from study.spec import Cell, Study
from study.tasks import load_task
from study.tasks.task import Data, TaskProtocol, check_task, fingerprint

# Cells trained together where memory does not forbid it: on a CPU more of them leave the cache,
# on a GPU more of them no longer fill it better.
CHUNK = {"cpu": 48, "cuda": 512}
MEMORY_SHARE = 0.6  # of the free memory that chunks may take


@dataclass(frozen=True)
class Plan:
    """All that is decided before training starts."""

    study: Study  # resolved: epochs and batch size are numbers
    task: TaskProtocol
    data: Data
    fingerprint: str
    devices: tuple[str, ...]  # one worker each
    chunk: int  # most cells trained together
    parameters: int  # of one network
    cell_bytes: int  # memory that one cell takes while it trains
    not_fused: str | None  # why cells are trained one by one

    def chunks(self, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
        """The cells in as few chunks as possible, all nearly of one size."""
        count = math.ceil(len(cells) / self.chunk)
        bounds = [round(i * len(cells) / count) for i in range(count + 1)] if count else [0]
        return [cells[a:b] for a, b in pairwise(bounds)]


def make_plan(
    study: Study, *, device: str = "auto", workers: int | None = None, chunk: int | None = None
) -> Plan:
    """Load and check the task, and decide devices and chunk size.

    Args:
        study: as the user asked for it.
        device: "cpu", "cuda", or "auto" for CUDA where there is some.
        workers: how many; None for one per core, or one per GPU.
        chunk: most cells trained together; None to choose by device and memory.

    Raises:
        TaskError: the task cannot be loaded or is wrong.
        UsageError: a device that is not there, or an error that the task does not have.
    """
    task = load_task(study.task)
    study = study.resolve(batch_size=task.batch_size, epochs=task.epochs)
    batch_size = study.batch_size or task.batch_size
    data = check_task(task, batch_size)
    _require_metrics(study, task)
    devices = choose_devices(device, workers)
    memory = cell_bytes(task, data, batch_size, getattr(torch, study.options.precision))
    return Plan(
        study=study,
        task=task,
        data=data,
        fingerprint=fingerprint(task, data),
        devices=devices,
        chunk=chunk or _chunk_size(devices, memory),
        parameters=sum(p.numel() for p in task.network().parameters()),
        cell_bytes=memory,
        not_fused=why_not_fused(task, data),
    )


def _require_metrics(study: Study, task: TaskProtocol) -> None:
    """Check, before anything is trained, that the task has what the study wants recorded."""
    wanted = {"error": (study.error,), "figure.metrics": study.figure.metrics}
    for field, metrics in wanted.items():
        for metric in metrics:
            if metric not in metrics_of(task.classes):
                raise UsageError(
                    f"study '{study.name}': {field} = \"{metric}\" needs more than "
                    f"{TOP5_CLASSES} classes, task '{study.task}' has {task.classes}: take a task "
                    'that has more, or a study file that says "test_error" instead; '
                    "`landscape show` prints a preset's"
                )


def choose_devices(device: str, workers: int | None) -> tuple[str, ...]:
    """The device of each worker.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    gpus = torch.cuda.device_count()
    if device == "cuda" and gpus == 0:
        raise UsageError("--device cuda: PyTorch sees no CUDA device here: use --device cpu")
    if device == "cpu" or gpus == 0:
        return ("cpu",) * (workers or joblib.cpu_count())
    return tuple(f"cuda:{i % gpus}" for i in range(workers or gpus))


def _chunk_size(devices: tuple[str, ...], memory: int) -> int:
    kind = devices[0].partition(":")[0]
    if kind == "cuda":
        free = min(torch.cuda.mem_get_info(d)[0] // devices.count(d) for d in set(devices))
    else:
        free = psutil.virtual_memory().available // len(devices)
    fitting = int(free * MEMORY_SHARE / memory)
    return max(1, min(CHUNK[kind], fitting))
