"""Faults of the forward and backward pass: masks, buffers, modes, losses, scores, formulas.

Letters: K cells, B batch.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from landscape_study.study.training.engines import formulas, vmapped
from landscape_study.study.training.engines.base import Tensors
from landscape_study.study.training.engines.python_state import python_state, set_python_state
from landscape_study.study.training.engines.stacked import StackedEngine
from tests.faults.breaking import Around, broken_method, engine_with
from tests.faults.fault import Fault
from tests.faults.subjects import KEEPER
from tests.faults.updates import swapped

CAPTURED = ("captured",)  # it alone has formulas of its own
VMAP = ("vmap",)  # it alone may train what keeps state in Python


# ---- buffers and state --------------------------------------------------------------------------


def buffer_dropped(name: str) -> Around:
    """The update of the buffer is lost."""

    def around(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
        before = engine.ensemble.buffers[name].clone()
        losses: Tensor = go(*step)
        engine.ensemble.buffers[name].copy_(before)
        return losses

    return around


def buffers_shared(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
    losses: Tensor = go(*step)
    for buffer in engine.ensemble.moving().values():
        buffer.copy_(buffer[:1].clone().expand_as(buffer))
    return losses


def buffers_moved_by_tests(go: Around, engine: StackedEngine, *batch: Any) -> Tensors:
    found: Tensors = go(*batch)
    engine.ensemble.buffers["norm.running_mean"].mul_(0.9)
    return found


def counter_frozen(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
    before = python_state(engine.ensemble.network)
    losses: Tensor = go(*step)
    set_python_state(engine.ensemble.network, before)
    return losses


def constant_of_another_seed(go: Around, engine: StackedEngine, *made: Any) -> None:
    go(*made)
    matrix = vars(engine.ensemble.network)["matrix"]
    matrix.copy_(torch.randn(matrix.shape, generator=torch.Generator().manual_seed(99)))


# ---- modes and masks ----------------------------------------------------------------------------


def eval_mode_forgotten(go: Around, engine: StackedEngine, training: bool) -> None:
    if training:
        go(training)


def train_mode_forgotten(go: Around, engine: StackedEngine, training: bool) -> None:
    if engine.ensemble.network.training or not training:
        go(training)


def one_mask_for_all_steps(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        losses: Tensor = go(*step)
    return losses


def a_number_drawn_too_many(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
    torch.rand(())
    losses: Tensor = go(*step)
    return losses


def a_mask_for_each_cell() -> Any:
    """Within it, vmap draws for each cell anew."""
    original = vmapped.vmap

    def different(function: Any, randomness: str = "error", **named: Any) -> Any:
        return original(function, randomness="different", **named)

    return mock.patch.object(vmapped, "vmap", different)


# ---- losses and scores --------------------------------------------------------------------------


def loss_summed(
    go: Around, engine: StackedEngine, p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensors]:
    loss, moved = go(p, b, inputs, targets)
    return loss * len(targets), moved


def only_eight_examples(
    go: Around, engine: StackedEngine, p: Tensors, b: Tensors, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensors]:
    """The loss leaves out those behind the eighth, of which a trial's batches have none."""
    state = {**p, **b}
    outputs = engine.called(state, inputs)
    return engine.task.loss(outputs[:8], targets[:8]), {name: state[name] for name in b}


def rounded_in_single_precision(
    go: Around, engine: StackedEngine, state: Tensors, inputs: Tensor
) -> Tensor:
    """A shortcut that double precision, in which engines are tried, does not take."""
    outputs: Tensor = go(state, inputs)
    return outputs.bfloat16().float() if outputs.dtype == torch.float32 else outputs


