"""What a λ that was not tuned costs: none, or the default of torch.optim, each at its best α.

The cost of a default is its loss against the best cell, after Probst et al., "Tunability:
Importance of Hyperparameters of Machine Learning Algorithms" (JMLR 2019), with the best cell of
the landscape in place of the best configuration over many data sets.

Shapes: A values of α, L positive values of λ; B replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from landscape_study.landscapes.statistics.bootstrap import (
    REPLICATES,
    Estimate,
    Sample,
    draw,
)
from landscape_study.landscapes.statistics.interpolation import panel_surface
from landscape_study.landscapes.statistics.surface import Floats, Surface, surface
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.spec.cell_numbers import LAMBDA, USUAL, Names
from landscape_study.study.spec.metric import SPAN, TEST_ERROR, Metric

TORCH = 0.01  # weight_decay of torch.optim.AdamW where nothing is said
OF_TORCH = ("sgd", "adam", "amsgrad")  # rules with which one would take it: AdamW's, and SGD


@dataclass(frozen=True)
class Default:
    """A λ that one may take untuned: `value`, times α where `times_alpha`."""

    name: str
    value: float
    times_alpha: bool = False


def defaults(pair: str, *, normalized: bool = False, names: Names = USUAL) -> tuple[Default, ...]:
    """No regularization; and what torch.optim does by default, in the λ of the pair's placement.

    torch.optim.AdamW decays by α·λ: in the paper's λ, which α does not multiply, its default is
    0.01·α. The optimizers with L2 regularization have none by default, nor have those of other
    rules; none is a λ_norm, which a panel may be over (`normalized`); and of a pair that is
    unknown here (""), none is known. Without an axis of λ there is nothing to ask; without one of
    α, only of none.
    """
    if LAMBDA not in names:
        return ()
    none = Default("λ = 0", 0.0)
    if names != USUAL or normalized or pair not in PAIRS:
        return (none,)
    known = PAIRS[pair]
    placement = known.placement
    if known.rule not in OF_TORCH or known.cautious:
        return (none,)
    if placement == "scaled":
        return none, Default("λ = 0.01, torch's default", TORCH)
    if placement == "decoupled":
        return none, Default("λ = 0.01·α, torch's default", TORCH, times_alpha=True)
    return (none,)


def default_cost(
    frame: pd.DataFrame,
    default: Default,
    metric: Metric = TEST_ERROR,
    *,
    names: Names = USUAL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """What the default costs at its best α over the best cell, in the metric's unit.

    Between two values of λ the cost is interpolated over log λ; a default beyond the grid's λ at
    every α, or of which nothing has finished, has no cost (NaN).

    Args:
        frame: of one panel, as of `separability`.
        default: the λ.
        metric: what was measured.
        names: of the axes: of λ, and another one to be the best at.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UsageError: as `separability`.
    """
    seen = panel_surface(frame, span=SPAN, metric=metric, names=names)
    none = _without_lambda(frame, seen, metric)
    # Their noise is independent: so are the seeds of their replicates.
    at, at_none = draw(seen, replicates, seed), draw(none, replicates, seed + 1)
    value = _cost(seen.error, none.error, seen, none, default)
    draws = _cost(at, at_none, seen, none, default) if len(at) and len(at_none) else np.empty(0)
    found = Sample(float(value), np.asarray(draws).ravel(), (0, math.inf))
    if seen.is_interpolated:
        found = replace(found, shift=found.shifted / 2)
    return found.times(seen.units.size).estimate()


def _without_lambda(frame: pd.DataFrame, seen: Surface, metric: Metric) -> Surface:
    """The cells with λ = 0, [A', 1], in the points and under the noise of the others."""
    zero = frame[frame["lambda"] == 0].assign(**{"lambda": 1.0})
    scaled = replace(metric, matters=seen.units.matters)
    own = surface(zero, span=SPAN, metric=scaled, names=seen.names)
    return replace(own, residuals=seen.residuals.copy())


def _cost(error: Floats, none: Floats, seen: Surface, zero: Surface, default: Default) -> Floats:
    """Points over the best cell of all, [...], of errors [..., A, L] and [..., A', 1]."""
    best = np.minimum(_lowest(error), _lowest(none))
    if default.value == 0:
        reached = _lowest(none)
    else:
        y = math.log2(default.value) + default.times_alpha * seen.rows
        reached = _lowest(_between(error, seen.columns, np.broadcast_to(y, seen.rows.shape)))
    with np.errstate(invalid="ignore"):
        cost = reached - best
    return np.asarray(np.where(np.isfinite(reached) & np.isfinite(best), cost, np.nan))


def _between(error: Floats, axis: Floats, y: Floats) -> Floats:
    """Errors [..., A, L] at one log2 λ for each α, [..., A, 1]; NaN beyond the axis."""
    if axis.size == 0:
        return np.full((*error.shape[:-1], 1), np.nan)
    right = np.clip(np.searchsorted(axis, y), 1, max(axis.size - 1, 1)) if axis.size > 1 else None
    if right is None:
        return np.where(np.isclose(y, axis[0])[:, None], error, np.nan)
    share = (y - axis[right - 1]) / (axis[right] - axis[right - 1])
    rows = np.arange(error.shape[-2])
    left_error, right_error = error[..., rows, right - 1], error[..., rows, right]
    with np.errstate(invalid="ignore"):
        mixed = np.where(share == 0, left_error, (1 - share) * left_error + share * right_error)
        mixed = np.where(share == 1, right_error, mixed)
    inside = (share >= -1e-9) & (share <= 1 + 1e-9)
    return np.where(inside, mixed, np.nan)[..., None]


def _lowest(error: Floats) -> Floats:
    """The lowest error of each surface, [...]; inf where there is none."""
    known = np.where(np.isnan(error), np.inf, error)
    return np.asarray(known.min(axis=(-2, -1), initial=np.inf))
