"""What it costs to read data while they are trained on: `python -m benchmarks.streaming`.

A chunk of `mnist5k` is trained on its tensors, on data sets of them whose items are fetched one by
one, and on torch's loaders of these, in turns, in one process of one thread. Nothing of it waits,
so what is counted is processor time, which other work on the machine changes little.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import (
    BenchmarkError,
    added_share,
    stop_when_terminated,
    told_shares,
)
from landscape_study import Streams
from landscape_study.study.pairs.options import Options
from landscape_study.study.records.outcome import Outcome
from landscape_study.study.spec.presets import load_preset
from landscape_study.study.spec.study import Panel
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.tasks.task import load_data
from landscape_study.study.training.arithmetic import worker_arithmetic
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import ENGINES, Programs

TASK = "mnist5k"
ALLOWED = 5.0  # percent that streaming may cost
TEST_BATCH = 187  # of the loader to test on: as tensors are tested

Ways = dict[str, Callable[[], Any]]


def ways(data: Data, batch_size: int) -> Ways:
    """In which the same examples can be had."""
    train = TensorDataset(data.train_inputs, data.train_targets)
    test = TensorDataset(data.test_inputs, data.test_targets)
    return {
        "tensors in memory": lambda: data,
        "data sets": lambda: (train, test),
        "DataLoaders": lambda: Streams(
            DataLoader(train, batch_size=batch_size, shuffle=True),
            DataLoader(test, batch_size=TEST_BATCH),
        ),
    }


def seconds(cells: int, epochs: int, repeats: int, engine: str) -> dict[str, list[float]]:
    """Processor time of an epoch with its test, by the way to have the examples; in turns.

    Raises:
        BenchmarkError: the data sets do not train to the bits of the tensors.
    """
    task = load_task(TASK)
    panel = load_preset("digits-fig2").panels[-1].model_copy(update={"epochs": epochs})
    took: dict[str, list[float]] = {}
    programs, outcomes = Programs(), dict[str, Outcome]()
    for turn in range(repeats + 1):  # the first, untimed one traces and compiles
        for name, data in ways(task.data(), task.batch_size).items():
            own = dataclasses.replace(task, data=data)
            began = time.process_time()
            outcomes[name] = _trained(own, panel, cells, engine, programs)
            if turn:
                took.setdefault(name, []).append((time.process_time() - began) / epochs)
    one, other = (outcomes[name].curves["train_loss"] for name in [*took][:2])
    if not np.array_equal(one, other, equal_nan=True):
        raise BenchmarkError("data sets do not train to the bits of their tensors")
    return took


def _trained(task: Any, panel: Panel, cells: int, engine: str, programs: Programs) -> Outcome:
    """A chunk of so many cells of the panel, its data opened anew."""
    grid = panel.cells()
    with worker_arithmetic("cpu", 1, tf32=False):
        return train_chunk(
            task,
            load_data(task).to("cpu", torch.float32),
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
    took = seconds(cells, epochs, repeats, engine)
    (_, held), *others = took.items()
    click.echo(f"{TASK}, {cells} cells, engine {engine}: {statistics.median(held):.3f} s an epoch")
    for name, streamed in others:
        told = told_shares(added_share(streamed, held))
        click.echo(f"{name}: {told} against tensors in memory; {ALLOWED:g} % are allowed")


if __name__ == "__main__":
    main()
