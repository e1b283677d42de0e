"""The surface of trials that lie scattered: interpolated by a Gaussian process, with draws of it.

Samplers, crosses and ragged sweeps leave hardly any cell of the grid of all their values filled.
Their surface is read on a regular grid over the box of the trials instead. What is not known of
it shows as the spread of its draws, which take the place of a bootstrap's replicates.

Shapes: R rows of a frame, N trials, A values of α, L positive values of λ, both ascending in
log2 and regular; B draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from landscape_study.landscapes.reading.landscape import Landscape, are_scattered
from landscape_study.landscapes.statistics.gaussian_process import KEPT, Trials, draw_surfaces
from landscape_study.landscapes.statistics.scattered_design import DIGITS, design_obstacle
from landscape_study.landscapes.statistics.surface import (
    BASIN,
    Floats,
    Surface,
    placed_rows,
    row_costs,
    surface,
)
from landscape_study.landscapes.statistics.units import Units, units
from landscape_study.study.spec.metric import MATTERS, TEST_ERROR, Metric

SPAN = 12 * MATTERS  # points above the best trial from which all are equally bad
DRAWS = 16 * KEPT
MOST_TRIALS = 200  # what lies together becomes one beyond it: time grows with the cube
CELLS = 280  # about, of the grid
FEWEST_LINES, MOST_LINES = 7, 48  # values of an axis of the grid
RISE = 1.4  # height from the best trial to the span
FINER = 1.1  # factor by which the blocks of many trials grow until they are few enough


@dataclass(frozen=True, eq=False)
class Interpolation(Surface):
    """A surface between trials: medians of its draws; inf where they reach the span."""

    draws: Floats = field(
        default_factory=lambda: np.empty((0, 0, 0))
    )  # [B, A, L] points; none where there are too few trials
    trials: int = 0  # with a result that did not diverge
    runs: int = 0  # most of any trial
    lowest: float = float("nan")  # points, of the trials
    obstacle: str | None = None  # why such trials cannot tell whether α and λ are coupled

    is_interpolated: ClassVar[bool] = True

    @property
    def observed(self) -> tuple[int, int, float]:
        """Trials with a result, most runs of any, and the best of them in points."""
        return self.trials, self.runs, self.lowest

    def replicates(self, count: int, rng: np.random.Generator) -> Floats:
        """So many of the draws, [count, A, L], in random order."""
        few = len(self.draws) < count
        return np.asarray(self.draws[rng.choice(len(self.draws), count, replace=few)])


@dataclass(frozen=True)
class _Table:
    """Trials as what can be a key: each log2 α, log2 λ, cost in the metric's unit, runs."""

    rows: tuple[tuple[float, float, float, float], ...]
    metric: Metric


def panel_surface(frame: pd.DataFrame, *, span: float, metric: Metric = TEST_ERROR) -> Surface:
    """The surface of a landscape frame: of its cells, or interpolated where these are scattered.

    Arguments and errors as of `surface`.
    """
    frame, alpha, lambda_ = placed_rows(frame, metric)
    if not are_scattered(alpha, lambda_):
        return surface(frame, span=span, metric=metric)
    runs = pd.DataFrame(_octaves(alpha, lambda_), columns=["x", "y"])
    runs["cost"] = row_costs(frame, metric)
    trials = runs.dropna().groupby(["x", "y"])["cost"].agg(["mean", "size"]).reset_index()
    return _interpolated(_table(trials.to_numpy(dtype=float), metric), span)


def interpolated(landscape: Landscape) -> Interpolation:
    """The surface between the cells of a landscape with λ > 0, however many it has."""
    alpha, lambda_ = np.array(landscape.alpha.values), np.array(landscape.lambda_.values)
    row, col = np.nonzero((landscape.n > 0) & (lambda_ > 0))
    cost = np.where(landscape.diverged > 0, np.inf, landscape.cost)[row, col]
    rows = np.column_stack([_octaves(alpha[row], lambda_[col]), cost, landscape.n[row, col]])
    return _interpolated(_table(rows, landscape.metric), SPAN)


def _octaves(alpha: Floats, lambda_: Floats) -> Floats:
    """log2 α and log2 λ of trials, [N, 2]; the same where they differ by rounding only."""
    return np.log2(np.stack([alpha, lambda_], axis=-1)).round(DIGITS)


def _table(rows: Floats, metric: Metric) -> _Table:
    """Trials [N, 4] in an order of their own."""
    rows = rows[np.lexsort(rows.T[1::-1])]
    return _Table(tuple(map(tuple, rows.tolist())), metric)


