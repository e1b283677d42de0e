"""What each update rule costs beside adam's: `python -m benchmarks.updates`.

The cells of one chunk of `digits`, under each rule with decoupled decay: the update alone, as the
captured engine replays it, and whole steps of the compiled engine, gradients included. In many
short turns, each rule once a turn, in one process of one thread, by the time that the processor
took; ratios are to adamw's in the same turn, medians over the turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import click
import numpy as np
import torch

from benchmarks.measure import stop_when_terminated
from landscape_study.study.pairs.options import Options
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.rules import RULES
from landscape_study.study.spec.study import Cell
from landscape_study.study.tasks import load_task
from landscape_study.study.training.engines import ENGINES, Assignment, Engine
from landscape_study.study.training.engines.base import Batch

TASK = "digits"
CELLS = 16  # of the chunk
TURNS = 41
UPDATES, STEPS = 20, 20  # of a turn
BOUND = 3.0  # times adamw's update


@dataclass(frozen=True)
class Workload:
    """What is done of a rule in a turn."""

    rule: str
    updates: Callable[[], None]
    steps: Callable[[], None]


def workload(rule: str, steps_by: str = "compiled") -> Workload:
    """The rule at work on a chunk; what is traced and compiled is so here."""
    captured, stepping = _engine(rule, "captured"), _engine(rule, steps_by)
    gradient = torch.randn(captured.optimizer.theta.shape, generator=torch.Generator()) / 100
    batches = _batches()
    loss_sum = torch.zeros(CELLS)

    def updates() -> None:
        for _ in range(UPDATES):
            captured.optimizer.step(gradient, eta=0.5)

    made = Workload(rule, updates, lambda: stepping.steps(batches, loss_sum))
    made.updates()
    made.steps()
    return made


def _engine(rule: str, engine: str) -> Engine:
    options = Options().of_rule(RULES[rule].defaults)
    cells = [Cell(1e-4 / 2**k, 1e-4) for k in range(CELLS)]
    pair = pair_called(f"{rule}-decoupled").name
    made = ENGINES[engine](Assignment(load_task(TASK), pair, cells, options))
    made.train(True)
    return made


def _batches() -> list[Batch]:
    task = load_task(TASK)
    data = task.data().to("cpu", torch.float32)
    size = task.batch_size
    rows = [slice(k * size, (k + 1) * size) for k in range(len(data.train_targets) // size)]
    batches = [Batch(data.train_inputs[one], data.train_targets[one], 0.5) for one in rows]
    return (batches * STEPS)[:STEPS]


def times(made: list[Workload], turns: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Processor seconds of a turn's updates and steps, by rule, each [turns]."""
    found: dict[str, list[tuple[float, float]]] = {one.rule: [] for one in made}
    for _ in range(turns):
        for one in made:
            found[one.rule].append((_seconds(one.updates), _seconds(one.steps)))
    return {rule: (np.array(both)[:, 0], np.array(both)[:, 1]) for rule, both in found.items()}


def _seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@click.command()
@click.option("--turns", type=click.IntRange(min=1), default=TURNS, show_default=True)
@click.option("--quick", is_flag=True, help="Three rules, twice: shows that it works.")
def main(turns: int, quick: bool) -> None:
    """Measure what each rule's update costs, against adamw's."""
    stop_when_terminated()
    torch.set_num_threads(1)
    rules = ["adam", "sgd", "muon"] if quick else list(RULES)
    made = [workload(rule, "captured" if quick else "compiled") for rule in rules]
    found = times(made, 2 if quick else turns)
    click.echo("rule              update, µs a cell   of adamw's   whole step, of adamw's")
    for rule, (updates, steps) in found.items():
        ratio = np.median(updates / found["adam"][0])
        whole = np.median(steps / found["adam"][1])
        each = 1e6 * np.median(updates) / UPDATES / CELLS
        beyond = "" if ratio <= BOUND else "   more than three times"
        click.echo(f"{rule:17} {each:17.1f}   {ratio:8.2f} ×   {whole:18.2f} ×{beyond}")


if __name__ == "__main__":
    main()
