"""Faults that begin behind the last step of a trial: what the witness is for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from landscape_study.study.training.engines.stacked import StackedEngine
from tests.faults.breaking import (
    Around,
    FusedOptimizer,
    engine_with,
    from_step,
    steps_of,
    update_with,
)
from tests.faults.fault import Fault
from tests.faults.passes import buffer_dropped, eval_mode_forgotten, one_mask_for_all_steps
from tests.faults.updates import (
    gradient_of_the_first_zeroed,
    gradient_too_large,
    gradients_swapped,
    momentum_not_kept,
    swapped,
    weights_rounded,
)

FIRST = 30  # of 64 steps; a trial has 12


def rate_halved(go: Around, optimizer: FusedOptimizer, g: Tensor, eta: float, *more: Any) -> None:
    go(g, eta / 2, *more)


def decay_too_large(
    go: Around, optimizer: FusedOptimizer, g: Tensor, eta: float, scale: float, present: Any
) -> None:
    go(g, eta, 1.01 * scale, present)


def correction_frozen(go: Around, optimizer: FusedOptimizer, t: int) -> list[Tensor]:
    found: list[Tensor] = go(min(t, FIRST))
    return found


def places_changed_once(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    if steps_of(optimizer) == FIRST:
        optimizer.theta.copy_(swapped(optimizer.theta))
    go(*step)


def one_step_skipped(go: Around, engine: StackedEngine, *step: Any) -> Tensor:
    """Once: weights, moments and buffers are as before it."""
    if steps_of(engine) != FIRST:
        losses: Tensor = go(*step)
        return losses
    theta, before = engine.ensemble.theta, engine.ensemble.theta.clone()
    losses = go(*step)
    theta.copy_(before)
    return losses


def one_number_spoilt(go: Around, optimizer: FusedOptimizer, *step: Any) -> None:
    """Once: one weight of one cell changes its sign."""
    if steps_of(optimizer) == FIRST:
        optimizer.theta[0, torch.argmax(optimizer.theta[0].abs())] *= -1
    go(*step)


def late_update(around: Around) -> Fault:
    """The fault of an update, from then on."""
    return Fault(update_with(from_step(FIRST, around)))


def late_engine(around: Around, method: str = "step") -> Fault:
    """The fault of an engine, from then on."""
    return Fault(engine_with(from_step(FIRST, around), method))


LATE = {
    "late: gradients of two cells swapped": late_update(gradients_swapped),
    "late: gradient of one parameter zeroed": late_update(gradient_of_the_first_zeroed),
    "late: gradient 1 % too large": late_update(gradient_too_large),
    "late: rate halved": late_update(rate_halved),
    "late: λ 1 % too large": late_update(decay_too_large),
    "late: momentum not kept": late_update(momentum_not_kept),
    "late: weights rounded to bfloat16": late_update(weights_rounded),
    "late: bias correction frozen": Fault(update_with(correction_frozen, "_corrections")),
    "late: running variance dropped": late_engine(buffer_dropped("norm.running_var")),
    "late: eval mode forgotten": late_engine(eval_mode_forgotten, "train"),
    "late: one dropout mask": late_engine(one_mask_for_all_steps),
    "once: two cells change places": Fault(update_with(places_changed_once)),
    "once: a step moves nothing": Fault(engine_with(one_step_skipped)),
    "once: a weight changes its sign": Fault(update_with(one_number_spoilt)),
}
