"""From a study to work: which chunks, of what size, on which devices, at what cost."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import joblib
import psutil
import torch
from torch.autograd.graph import saved_tensors_hooks

from study.errors import UsageError
from study.fused import train_chunk, why_not_fused
from study.spec import Cell, Study
from study.tasks import load_task
from study.tasks.task import Data, TaskProtocol, check_task, fingerprint

# Cells trained together where memory does not forbid it: on a CPU more of them leave the cache,
# on a GPU more of them no longer fill it better.
CHUNK = {"cpu": 48, "cuda": 512}
MEMORY_SHARE = 0.6  # of the free memory that chunks may take
# Tensors of the size of the parameters that a step holds: θ, gradients by name and flat, two
# moments, and two intermediate results of the update rule.
PARAMETER_COPIES = 7


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
        UsageError: a device that is not there.
    """
    task = load_task(study.task)
    study = study.resolve(batch_size=task.batch_size, epochs=task.epochs)
    batch_size = study.batch_size or task.batch_size
    data = check_task(task, batch_size)
    devices = choose_devices(device, workers)
    cell_bytes = _cell_bytes(task, data, batch_size, getattr(torch, study.options.precision))
    return Plan(
        study=study,
        task=task,
        data=data,
        fingerprint=fingerprint(task, data),
        devices=devices,
        chunk=chunk or _chunk_size(devices, cell_bytes),
        parameters=sum(p.numel() for p in task.network().parameters()),
        cell_bytes=cell_bytes,
        not_fused=why_not_fused(task, data),
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


def _chunk_size(devices: tuple[str, ...], cell_bytes: int) -> int:
    kind = devices[0].partition(":")[0]
    if kind == "cuda":
        free = min(torch.cuda.mem_get_info(d)[0] // devices.count(d) for d in set(devices))
    else:
        free = psutil.virtual_memory().available // len(devices)
    fitting = int(free * MEMORY_SHARE / cell_bytes)
    return max(1, min(CHUNK[kind], fitting))


def _cell_bytes(task: TaskProtocol, data: Data, batch_size: int, dtype: torch.dtype) -> int:
    """Memory of one cell in training: parameters, moments, and what autograd keeps of a batch."""
    network = task.network().to(dtype)
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    data = data.to("cpu", dtype)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(data.train_inputs[:batch_size])
        task.loss(outputs, data.train_targets[:batch_size])
    parameters = sum(p.numel() * p.element_size() for p in network.parameters())
    return PARAMETER_COPIES * parameters + 2 * sum(saved.values())


def estimate_seconds(plan: Plan, cells: int) -> float:
    """Wall time for `cells` more cells of the study, from timing an epoch of one chunk."""
    panel = plan.study.panels[0]
    sample = plan.chunks(panel.grid.cells())[0]
    options, device = plan.study.options, plan.devices[0]
    data = plan.data.to(device, getattr(torch, options.precision))
    one_epoch = panel.model_copy(update={"epochs": 1})
    times = []
    with worker_arithmetic(device):
        for _ in range(3):  # the first warms up; the fastest is the least disturbed
            started = time.perf_counter()
            train_chunk(
                plan.task,
                data,
                one_epoch,
                sample,
                seed=plan.study.seeds[0],
                batch_size=plan.study.batch_size or plan.task.batch_size,
                options=options,
                device=device,
                fuse=plan.not_fused is None,
            )
            times.append((time.perf_counter() - started) / len(sample))
    epochs = sum(p.epochs or 0 for p in plan.study.panels) / len(plan.study.panels)
    return min(times) * epochs * cells / len(plan.devices)


@contextmanager
def worker_arithmetic(device: str) -> Iterator[None]:
    """How workers compute: one thread each on a CPU, denormal numbers as 0."""
    threads = torch.get_num_threads()
    if device == "cpu":
        # Processes of one thread outrun one process of many, and sums keep their order.
        torch.set_num_threads(1)
    # Weights that decay towards 0 become denormal numbers, which are slow on a CPU.
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
