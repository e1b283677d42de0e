"""What looking inside costs: `python -m benchmarks.mechanism`.

The same chunk is trained with and without the norms of weights, gradients and steps, in many short
turns, in one process of one thread. Each turn is compared with its neighbour by the time that the
processor took, so that what else the machine does weighs less. Training and tests, without the
database, whose part is the same few rows a cell whatever a training takes. Of large data a part is
taken, of which as large a share of the steps has its norms taken as of any.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import click
import torch

from benchmarks.measure import Share, added_share, stop_when_terminated
from landscape_study.study.pairs.meter import Meter
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel
from landscape_study.study.tasks import load_task
from landscape_study.study.tasks.data.tensors import Data
from landscape_study.study.training.chunk import train_chunk
from landscape_study.study.training.engines import Programs
from landscape_study.study.training.engines.stacked import StackedEngine

PLAIN, CLIPPED = Options(), Options(clip_norm=1.0)
CELLS = 16  # of the chunk
BOUND = 0.03  # share of the time that it may cost
TURNS = 41
STEPS = 64  # of an epoch, at most: an eighth has its norms taken


@dataclass(frozen=True)
class Workload:
    """What is trained in a turn."""

    task: str
    epochs: int
    options: Options = PLAIN


WORKLOADS = (
    Workload("digits", 8),
    Workload("digits", 8, CLIPPED),
    Workload("mnist5k", 1),
    Workload("chars", 1, CLIPPED),
)


@contextmanager
def unobserved() -> Iterator[None]:
    """Within it, engines train as if nobody looked inside."""
    with (
        patch.object(Meter, "quantities", ()),
        patch.object(Meter, "is_due", lambda *_: False),
        patch.object(Meter, "count", lambda *clip: None),
        patch.object(Meter, "taken", lambda meter: {}),
        patch.object(StackedEngine, "weight_norm", lambda engine: None),
    ):
        yield


def cost(workload: Workload, engine: str, turns: int) -> Share:
    """The share of the time that looking inside adds."""
    train = _training(workload, engine)
    with unobserved():
        train()  # what is traced and compiled is so once
    train()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(turns):
        for observed in (True, False) if turn % 2 else (False, True):
            seconds[observed].append(_seconds(train, observed))
    return added_share(seconds[True], seconds[False])


def _seconds(train: Callable[[], object], observed: bool) -> float:
    began = time.process_time()
    if observed:
        train()
    else:
        with unobserved():
            train()
    return time.process_time() - began


def _training(workload: Workload, engine: str) -> Callable[[], object]:
    """Train the workload's chunk, with what was traced before."""
    task = load_task(workload.task)
    data = _part(task.data().to("cpu", torch.float32), STEPS * task.batch_size)
    cells = [Cell(0.01 / 2 ** (k // 4), 0.01 / 4 ** (k % 4)) for k in range(CELLS)]
    axes = {name: Axis(values=(0.01,)) for name in ("alpha", "lambda_")}
    panel = Panel(pair="adamw", epochs=workload.epochs, grid=Grid(**axes))
    programs = Programs()
    return lambda: train_chunk(
        *(task, data, panel, cells),
        seed=0,
        batch_size=task.batch_size,
        options=workload.options,
        engine=engine,
        programs=programs,
    )


def _part(data: Data, examples: int) -> Data:
    """As many training examples at most, and as large a share of the others."""
    kept = min(1.0, examples / len(data.train_targets))
    return Data(*(x[: math.ceil(kept * len(x))] for x in vars(data).values()))


@click.command()
@click.option("--engine", default="compiled", show_default=True)
@click.option("--turns", type=click.IntRange(min=1), default=TURNS, show_default=True)
@click.option("--only", "tasks", multiple=True, help="Only this task; may be repeated.")
@click.option("--quick", is_flag=True, help="Two epochs of digits, twice: shows that it works.")
def main(engine: str, turns: int, tasks: tuple[str, ...], quick: bool) -> None:
    """Measure what recording norms and clipped steps costs, against training without."""
    stop_when_terminated()
    torch.set_num_threads(1)
    some = [one for one in WORKLOADS if not tasks or one.task in tasks]
    for workload in [Workload("digits", 2)] if quick else some:
        found = cost(workload, "vmap" if quick else engine, 2 if quick else turns)
        clips = ", clipped" if workload.options != PLAIN else ""
        verdict = "" if quick else f": {'within' if found.value <= BOUND else 'beyond'} 3 %"
        click.echo(f"{workload.task}{clips}: {found}{verdict}")


if __name__ == "__main__":
    main()
