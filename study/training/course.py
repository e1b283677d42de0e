"""Cells in training: step by step and epoch by epoch, to the end or to where somebody looks.

Letters: K cells that are trained together, E epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch

from landscape_study.study.pairs.meter import measured_steps
from landscape_study.study.pairs.normalization import normalizer
from landscape_study.study.pairs.options import Options
from landscape_study.study.spec.study import Cell, Panel
from landscape_study.study.tasks.data.examples import TaskData
from landscape_study.study.tasks.randomness import random_state, set_random_state
from landscape_study.study.tasks.regularization import with_dropout
from landscape_study.study.tasks.task import TaskProtocol, own_copy
from landscape_study.study.training.batches import Batches, evaluate
from landscape_study.study.training.checkpoint import State
from landscape_study.study.training.engines import ENGINES, Assignment, Engine, Programs
from landscape_study.study.training.engines.base import Batch, Tensors
from landscape_study.study.training.recorder import Recorder


def begun(
    task: TaskProtocol,
    data: TaskData,
    panel: Panel,
    cells: Sequence[Cell],
    *,
    seed: int,
    batch_size: int,
    options: Options,
    device: str = "cpu",
    engine: str = "referee",
    programs: Programs | None = None,
) -> Training:
    """Cells before the first step of their training, by an engine that can take so many.

    Called and trained within `seeded(seed, device)`; the arguments are those of `train_chunk`.
    """
    own = own_copy(task, device, getattr(torch, options.precision))
    own = with_dropout(own, options.dropout)
    assignment = Assignment(own, panel.pair, cells, options, device, panel.optimizer)
    made = ENGINES[engine](assignment, programs)
    return Training(made, data, panel, batch_size, seed)


class Training:
    """Cells between two steps of their training.

    Attributes:
        epoch: how many are finished.
        step: how many steps of the next one are done.
        recorder: what was found so far.
    """

    def __init__(
        self, engine: Engine, data: TaskData, panel: Panel, batch_size: int, seed: int
    ) -> None:
        self.engine, self.panel, self.epochs = engine, panel, panel.epochs or 0
        assignment = engine.assignment
        self.device = assignment.device
        self.batches = Batches(engine.task, data.train, batch_size, seed, assignment.dtype)
        self.test_examples = data.test
        cells = len(assignment.cells)
        self.meter = engine.optimizer.meter
        self.meter.due = measured_steps(self.batches.per_epoch)
        self.recorder = Recorder(cells, self.epochs, engine.task, self.meter.quantities)
        self.loss_sum = torch.zeros(cells, dtype=assignment.dtype, device=self.device)
        self.epoch = self.step = 0

    def finish(
        self,
        on_step: Callable[[], None],
        after_step: Callable[[], object],
        until: int | None = None,
    ) -> None:
        """Train what is left until the end of an epoch, or until no cell is left to train."""
        while not self.is_over() and self.epoch < (until or self.epochs):
            for _ in self.steps_of_epoch(on_step, together=True):
                after_step()
            self.test(on_step)

    def is_over(self) -> bool:
        """Whether no cell is left to train."""
        return self.epoch >= self.epochs or self.recorder.all_diverged()

    def steps_of_epoch(
        self, on_step: Callable[[], None] = lambda: None, *, together: bool = False
    ) -> Iterator[None]:
        """What is left of this epoch's steps, one at a time, or as many as the engine likes."""
        if self.step == 0:
            self.engine.train(True)
        batches = self._batches(on_step)
        while some := list(islice(batches, self._next_steps() if together else 1)):
            self.engine.steps(some, self.loss_sum)
            self.step += len(some)
            yield

    def _next_steps(self) -> int:
        """How many come next: none is drawn before what a checkpoint may follow."""
        return max(1, min(self.engine.at_once, self.batches.per_epoch - self.step))

    def _batches(self, on_step: Callable[[], None]) -> Iterator[Batch]:
        for t, inputs, targets in self.batches.of_epoch(self.epoch, self.step, on_step):
            on_step()
            eta, scale = self.panel.schedule.eta(t, self.epochs), self._lambda_scale(t)
            yield Batch(inputs, targets, eta, scale)

    def _lambda_scale(self, t: float) -> float:
        """What turns the grid's λ into the λ of the step at time `t` (epochs)."""
        if not self.panel.normalized:
            return 1.0
        cycle = self.panel.schedule.cycle(t, self.epochs)
        return normalizer(self.batches.size, self.batches.examples.count, cycle)

    def test(self, on_step: Callable[[], None] = lambda: None) -> Tensors:
        """End the epoch: test all cells, and record the metrics, which it returns, each [K]."""
        values = {"train_loss": self.loss_sum / self.batches.examples.count}
        mechanism = {"weight_norm": self.engine.weight_norm(), **self.meter.taken()}
        values |= evaluate(self.engine, self.test_examples, self.batches.size, on_step)
        self.recorder.add(self.epoch, values, self.engine.finite(), mechanism)
        self.loss_sum.zero_()
        self.epoch, self.step = self.epoch + 1, 0
        return values

    def progress(self) -> float:
        """Epochs that are done, whole and begun."""
        return self.epoch + self.step / self.batches.per_epoch

    def state(self) -> State:
        """All that the rest of the training depends on."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "engine": self.engine.state(),
            "loss_sum": self.loss_sum.cpu(),
            "random": random_state(self.device),
            "batches": self.batches.state(),
            "recorder": self.recorder.state(),
        }

    def restore(self, state: State) -> None:
        """Go on where that was the state."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.engine.restore(state["engine"])
        self.loss_sum.copy_(state["loss_sum"])
        self.batches.restore(state["batches"])
        self.recorder.restore(state["recorder"])
        set_random_state(state["random"], self.device)
