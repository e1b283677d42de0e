"""Two panels held against each other: differences, and what one says about the other.

Shapes: A values of α, L positive values of λ; K cells that two panels share; B replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.bootstrap import REPLICATES, Estimate, Sample, draw
from landscape_study.landscapes.statistics.separability import TAU, checked_surface, samples
from landscape_study.landscapes.statistics.surface import Floats, Surface
from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.cell_numbers import USUAL, Names
from landscape_study.study.spec.metric import SPAN, TEST_ERROR, Metric

TOP = 10  # best cells of which the shared ones are counted
UNITLESS = ("tilt", "drift", "interaction")  # statistics whose differences are given
FEWEST_COMMON = 4  # cells from which ranks can be compared


@dataclass(frozen=True)
class Comparison:
    """Other minus one, each with its 95 % interval; NaN where it is not defined."""

    best: Estimate  # in the metric's unit, as all that costs
    tilt: Estimate
    drift: Estimate  # octaves of λ per octave of α
    interaction: Estimate
    regret: Estimate
    common: int  # cells (α, λ > 0) with a result in both
    rank: Estimate  # Spearman's correlation of the errors over the common cells
    transfer: Estimate  # what one's best common cell costs in other, in its metric's unit
    shared_top: int  # how many of the ten best common cells are among the ten best of both
    units: Units = PERCENT  # of other
    names: Names = USUAL  # of the axes of both; what is said of α and λ holds of these


@dataclass(frozen=True, eq=False)
class Common:
    """Errors of the cells that two panels share, and their replicates."""

    one: Floats  # [K] points
    other: Floats  # [K]
    one_draws: Floats  # [B, K]; none where the noise of either is unknown
    other_draws: Floats  # [B, K]


def compare(
    one: pd.DataFrame,
    other: pd.DataFrame,
    metric: Metric = TEST_ERROR,
    other_metric: Metric | None = None,
    *,
    names: Names = USUAL,
    span: float = SPAN,
    tau: float = TAU,
    replicates: int = REPLICATES,
) -> Comparison:
    """Compare two panels' landscape frames (columns as of `separability`).

    Differences are other − one; those of costs are unknown where the metrics differ. With a
    cheap panel as `one` and a dear one as `other`, rank and transfer tell whether the cheap
    landscape predicts the dear one.

    Raises:
        UsageError: as `separability`.
    """
    a = checked_surface(one, metric, names=names, span=span, tau=tau)
    b = checked_surface(other, other_metric or metric, names=names, span=span, tau=tau)
    # The two panels' noise is independent: so are the seeds of their replicates.
    first, second = (
        samples(seen, span, tau, replicates, seed, (*UNITLESS, "regret"))
        for seed, seen in enumerate((a, b))
    )
    differences = {name: (second[name] - first[name]).estimate() for name in UNITLESS}
    regret = _cost(b, second["regret"]) - _cost(a, first["regret"])
    draws = draw(a, replicates, 0), draw(b, replicates, 1)
    common = _common_cells(a, b, *draws, same_lambda=_normalized(one) == _normalized(other))
    return Comparison(
        best=_known(a, b, _value(b, draws[1]) - _value(a, draws[0])),
        regret=_known(a, b, regret),
        **differences,
        common=common.one.size,
        rank=rank(common).estimate(),
        transfer=_cost(b, transfer(common)).estimate(),
        shared_top=_shared_top(common),
        units=b.units,
        names=names,
    )


def compare_panels(one: PanelData, other: PanelData) -> Comparison:
    """Compare two panels.

    Raises:
        UsageError: they have different axes.
    """
    names = one.landscape.names
    if other.landscape.names != names:
        axes = [" × ".join(panel.landscape.symbols) for panel in (one, other)]
        raise UsageError(
            f"{one.title} is over {axes[0]}, {other.title} over {axes[1]}: they cannot be compared"
        )
    return compare(one.cells, other.cells, one.metric, other.metric, names=names)


def _value(seen: Surface, draws: Floats) -> Sample:
    """The best value of the metric."""
    cells = np.isfinite(seen.error)
    if not cells.any():
        return Sample(math.nan, np.empty(0))
    lowest = Sample(seen.best, draws[:, cells].min(axis=-1))
    return lowest.times(seen.units.metric.sign * seen.units.size)


def _cost(seen: Surface, points: Sample) -> Sample:
    """A cost in points, in the unit of the metric."""
    return points.times(seen.units.size)


def _known(a: Surface, b: Surface, difference: Sample) -> Estimate:
    """The difference of two costs, if they are of one metric."""
    same = a.units.metric.name == b.units.metric.name
    return difference.estimate() if same else Estimate()


def _normalized(frame: pd.DataFrame) -> bool:
    """Whether λ is λ_norm: the same number is another λ then."""
    return "normalized" in frame and bool(frame["normalized"].any())


def _common_cells(
    a: Surface, b: Surface, a_draws: Floats, b_draws: Floats, *, same_lambda: bool
) -> Common:
    """Pair up the cells with the same α and λ and a result in both; diverged ones are inf.

    Places of an interpolated surface are no cells: of scattered trials none is common.
    """
    same_lambda = same_lambda and not (a.is_interpolated or b.is_interpolated)
    rows = [(i, j) for i, x in enumerate(a.rows) for j, y in enumerate(b.rows) if _same(x, y)]
    cols = [
        (i, j) for i, x in enumerate(a.columns) for j, y in enumerate(b.columns) if _same(x, y)
    ]
    cells = [
        ((row, col), (other_row, other_col))
        for row, other_row in rows
        for col, other_col in cols
        if same_lambda and a.n[row, col] and b.n[other_row, other_col]
    ]
    here, there = np.array(cells, dtype=int).reshape(-1, 2, 2).transpose(1, 2, 0)
    count = min(len(a_draws), len(b_draws))
    return Common(
        a.error[here[0], here[1]],
        b.error[there[0], there[1]],
        a_draws[:count, here[0], here[1]],
        b_draws[:count, there[0], there[1]],
    )


def _same(x: float, y: float) -> bool:
    """Whether two values of log2 α or λ are the same number, written with a base or without."""
    return math.isclose(x, y, abs_tol=1e-8)


def rank(common: Common) -> Sample:
    """Spearman's rank correlation; diverged cells share the last rank."""
    value = _spearman(common.one, common.other) if common.one.size >= FEWEST_COMMON else math.nan
    return Sample(float(value), _spearman(common.one_draws, common.other_draws), (-1, 1))