def losses_swapped(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
    return swapped(go(*step))


def scores_swapped(go: Around, engine: StackedEngine, *batch: Any) -> Tensors:
    return {metric: swapped(values) for metric, values in go(*batch).items()}


def targets_shuffled(
    go: Around,
    engine: StackedEngine,
    theta: Tensor,
    inputs: Tensor,
    targets: Tensor,
    *buffers: Tensor,
) -> tuple[Tensor, ...]:
    """The loss is right, and nothing else."""
    loss, *_ = go(theta, inputs, targets, *buffers)
    _, *others = go(theta, inputs, targets.flip(0), *buffers)
    return (loss, *others)


# ---- formulas of the captured engine ------------------------------------------------------------


def own_batch_norm(change: Around) -> Any:
    """Within it, the captured engine's batch norm goes through `change`."""
    original = formulas.batch_norm
    changed = {functional.batch_norm: partial(change, original)}
    return mock.patch.dict(formulas.OWN, changed)


def biased_variance(
    go: Around, inputs: Tensor, mean: Tensor, variance: Tensor, *more: Any, **named: Any
) -> Tensor:
    """The running variance follows the batch's biased one."""
    before, count = variance.clone(), inputs.numel() // inputs.shape[1]
    outputs: Tensor = go(inputs, mean, variance, *more, **named)
    if outputs is not NotImplemented and named.get("training", True):
        kept = 0.9 * before
        variance.copy_(kept + (variance - kept) * (count - 1) / count)
    return outputs


def without_eps(go: Around, *arguments: Any, **named: Any) -> Tensor:
    outputs: Tensor = go(*arguments[:7], eps=0.0)
    return outputs


def slope_without_mean(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None]:
    """Batch norm's gradient as if mean and deviation were constants."""
    _, variance = ctx.saved_tensors
    return gradient * (variance + ctx.eps).rsqrt(), None


def a_tap_missing(go: Around, geometry: formulas.Geometry) -> Any:
    return go()[:-1]


PASSES = {
    "running variance dropped": Fault(engine_with(buffer_dropped("norm.running_var"))),
    "count of batches dropped": Fault(engine_with(buffer_dropped("norm.num_batches_tracked"))),
    "buffers of the first cell for all": Fault(engine_with(buffers_shared)),
    "tests move a buffer": Fault(engine_with(buffers_moved_by_tests, "scores")),
    "counter in Python frozen": Fault(engine_with(counter_frozen), KEEPER, VMAP),
    "constant of another seed": Fault(
        engine_with(constant_of_another_seed, "__init__"), KEEPER, VMAP
    ),
    "eval mode forgotten": Fault(engine_with(eval_mode_forgotten, "train")),
    "train mode forgotten after a test": Fault(engine_with(train_mode_forgotten, "train")),
    "one dropout mask for all steps": Fault(engine_with(one_mask_for_all_steps)),
    "a dropout mask for each cell": Fault(a_mask_for_each_cell),
    "one random number too many": Fault(engine_with(a_number_drawn_too_many)),
    "loss summed, not averaged": Fault(engine_with(loss_summed, "cell_loss")),
    "only eight examples of a batch": Fault(engine_with(only_eight_examples, "cell_loss")),
    "bfloat16 in single precision": Fault(engine_with(rounded_in_single_precision, "called")),
    "losses of two cells swapped": Fault(engine_with(losses_swapped)),
    "scores of two cells swapped": Fault(engine_with(scores_swapped, "scores")),
    "error against shuffled targets": Fault(engine_with(targets_shuffled, "stacked_scores")),
    "own norm: biased variance": Fault(partial(own_batch_norm, biased_variance), engines=CAPTURED),
    "own norm: ε forgotten": Fault(partial(own_batch_norm, without_eps), engines=CAPTURED),
    "own norm: gradient lacks the means": Fault(
        partial(
            mock.patch.object, formulas.Normalized, "backward", staticmethod(slope_without_mean)
        ),
        engines=CAPTURED,
    ),
    "own convolution: a tap missing": Fault(
        broken_method(formulas.Geometry, "sources", a_tap_missing), engines=CAPTURED
    ),
}
