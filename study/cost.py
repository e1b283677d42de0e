"""What training costs: the memory of a cell, and wall time from a timed probe of a few steps.

Letters: K cells of a chunk, B examples of a batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch.autograd.graph import saved_tensors_hooks

from study.fused import train_chunk, worker_arithmetic
from study.tasks.task import Data, TaskProtocol, normalized

if TYPE_CHECKING:
    from study.plan import Plan

# Tensors of the size of the parameters that a step holds: θ, gradients by name and flat, two
# moments, and two intermediate results of the update rule.
PARAMETER_COPIES = 7
MEMORY_EXAMPLES = 8  # of a batch that memory is measured on; it grows in proportion
PROBE_STEPS = 4  # the first of them warms up
PROBE_SECONDS = 20.0  # that all probes together may take, about
PROBE_EXAMPLES = 8  # of the first probe, which has one cell
PROBE_GROWTH = 4  # from probe to probe


@torch.random.fork_rng(devices=[])
def cell_bytes(task: TaskProtocol, data: Data, batch_size: int, dtype: torch.dtype) -> int:
    """Memory of one cell in training: parameters, moments, and what autograd keeps of a batch."""
    network = task.network().to(dtype)
    parameters = {p.data_ptr(): p.numel() * p.element_size() for p in network.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    examples = min(MEMORY_EXAMPLES, batch_size, len(data.train_targets))
    inputs = normalized(task, data.train_inputs[:examples], dtype)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        task.loss(network(inputs), data.train_targets[:examples])
    activations = sum(size for place, size in saved.items() if place not in parameters)
    of_batch = activations * min(batch_size, len(data.train_targets)) // examples
    return PARAMETER_COPIES * sum(parameters.values()) + 2 * of_batch


@dataclass(frozen=True)
class Pace:
    """Seconds that one worker needs for one cell."""

    step: float  # a training step
    test: float  # a test example


def estimate_seconds(plan: Plan, missing: Mapping[str, Sequence[int]] | None = None) -> float:
    """Wall time to train what is missing, from a timed probe on the first device.

    Args:
        plan: of the study.
        missing: cells still to be trained, by panel, for each seed; all of the study if None.
    """
    if missing is None:
        seeds = len(plan.study.seeds)
        missing = {p.name: [len(p.grid.cells())] * seeds for p in plan.study.panels}
    cell_epochs = sum(sum(missing[p.name]) * (p.epochs or 0) for p in plan.study.panels)
    if cell_epochs == 0:
        return 0.0
    pace = measure_pace(plan)
    batch_size = plan.study.batch_size or plan.task.batch_size
    steps = math.ceil(len(plan.data.train_targets) / batch_size)
    epoch = steps * pace.step + len(plan.data.test_targets) * pace.test
    chunks = sum(math.ceil(count / plan.chunk) for counts in missing.values() for count in counts)
    return cell_epochs * epoch / min(len(plan.devices), chunks)


def measure_pace(plan: Plan) -> Pace:
    """Time ever larger probes, up to a whole chunk or as large as a short while allows.

    Small probes show little of what many cells gain by being trained together, but on large
    networks they are all that a CPU can do in seconds.
    """
    batch_size = min(plan.study.batch_size or plan.task.batch_size, len(plan.data.train_targets))
    largest = min(plan.chunk, max(len(p.grid.cells()) for p in plan.study.panels))
    started = time.perf_counter()
    with worker_arithmetic(plan.devices[0]):
        for cells, examples in _probe_sizes(largest, batch_size):
            begun = time.perf_counter()
            pace = _probe(plan, cells, examples)
            now = time.perf_counter()
            if now - started + PROBE_GROWTH * (now - begun) > PROBE_SECONDS:
                break
    return Pace(pace.step * batch_size / examples, pace.test)


def _probe_sizes(cells: int, examples: int) -> Iterator[tuple[int, int]]:
    """Cells and examples of each probe: first more examples, then more cells."""
    few = min(PROBE_EXAMPLES, examples)
    while few < examples:
        yield 1, few
        few = min(PROBE_GROWTH * few, examples)
    some = 1
    while some < cells:
        yield some, examples
        some = min(PROBE_GROWTH * some, cells)
    yield cells, examples


def _probe(plan: Plan, cells: int, examples: int) -> Pace:
    """Train so many cells for a few steps on batches of so many examples."""
    study, device = plan.study, plan.devices[0]
    panel = study.panels[0]
    # Whole batches only: a last partial one would be the fastest.
    steps = min(PROBE_STEPS, len(plan.data.train_targets) // examples)
    data = _excerpt(plan.data, steps * examples, 2 * examples)
    moments: list[float] = []

    def on_step() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        moments.append(time.perf_counter())

    grid = panel.grid.cells()
    train_chunk(
        plan.task,
        data.to(device, getattr(torch, study.options.precision)),
        panel.model_copy(update={"epochs": 1}),
        [grid[k % len(grid)] for k in range(cells)],
        seed=study.seeds[0],
        batch_size=examples,
        options=study.options,
        device=device,
        fuse=plan.not_fused is None,
        on_step=on_step,
    )
    on_step()
    took = [after - before for before, after in pairwise(moments)]
    tested = len(data.test_targets) * cells
    return Pace(step=min(took[:steps]) / cells, test=sum(took[steps:]) / tested)


def _excerpt(data: Data, train: int, test: int) -> Data:
    """The first examples only."""
    return Data(
        data.train_inputs[:train],
        data.train_targets[:train],
        data.test_inputs[:test],
        data.test_targets[:test],
    )
