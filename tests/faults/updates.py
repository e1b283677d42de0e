"""Faults of the update: gradients, α, λ, moments and multipliers that are not the cell's own.

Letters: K cells, P parameters of one cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from landscape_study.study.pairs.placements import PLACEMENTS
from landscape_study.study.pairs.registry import Pair
from landscape_study.study.training.engines.stacked import StackedEngine
from tests.faults.breaking import Around, FusedOptimizer, engine_with, update_with
from tests.faults.fault import Fault


def swapped(rows: Tensor) -> Tensor:
    """The first two of K rows in each other's place."""
    return rows[[1, 0, *range(2, len(rows))]]


def gradients_swapped(go: Around, optimizer: FusedOptimizer, g: Tensor, *more: Any) -> None:
    go(swapped(g), *more)


def gradient_too_large(go: Around, optimizer: FusedOptimizer, g: Tensor, *more: Any) -> None:
    go(1.01 * g, *more)


def gradient_of_the_first_zeroed(
    go: Around, optimizer: FusedOptimizer, g: Tensor, *more: Any
) -> None:
    g = g.clone()
    g[:, : optimizer.widths[0]] = 0
    go(g, *more)


def gradient_rounded(go: Around, optimizer: FusedOptimizer, g: Tensor, *more: Any) -> None:
    go(g.bfloat16().to(g), *more)


def missing_gradient_taken_for_zero(
    go: Around, optimizer: FusedOptimizer, g: Tensor, eta: float, scale: float, present: Any
) -> None:
    go(g, eta, scale, None)


def multiplier_ignored(
    go: Around, optimizer: FusedOptimizer, g: Tensor, eta: float, *more: Any
) -> None:
    go(g, 1.0, *more)


def normalization_ignored(
    go: Around, optimizer: FusedOptimizer, g: Tensor, eta: float, scale: float, present: Any
) -> None:
    go(g, eta, 1.0, present)


def momentum_not_kept(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    optimizer.moments[0].zero_()
    go(*step)


def moments_of_the_first(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    go(*step)
    for moment in optimizer.moments:
        moment[:] = moment[:1].clone()


def weights_rounded(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    go(*step)
    optimizer.theta.copy_(optimizer.theta.bfloat16())


def weights_in_single_precision(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    go(*step)
    optimizer.theta.copy_(optimizer.theta.float())


def decay_before_the_gradient(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    if optimizer.placement is PLACEMENTS["decoupled"]:
        optimizer.placement = PLACEMENTS["l2"]
    go(*step)


def decay_times_alpha(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    if optimizer.placement is PLACEMENTS["decoupled"]:
        optimizer.placement = PLACEMENTS["scaled"]
    go(*step)


def correction_off_by_one(go: Around, optimizer: FusedOptimizer, t: int) -> list[Tensor]:
    found: list[Tensor] = go(t + 1)
    return found


def alphas_swapped(
    go: Around, optimizer: FusedOptimizer, pair: Any, theta: Tensor, alpha: Tensor, *more: Any
) -> None:
    go(pair, theta, swapped(alpha), *more)


def lambdas_swapped(
    go: Around,
    optimizer: FusedOptimizer,
    pair: Any,
    theta: Tensor,
    alpha: Tensor,
    lambda_: Tensor,
    *more: Any,
) -> None:
    go(pair, theta, alpha, swapped(lambda_), *more)


def third_alpha_of_the_second(
    go: Around, optimizer: FusedOptimizer, pair: Any, theta: Tensor, alpha: Tensor, *more: Any
) -> None:
    if len(alpha) > 2:
        alpha[2] = alpha[1]
    go(pair, theta, alpha, *more)


@contextmanager
def cells_of_the_first_chunk() -> Iterator[None]:
    """Within it, later chunks of as many cells have the α and λ of the first, as if traced."""
    known: dict[Any, Any] = {}

    def around(
        go: Around,
        optimizer: FusedOptimizer,
        pair: Pair,
        theta: Tensor,
        alpha: Tensor,
        lambda_: Tensor,
        *more: Any,
    ) -> None:
        go(pair, theta, *known.setdefault((pair, alpha.shape), (alpha, lambda_)), *more)

    with update_with(around, "__init__")():
        yield


def larger_eps(go: Around, optimizer: FusedOptimizer, *made: Any) -> None:
    go(*made)
    if hasattr(optimizer.rule, "eps"):
        optimizer.rule.eps *= 10


def smaller_beta2(go: Around, optimizer: FusedOptimizer, *made: Any) -> None:
    go(*made)
    if hasattr(optimizer.rule, "beta2"):
        optimizer.rule.beta2 = 0.99


def no_decay_of_vectors(go: Around, engine: StackedEngine, *made: Any) -> None:
    go(*made)
    matrices = [len(shape) > 1 for shape in engine.ensemble.shapes.values()]
    engine.optimizer.lambda_ = engine.optimizer.lambda_ * engine.optimizer._columns(matrices)


def one_step_late(
    go: Around, engine: StackedEngine, inputs: Tensor, targets: Tensor, eta: float, scale: float
) -> Tensor:
    """The gradient is that of the weights before the last step."""
    theta = engine.ensemble.theta
    now = theta.clone()
    theta.copy_(engine.__dict__.get("before", now))
    gradients, losses, present = engine.gradient(inputs, targets)
    engine.__dict__["before"] = now
    theta.copy_(now)
    engine.optimizer.step(gradients, eta, scale, present)
    return losses


def start_of_another_seed(go: Around, engine: StackedEngine, *made: Any) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(99)
        go(*made)


UPDATES = {
    "gradients of two cells swapped": Fault(update_with(gradients_swapped)),
    "gradient 1 % too large": Fault(update_with(gradient_too_large)),
    "gradient of one parameter zeroed": Fault(update_with(gradient_of_the_first_zeroed)),
    "gradient rounded to bfloat16": Fault(update_with(gradient_rounded)),
    "missing gradient taken for 0": Fault(update_with(missing_gradient_taken_for_zero)),
    "schedule multiplier ignored": Fault(update_with(multiplier_ignored)),
    "λ not normalized": Fault(update_with(normalization_ignored)),
    "momentum not kept": Fault(update_with(momentum_not_kept)),
    "moments of the first cell for all": Fault(update_with(moments_of_the_first)),
    "weights rounded to bfloat16": Fault(update_with(weights_rounded)),
    "weights rounded to single precision": Fault(update_with(weights_in_single_precision)),
    "l2 instead of decoupled": Fault(update_with(decay_before_the_gradient)),
    "scaled instead of decoupled": Fault(update_with(decay_times_alpha)),
    "bias correction off by one": Fault(update_with(correction_off_by_one, "_corrections")),
    "α of two cells swapped": Fault(update_with(alphas_swapped, "__init__")),
    "λ of two cells swapped": Fault(update_with(lambdas_swapped, "__init__")),
    "third cell with the second's α": Fault(update_with(third_alpha_of_the_second, "__init__")),
    "cells of the first chunk for all": Fault(cells_of_the_first_chunk),
    "ε ten times as large": Fault(update_with(larger_eps, "__init__")),
    "β2 0.99 instead of 0.999": Fault(update_with(smaller_beta2, "__init__")),
    "λ leaves out biases and norms": Fault(engine_with(no_decay_of_vectors, "__init__")),
    "weights one step late": Fault(engine_with(one_step_late)),
    "start weights of another seed": Fault(engine_with(start_of_another_seed, "__init__")),
}