def _spearman(one: Floats, other: Floats) -> Floats:
    """Correlation of the ranks along the last axis, [..., K] → [...]; NaN if all are equal."""
    if one.shape[-1] == 0:
        return np.full(one.shape[:-1], math.nan)
    both = (ranks(errors) for errors in (one, other))
    a, b = (rank - rank.mean(axis=-1, keepdims=True) for rank in both)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


def ranks(values: Floats) -> Floats:
    """Ranks along the last axis, equal values sharing their mean, as scipy.stats.rankdata's.

    To import scipy.stats takes half a second.
    """
    order = values.argsort(axis=-1)
    ascending = np.take_along_axis(values, order, axis=-1)
    places = np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    rises = ascending[..., 1:] != ascending[..., :-1]
    edge = np.ones((*values.shape[:-1], 1), dtype=bool)
    first = np.where(np.concatenate([edge, rises], axis=-1), places, 0)
    last = np.where(np.concatenate([rises, edge], axis=-1), places, values.shape[-1])
    low = np.maximum.accumulate(first, axis=-1)
    high = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    found = np.empty(values.shape)
    np.put_along_axis(found, order, 1 + (low + high) / 2, axis=-1)
    return found


def transfer(common: Common) -> Sample:
    """Points over other's best cell when one's best cell is taken instead."""
    if not np.isfinite(common.other).any() or not np.isfinite(common.one).any():
        return Sample(math.nan, np.empty(0))
    value = common.other[common.one.argmin()] - common.other.min()
    chosen = common.one_draws.argmin(axis=-1)[:, None]
    reached = np.take_along_axis(common.other_draws, chosen, axis=-1)[:, 0]
    return Sample(float(value), reached - common.other_draws.min(axis=-1), (0, math.inf))


def _shared_top(common: Common) -> int:
    tops = (set(np.argsort(errors, kind="stable")[:TOP]) for errors in (common.one, common.other))
    return len(set.intersection(*tops))
