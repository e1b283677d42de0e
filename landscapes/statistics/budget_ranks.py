"""Does a cheap budget tell what a dear one would? Their ranks of the cells that both have.

Shapes: R rows of a frame; K cells with λ > 0 that two panels share; B replicates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.bootstrap import REPLICATES, Estimate, Sample
from landscape_study.landscapes.statistics.comparison import Common, rank, transfer
from landscape_study.landscapes.statistics.coupling import membership
from landscape_study.landscapes.statistics.scattered_design import DIGITS
from landscape_study.landscapes.statistics.separability import TAU, used
from landscape_study.landscapes.statistics.surface import (
    Floats,
    Surface,
    placed_rows,
    row_costs,
    surface,
    with_noise,
)
from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.spec.metric import SPAN, TEST_ERROR, Metric
from landscape_study.study.spec.study import Panel

Place = tuple[float, float]  # log2 α and log2 λ of a cell, rounded


@dataclass(frozen=True)
class BudgetRank:
    """What a cheap panel tells of a dear one, each with its 95 % interval; NaN where unknown."""

    cheap: str  # label of the panel
    dear: str  # likewise
    cells: int  # with λ > 0 that both have, K
    rank: Estimate  # Spearman's correlation of their ranks
    lost: Estimate  # by taking the best cell of cheap at dear, in the metric's unit
    alpha: Estimate  # octaves by which the middle of the good cells moves
    lambda_: Estimate
    is_chosen: bool = False  # whether the cells of dear are the best ones of cheap
    place: tuple[int, int] | None = None  # of dear's best cell at cheap, from 1, of how many
    is_cut: bool = False  # whether beside it lie cells that were not chosen
    units: Units = PERCENT  # of dear

    @property
    def is_enough(self) -> bool | None:
        """Whether tuning at cheap loses less than what matters; None if it cannot be told."""
        if self.lost.has_interval and self.lost.high < self.units.matters:
            return True
        return False if self.lost.low > self.units.matters else None


def budget_ranks(panels: Sequence[PanelData]) -> list[BudgetRank]:
    """From each budget to the next one, of panels of a study that are alike but for it."""
    named = {one.name: one for one in panels}
    steps = budget_steps([one.panel for one in panels if one.panel and one.landscape.is_usual])
    return [_of_panels(named[cheap], named[dear]) for cheap, dear in steps]


def budget_steps(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    """Names of the panels of consecutive budgets, alike but for it, the cheaper one first.

    Of an objective, whose budget nobody knows here: who has the best cells of whom.
    """
    alike: defaultdict[str, list[Panel]] = defaultdict(list)
    for panel in panels:
        if panel.epochs is not None and not panel.is_labelled:
            settings = panel.settings()
            alike[repr([settings[key] for key in settings if key != "epochs"])].append(panel)
    names = {panel.name for panel in panels}
    return [
        (cheap.name, dear.name)
        for group in alike.values()
        for cheap, dear in pairwise(sorted(group, key=lambda panel: panel.epochs or 0))
        if cheap.epochs != dear.epochs
    ] + [
        (panel.promoted.best_of, panel.name)
        for panel in panels
        if panel.by_objective and panel.promoted and panel.promoted.best_of in names
    ]


def _of_panels(cheap: PanelData, dear: PanelData) -> BudgetRank:
    promoted = dear.panel.promoted if dear.panel else None
    return budget_rank(
        cheap.cells,
        dear.cells,
        dear.metric,
        labels=(cheap.label, dear.label),
        is_chosen=promoted is not None and promoted.best_of == cheap.name,
    )


def budget_rank(
    cheap: pd.DataFrame,
    dear: pd.DataFrame,
    metric: Metric = TEST_ERROR,
    *,
    labels: tuple[str, str] = ("cheap", "dear"),
    is_chosen: bool = False,
    replicates: int = REPLICATES,
) -> BudgetRank:
    """Hold two landscape frames of one metric against each other, cell by cell.

    Of two whole grids rank and loss are those of `comparison.compare`, moves those of
    `optimum.optimum`; but cells may lie anywhere, and be some of the grid only.

    Args:
        cheap: a landscape frame, see `surface`.
        dear: likewise, at the dearer budget.
        metric: what was measured.
        labels: of both.
        is_chosen: whether the cells of `dear` are the best ones of `cheap`.
        replicates: of the bootstrap.

    Raises:
        UsageError: as `surface`.
    """
    # The noise of the two is independent: so are the seeds of their replicates.
    one, other = (
        _seen(frame, metric, replicates, seed)
        for seed, frame in enumerate(_common_rows(cheap, dear, metric))
    )
    count = min(len(one.draws), len(other.draws))
    common = Common(one.error, other.error, one.draws[:count], other.draws[:count])
    means = _means(cheap, metric)
    best = _best(other, means)
    return BudgetRank(
        *labels,
        cells=one.error.size,
        rank=rank(common).estimate(),
        lost=transfer(common).times(other.surface.units.size).estimate(),
        alpha=(other.middle(other.alpha) - one.middle(one.alpha)).estimate(),
        lambda_=(other.middle(other.lambda_) - one.middle(one.lambda_)).estimate(),
        is_chosen=is_chosen,
        place=best and (1 + int((means < means[best]).sum()), len(means)),
        is_cut=is_chosen and best is not None and _is_cut(best, means, other),
        units=other.surface.units,
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """The shared cells as one of the panels has them."""

    surface: Surface
    alpha: Floats  # [K] log2
    lambda_: Floats  # [K] log2
    error: Floats  # [K] points
    draws: Floats  # [B, K]; none where the noise is unknown

    @property
    def places(self) -> list[Place]:
        """The cells, [K], as `_octaves` has them."""
        rounded = (one.round(DIGITS).tolist() for one in (self.alpha, self.lambda_))
        return [*zip(*rounded, strict=True)]

    def middle(self, places: Floats) -> Sample:
        """The mean of log2 α or log2 λ under the weights of the basin, see `coupling.weights`."""
        if not np.isfinite(self.error).any():
            return Sample(math.nan, np.empty(0))
        span, tau = used(self.surface, SPAN, TAU)

        def centre(error: Floats) -> Floats:
            w = membership(error - error.min(axis=-1, keepdims=True), span, tau)
            return np.asarray((w * places).sum(axis=-1) / w.sum(axis=-1))

        return Sample(float(centre(self.error)), centre(self.draws))


def _seen(frame: pd.DataFrame, metric: Metric, replicates: int, seed: int) -> _Seen:
    found = surface(frame, span=SPAN, metric=metric)
    row, col = np.nonzero(found.n)
    error, n = found.error[row, col], found.n[row, col]
    draws = np.empty((0, error.size))
    if found.residuals.size:
        rng = np.random.default_rng(seed)
        draws = with_noise(error, n, found.residuals, replicates, rng)
    return _Seen(found, found.rows[row], found.columns[col], error, draws)


def _best(seen: _Seen, means: pd.Series) -> Place | None:
    """The best of the shared cells, if it is one of those with means; None where all diverged."""
    if not np.isfinite(seen.error).any():
        return None
    best = seen.places[int(seen.error.argmin())]
    return best if best in means.index else None


def _means(frame: pd.DataFrame, metric: Metric) -> pd.Series:
    """Cost of each cell with λ > 0 by its place, mean over the finished seeds."""
    placed, alpha, lambda_ = placed_rows(frame, metric)
    costs = pd.Series(row_costs(placed, metric), _octaves(alpha, lambda_)).dropna()
    return costs.groupby(level=[0, 1]).mean()


def _is_cut(best: Place, means: pd.Series, dear: _Seen) -> bool:
    """Whether a cell beside the best one of `dear`, in its row or column, is of `cheap` only."""
    shared = {*dear.places}
    well = [place for place in means.index[np.isfinite(means)] if place not in shared]
    every = [*shared, *well]
    for axis in (0, 1):
        line = [one for one in every if one[1 - axis] == best[1 - axis]]
        below = max((one for one in line if one[axis] < best[axis]), default=best)
        above = min((one for one in line if one[axis] > best[axis]), default=best)
        if not {below, above} <= shared:
            return True
    return False


def _octaves(alpha: Floats, lambda_: Floats) -> pd.MultiIndex:
    """log2 α and log2 λ of rows; the same where they differ by rounding only."""
    return pd.MultiIndex.from_arrays([np.log2(axis).round(DIGITS) for axis in (alpha, lambda_)])


def _common_rows(
    one: pd.DataFrame, other: pd.DataFrame, metric: Metric
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The finished rows of the cells that both frames have."""
    frames, places = [], []
    for frame in (one, other):
        placed, alpha, lambda_ = placed_rows(frame, metric)
        known = ~np.isnan(row_costs(placed, metric))
        frames.append(placed[known])
        places.append(_octaves(alpha[known], lambda_[known]))
    first, second = places
    return frames[0][first.isin(second)], frames[1][second.isin(first)]
