"""What training costs: the memory of a cell, and wall time from a timed probe of a few steps.

Letters: K cells of a chunk, B examples of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from landscape_study.study.agreement.permission import BELIEVED, Permission
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.cell_numbers import Own
from landscape_study.study.spec.study import Panel, Study
from landscape_study.study.tasks.data.examples import TaskData, even_slices
from landscape_study.study.tasks.data.tensors import Data, in_precision
from landscape_study.study.tasks.randomness import seeded
from landscape_study.study.tasks.task import TaskProtocol, as_precise, normalized, own_copy
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.batches import slice_size
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import ENGINES, Programs
from landscape_study.study.training.engines.base import Libraries
from landscape_study.study.training.engines.formulas import OwnFormulas

# Tensors of the size of the parameters that a step holds: θ, gradients by name and flat, two
# moments, and two intermediate results of the update rule.
PARAMETER_COPIES = 7
MEMORY_EXAMPLES = 8  # of a batch that memory is measured on; it grows in proportion
MEMORY_CELLS = (2, 6)  # of the chunks whose memory is measured on a GPU
PROBE_STEPS = 4  # an epoch
PROBE_EPOCHS = 2  # the first warms up
PROBE_SECONDS = 20.0  # that all probes together may take, about
PROBE_EXAMPLES = 8  # of the first probe, which has one cell
PROBE_GROWTH = 4  # from probe to probe


@dataclass(frozen=True)
class Setting:
    """What the cost of a cell depends on, beside the engine."""

    study: Study  # resolved
    task: TaskProtocol
    data: TaskData
    device: str
    threads: int  # of a worker on a CPU
    permission: Permission = BELIEVED
    programs: Programs = field(default_factory=Programs, compare=False)  # known, or of probes

    def why_not(self, engine: str) -> str | None:
        """Why the engine must not train the task here; None if it may."""
        return self.permission.finding(engine, self.device).why_not

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and inputs."""
        dtype: torch.dtype = getattr(torch, self.study.options.precision)
        return dtype

    @property
    def batch_size(self) -> int:
        """Examples of the largest batch, B."""
        study = self.study
        wanted = max(study.batch_size_of(p, own) for p in study.panels for own in p.owns)
        return min(wanted, self.data.train.count)

    @property
    def at_once(self) -> int:
        """Examples of the largest part of a batch that is passed at once."""
        study, most = self.study, self.batch_size
        return max(
            -(-min(study.batch_size_of(panel, own), most) // study.options_of(panel).accumulate)
            for panel in study.panels
            for own in panel.owns
        )


@seeded(0)
def cell_bytes(setting: Setting, *, traced: bool = False) -> int:
    """Memory of one cell in training: parameters, moments, and what autograd keeps of a batch.

    With the formulas of the traced engines, or with PyTorch's own.
    """
    task, data = own_copy(setting.task, "cpu", setting.dtype), setting.data
    network = as_precise(task.network(), "cpu", setting.dtype)
    parameters = {p.data_ptr(): p.numel() * p.element_size() for p in network.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    examples = min(MEMORY_EXAMPLES, setting.at_once)
    inputs, targets = data.train.sample(examples)
    inputs = normalized(task, inputs, setting.dtype)
    formulas = OwnFormulas() if traced else nullcontext()
    with saved_tensors_hooks(keep, lambda tensor: tensor), formulas:
        task.loss(network(inputs), in_precision(targets, setting.dtype))
    activations = sum(size for place, size in saved.items() if place not in parameters)
    of_batch = activations * setting.at_once // examples
    return PARAMETER_COPIES * sum(parameters.values()) + 2 * of_batch


@dataclass(frozen=True)
class Pace:
    """Seconds that one worker needs for one cell."""

    step: float  # a training step
    test: float  # a test example

    def epoch(self, setting: Setting) -> float:
        """An epoch of training, and the test after it."""
        steps = setting.data.train.steps(setting.batch_size)
        return steps * self.step + setting.data.test.count * self.test


def reading_seconds(setting: Setting) -> float:
    """In which the examples of an epoch and its test are read, once for all cells of a chunk."""
    sides = (setting.data.train, setting.data.test)
    return sum(examples.count * examples.reading for examples in sides)


@dataclass(frozen=True)
class Probe:
    """Some cells trained for a few steps."""

    engine: str
    cells: int
    examples: int  # of a batch
    pace: Pace  # scaled to whole batches
    losses: tuple[float, ...] = ()  # training loss of each cell in the last epoch


def measure_by_growing(setting: Setting, engine: str, cells: int) -> Probe:
    """Time ever larger probes, up to a whole chunk or as large as a short while allows.

    Small probes show little of what many cells gain by being trained together, but on large
    networks they are all that a CPU can do in seconds.
    """
    started = _now(setting.device)
    for some, examples in _probe_sizes(cells, setting.batch_size):
        begun = _now(setting.device)
        probe = measure(setting, engine, some, examples)
        now = _now(setting.device)
        if now - started + PROBE_GROWTH * (now - begun) > PROBE_SECONDS:
            break
    return probe


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


def measure(setting: Setting, engine: str, cells: int, examples: int) -> Probe:
    """Train so many cells for a few steps on batches of so many examples."""
    # Whole batches only: a last partial one would be the fastest.
    steps = min(PROBE_STEPS, setting.data.train.count // examples)
    data, size = _excerpt(setting, examples, steps, 2)
    moments: list[float] = []

    def on_step() -> None:
        if setting.device.startswith("cuda"):
            torch.cuda.synchronize(setting.device)
        moments.append(_now(setting.device))

    panel = setting.study.panels[0].model_copy(update={"epochs": PROBE_EPOCHS})
    how: dict[str, Any] = {"batch_size": examples, "engine": engine, "on_step": on_step}
    outcome = _train(setting, data, panel, cells, programs=setting.programs, **how)
    on_step()
    # Of whole epochs: an engine may take several steps together.
    calls = steps + len(data.test_targets) // size
    starts, tests, ends = moments[:-1:calls], moments[steps::calls], moments[calls::calls]
    stepped = min(test - start for start, test in zip(starts, tests, strict=True)) / steps
    tested = min(end - test for test, end in zip(tests, ends, strict=True))
    pace = Pace(
        stepped / cells * setting.batch_size / examples, tested / (len(data.test_targets) * cells)
    )
    losses = outcome.curves["train_loss"][:, -1]
    return Probe(engine, cells, examples, pace, tuple(map(float, losses)))


def _now(device: str) -> float:
    """Seconds by a clock that stands still while others have the processor.

    On a busy machine probes would end early, and what is remembered of them be wrong for good.
    """
    return time.thread_time() if device == "cpu" else time.perf_counter()


def compiled_libraries(setting: Setting) -> Libraries:
    """What workers need that is compiled already; so they need not trace it.

    Every pair of the study does a step on a batch and on what is left of the last one, and a test
    of each size, with each batch size and options that it has; what was traced is looked for.
    """
    study = setting.study
    programs = Programs(setting.programs.libraries, known_only=True)
    train, test = setting.data.train, setting.data.test
    kinds = {
        (p.pair, study.batch_size_of(p, own), study.options_of(p, own)): (p, own)
        for p in study.panels
        for own in p.owns
    }
    for (_, wanted, _), (panel, own) in kinds.items():
        size = min(wanted, setting.batch_size)
        once = panel.model_copy(update={"epochs": 1})
        for tested in {s.stop - s.start for s in even_slices(test.count, slice_size(size))}:
            data = Data(*train.sample(size + train.count % size), *test.sample(tested))
            how: dict[str, Any] = {"batch_size": size, "engine": "compiled"}
            _train(setting, data, once, 1, own=own, programs=programs, **how)
    return programs.libraries


def _train(
    setting: Setting,
    data: TaskData,
    panel: Panel,
    cells: int,
    own: Own | None = None,
    **how: Any,
) -> Outcome:
    """Train so many cells of the panel, as a worker would; `own` as of `Study.options_of`."""
    study = setting.study
    grid = [one for one in panel.grid.cells() if own is None or one.own == own]
    with worker_arithmetic(setting.device, setting.threads, tf32=study.options.tf32):
        return train_chunk(
            setting.task,
            data.to(setting.device, setting.dtype),
            panel,
            [grid[k % len(grid)] for k in range(cells)],
            seed=study.seeds[0],
            options=study.options_of(panel, own),
            device=setting.device,
            **how,
        )


def _excerpt(setting: Setting, examples: int, steps: int, tests: int) -> tuple[Data, int]:
    """Data of so many steps and test slices, or fewer; and how large a test slice is."""
    train, test = setting.data.train, setting.data.test
    size = even_slices(test.count, slice_size(examples))[0].stop
    tested = size * min(tests, test.count // size)
    return Data(*train.sample(steps * examples), *test.sample(tested)), size


def gpu_cell_bytes(setting: Setting, engine: str) -> int:
    """Memory of one cell in training on the GPU, from the peaks of two small chunks."""
    peaks: list[int] = []
    for cells in MEMORY_CELLS if ENGINES[engine].together else (1,):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(setting.device)
        measure(setting, engine, cells, setting.batch_size)
        peaks.append(torch.cuda.max_memory_allocated(setting.device))
    if len(peaks) == 1:
        return peaks[0]
    return max(1, (peaks[1] - peaks[0]) // (MEMORY_CELLS[1] - MEMORY_CELLS[0]))
