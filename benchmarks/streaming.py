"""What it costs to read data while they are trained on: `python -m benchmarks.streaming`.

A chunk of `mnist5k` is trained on its tensors, on data sets of them whose items are fetched one by
one, and on torch's loaders of these, in turns, in one process of one thread. Nothing of it waits,
so what is counted is processor time, which other work on the machine changes little: that of the
whole, and that until batches were there, which is all that differs.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import BenchmarkError, added_share, stop_when_terminated
from landscape_study import Streams
from landscape_study.study.pairs.options import Options
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.presets import load_preset
from landscape_study.study.spec.study import Panel
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.data.examples import Batch, Examples, even_slices
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import load_data
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.batches import slice_size
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import ENGINES, Programs

TASK = "mnist5k"
ALLOWED = 5.0  # percent that streaming may cost

Ways = dict[str, Callable[[], Any]]


@dataclass
class Clock:
    """Seconds of processor time until batches were there."""

    seconds: float = 0.0

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches."""
        while True:
            began = time.process_time()
            batch = next(batches, None)
            self.seconds += time.process_time() - began
            if batch is None:
                return
            yield batch


class Clocked:
    """Examples of a task, by the clock. See `Examples`."""

    def __init__(self, examples: Examples, clock: Clock) -> None:
        self.examples, self.clock = examples, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.examples, name)

    def shuffled(self, *of: Any) -> Iterator[Batch]:
        """The batches of an epoch."""
        return self.clock.timed(self.examples.shuffled(*of))

    def in_order(self, most: int) -> Iterator[Batch]:
        """Those of a test."""
        return self.clock.timed(self.examples.in_order(most))


@dataclass
class Turns:
    """Seconds of processor time an epoch with its test takes, turn by turn.

    Attributes:
        whole: of all of it, the opening of the data too.
        reading: until batches were there.
    """

    whole: list[float] = field(default_factory=list)
    reading: list[float] = field(default_factory=list)


def ways(data: Data, batch_size: int) -> Ways:
    """In which the same examples can be had."""
    train = TensorDataset(data.train_inputs, data.train_targets)
    test = TensorDataset(data.test_inputs, data.test_targets)
    # As tensors are tested: another number of batches would be another test.
    whole = even_slices(len(data.test_targets), slice_size(batch_size))[0]
    return {
        "tensors in memory": lambda: data,
        "data sets": lambda: (train, test),
        "DataLoaders": lambda: Streams(
            DataLoader(train, batch_size=batch_size, shuffle=True),
            DataLoader(test, batch_size=whole.stop),
        ),
    }


def measured(cells: int, epochs: int, repeats: int, engine: str) -> dict[str, Turns]:
    """What an epoch with its test takes, by the way to have the examples; in turns.

    Raises:
        BenchmarkError: the data sets do not train to the bits of the tensors.
    """
    task = load_task(TASK)
    panel = load_preset("digits-fig2").panels[-1].model_copy(update={"epochs": epochs})
    took: dict[str, Turns] = {}
    programs, outcomes = Programs(), dict[str, Outcome]()
    for turn in range(repeats + 1):  # the first, untimed one traces and compiles
        for name, data in ways(task.data(), task.batch_size).items():
            own = dataclasses.replace(task, data=data)
            began, clock = time.process_time(), Clock()
            outcomes[name] = _trained(own, panel, cells, engine, programs, clock)
            if turn:
                turns = took.setdefault(name, Turns())
                turns.whole.append((time.process_time() - began) / epochs)
                turns.reading.append(clock.seconds / epochs)
    one, other = (outcomes[name].curves["train_loss"] for name in [*took][:2])
    if not np.array_equal(one, other, equal_nan=True):
        raise BenchmarkError("data sets do not train to the bits of their tensors")
    return took


def _trained(
    task: Any, panel: Panel, cells: int, engine: str, programs: Programs, clock: Clock
) -> Outcome:
    """A chunk of so many cells of the panel, its data opened anew."""
    grid = panel.cells()
    data = load_data(task).to("cpu", torch.float32)
    with worker_arithmetic("cpu", 1, tf32=False):
        return train_chunk(
            task,
            SimpleNamespace(train=Clocked(data.train, clock), test=Clocked(data.test, clock)),
            panel,
            [grid[k % len(grid)] for k in range(cells)],
            seed=0,
            batch_size=task.batch_size,
            options=Options(),
            engine=engine,
            programs=programs,
        )


@click.command()
@click.option("--cells", type=click.IntRange(1), default=48, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=21, show_default=True)
@click.option("--engine", type=click.Choice([*ENGINES]), default="captured", show_default=True)
@click.option("--quick", is_flag=True, help="A few cells, once: shows that everything works.")
def main(cells: int, epochs: int, repeats: int, engine: str, quick: bool) -> None:
    """Measure what it costs to read data while they are trained on."""
    stop_when_terminated()
    cells, epochs, repeats = (2, 1, 1) if quick else (cells, epochs, repeats)
    (_, held), *others = measured(cells, epochs, repeats, engine).items()
    usual = statistics.median(held.whole)
    click.echo(f"{TASK}, {cells} cells, engine {engine}: {usual:.3f} s an epoch")
    for name, streamed in others:
        longer = statistics.median(streamed.reading) - statistics.median(held.reading)
        whole = added_share(streamed.whole, held.whole)
        click.echo(
            f"{name}: reading takes {longer:.3f} s longer, {longer / usual:.1%} of an epoch "
            f"({ALLOWED:g} % are allowed); in all {whole} against tensors in memory"
        )


if __name__ == "__main__":
    main()
