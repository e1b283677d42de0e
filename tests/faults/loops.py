"""Faults around the steps: batches, test slices, checkpoints; and those the referee shares."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from landscape_study.study.pairs.optimizer import PairOptimizer
from landscape_study.study.tasks.data import tensors
from landscape_study.study.training.batches import Batches
from landscape_study.study.training.course import Training
from landscape_study.study.training.engines.stacked import StackedEngine
from tests.faults.breaking import (
    Around,
    Batch,
    batches_with,
    broken_method,
    engine_with,
    last_slice_skipped,
    loop_with,
)
from tests.faults.fault import Fault
from tests.faults.passes import VMAP
from tests.faults.subjects import KEEPER
from tests.faults.updates import correction_off_by_one, decay_before_the_gradient


def without_the_last(batches: list[Batch]) -> list[Batch]:
    return batches[:-1]


def reversed_order(batches: list[Batch]) -> list[Batch]:
    times = [time for time, _, _ in batches]
    turned = [(inputs, targets) for _, inputs, targets in reversed(batches)]
    return [(time, *batch) for time, batch in zip(times, turned, strict=True)]


def partial_batch_moves_nothing(
    go: Around, engine: StackedEngine, inputs: Tensor, targets: Tensor, *more: Any
) -> Tensor:
    """A batch that is smaller than the first one gives losses only."""
    usual = engine.__dict__.setdefault("usual", len(targets))
    if len(targets) == usual:
        losses: Tensor = go(inputs, targets, *more)
        return losses
    return engine.gradient(inputs, targets)[1]


def losses_unweighted(
    go: Around, engine: StackedEngine, inputs: Tensor, targets: Tensor, *more: Any
) -> Tensor:
    """A smaller batch counts as much as a whole one in the mean over the epoch."""
    losses: Tensor = go(inputs, targets, *more)
    usual = engine.__dict__.setdefault("usual", len(targets))
    return losses * usual / len(targets)


# ---- checkpoints --------------------------------------------------------------------------------


def moments_forgotten(go: Around, engine: StackedEngine, state: Any) -> None:
    go(state)
    for moment in engine.optimizer.moments:
        moment.zero_()


def steps_forgotten(go: Around, engine: StackedEngine, state: Any) -> None:
    go(state)
    engine.optimizer.steps = [0] * len(engine.optimizer.steps)


def buffers_forgotten(go: Around, engine: StackedEngine, state: Any) -> None:
    start = {name: b.clone() for name, b in engine.ensemble.moving().items()}
    go({**state, "buffers": start})


def python_forgotten(go: Around, engine: StackedEngine, state: Any) -> None:
    go({**state, "network": {}})


def random_state_forgotten(go: Around, training: Training, state: Any) -> None:
    go(state)
    torch.manual_seed(0)


def order_forgotten(go: Around, training: Training, state: Any) -> None:
    go({**state, "batches": training.batches.state()})


def loss_sum_forgotten(go: Around, training: Training, state: Any) -> None:
    go(state)
    training.loss_sum.zero_()


def forgets(around: Around) -> Fault:
    """What a checkpoint lacks of an engine."""
    return Fault(engine_with(around, "restore"), interrupted=True)


def loop_forgets(around: Around) -> Fault:
    """What a checkpoint lacks of a training."""
    return Fault(loop_with(around, "restore"), interrupted=True)


# ---- what the referee shares --------------------------------------------------------------------


def fewer_slices() -> Any:
    """Within it, nobody is tested on the last slice."""
    slices = tensors.even_slices
    return mock.patch.object(tensors, "even_slices", lambda *a: slices(*a)[:-1])


def fewer_batches(go: Around, batches: Any, *arguments: Any) -> Any:
    return (batch for batch, _ in pairwise(go(*arguments)))


LOOPS = {
    "last partial batch skipped": Fault(batches_with(without_the_last)),
    "batches in another order": Fault(batches_with(reversed_order)),
    "partial batch moves no weights": Fault(engine_with(partial_batch_moves_nothing)),
    "partial batch weighs as a whole one": Fault(engine_with(losses_unweighted)),
    "last slice of the test set skipped": Fault(last_slice_skipped),
    "checkpoint forgets moments": forgets(moments_forgotten),
    "checkpoint forgets the number of steps": forgets(steps_forgotten),
    "checkpoint forgets buffers": forgets(buffers_forgotten),
    "checkpoint forgets a counter": Fault(
        engine_with(python_forgotten, "restore"), KEEPER, VMAP, interrupted=True
    ),
    "checkpoint forgets random numbers": loop_forgets(random_state_forgotten),
    "checkpoint forgets the order": loop_forgets(order_forgotten),
    "checkpoint forgets the losses so far": loop_forgets(loss_sum_forgotten),
}

SHARED = {
    "shared: l2 instead of decoupled": Fault(
        broken_method(PairOptimizer, "step", decay_before_the_gradient), shared=True
    ),
    "shared: bias correction off by one": Fault(
        broken_method(PairOptimizer, "_corrections", correction_off_by_one), shared=True
    ),
    "shared: last batch skipped": Fault(
        broken_method(Batches, "of_epoch", fewer_batches), shared=True
    ),
    "shared: last slice skipped": Fault(fewer_slices, shared=True),
}