@lru_cache(maxsize=64)
def _interpolated(table: _Table, span: float) -> Interpolation:
    """The surface of trials; remembered, since verdict, costs and figures ask for the same."""
    x, y, cost, _ = np.array(table.rows).reshape(-1, 4).T
    usable = np.isfinite(cost)
    obstacle = design_obstacle(x[usable], y[usable])
    across, up = _axes(x, y)
    places = _places(across, up)
    # Samplers crowd around the best: each place counts once, as what the nearest trial says.
    nearest = cKDTree(np.column_stack([x, y])).query(places)[1] if x.size else []
    scale = units(cost[nearest] if x.size else cost, table.metric)
    found = _fit(table, across, up, scale, span, obstacle)
    raised = scale.above(found.noise)
    return found if raised == scale else _fit(table, across, up, raised, span, obstacle)


def _fit(
    table: _Table, across: Floats, up: Floats, scale: Units, span: float, obstacle: str | None
) -> Interpolation:
    """The surface on axes log2 α [A] and log2 λ [L], in the points of `scale`."""
    x, y, cost, n = np.array(table.rows).reshape(-1, 4).T
    points = scale.points(cost)
    usable = np.isfinite(points)
    empty = Interpolation(
        across,
        up,
        np.full((across.size, up.size), np.nan),
        np.zeros((across.size, up.size), dtype=np.int64),
        np.empty(0),
        scale,
        trials=int(usable.sum()),
        runs=int(n.max(initial=0)),
        lowest=float(points[usable].min()) if usable.any() else float("nan"),
        obstacle=obstacle,
    )
    if usable.sum() < 3 or not min(np.ptp(x), np.ptp(y)) > 0:
        return empty
    excess = np.minimum(points - empty.lowest, span)
    trials = _blocks(Trials(np.column_stack([x, y]), _height(excess, span), n))
    rng = np.random.default_rng(0)
    known = draw_surfaces(trials, _places(across, up), DRAWS, rng)
    draws = empty.lowest + _excess(known.draws.reshape(DRAWS, across.size, up.size), span)
    draws[draws >= empty.lowest + span] = np.inf
    # At the best trial, where a step of height is the least of excess.
    noise = known.noise * np.log1p(span / BASIN) / RISE * BASIN
    return replace(
        empty,
        error=np.median(draws, axis=0),
        n=np.full((across.size, up.size), max(round(float(np.mean(n))), 1), dtype=np.int64),
        residuals=noise * np.sqrt(np.mean(n)) * np.array([-1.0, 1.0] * 2),
        draws=draws,
    )


def _height(excess: Floats, span: float) -> Floats:
    """−RISE at the best trial to 0 at the span, steeper near the best: log(1 + z/BASIN).

    Of 40 cells of 9 grids, the others were foretold as well as by z itself (CRPS of 0.150 and
    0.152 points) and the good ones better (0.128 and 0.157).
    """
    return np.asarray(RISE * (np.log1p(excess / BASIN) / np.log1p(span / BASIN) - 1))


def _excess(height: Floats, span: float) -> Floats:
    """Points above the best trial of a height."""
    return np.asarray(BASIN * np.expm1((height / RISE + 1) * np.log1p(span / BASIN)))


def _axes(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Regular log2 α [A] and log2 λ [L] over the box of the trials, of one step if possible."""
    wide, high = (float(np.ptp(one)) if one.size else 0.0 for one in (x, y))
    if not min(wide, high) > 0:
        return np.unique(x), np.unique(y)
    step = np.sqrt(wide * high / CELLS)
    counts = (
        int(np.clip(round(size / step) + 1, FEWEST_LINES, MOST_LINES)) for size in (wide, high)
    )
    across, up = (
        np.linspace(one.min(), one.max(), count) for one, count in zip((x, y), counts, strict=True)
    )
    return across, up


def _places(across: Floats, up: Floats) -> Floats:
    """The places of the grid, [A·L, 2]."""
    return np.stack(np.meshgrid(across, up, indexing="ij"), axis=-1).reshape(-1, 2)


def _blocks(trials: Trials) -> Trials:
    """At most MOST_TRIALS: where there are more, means over square blocks, as small as will do."""
    # Each is as noisy as one: how the surface bends within a block is more than what is left.
    side = trials.extent / np.sqrt(MOST_TRIALS) / 2
    blocks = trials
    while blocks.n.size > MOST_TRIALS:
        which = np.unique(np.floor(trials.places / side), axis=0, return_inverse=True)[1].ravel()
        n = np.bincount(which, weights=trials.n).astype(np.float64)
        x, y, height = (
            np.bincount(which, weights=trials.n * one) / n
            for one in (*trials.places.T, trials.height)
        )
        blocks = Trials(np.column_stack([x, y]), height, np.ones_like(n))
        side *= FINER
    return blocks
