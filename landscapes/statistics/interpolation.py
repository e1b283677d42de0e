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
import numpy.typing as npt
import pandas as pd

from landscape_study.landscapes.reading.landscape import Landscape, are_scattered
from landscape_study.landscapes.statistics.gaussian_process import (
    KEPT,
    Posterior,
    Trials,
    draw_surfaces,
)
from landscape_study.landscapes.statistics.scattered_design import DIGITS, design_obstacle
from landscape_study.landscapes.statistics.surface import (
    Floats,
    Mask,
    Surface,
    are_extra,
    placed_rows,
    require_once,
    row_costs,
    row_seeds,
    surface,
)
from landscape_study.landscapes.statistics.units import Units, units
from landscape_study.study.spec.cell_numbers import USUAL, Names
from landscape_study.study.spec.metric import SPAN, TEST_ERROR, Metric

DRAWS = 16 * KEPT
MOST_TRIALS = 150  # beyond it some are left out: time grows with the cube
CELLS = 280  # about, of the grid
FEWEST_LINES, MOST_LINES = 7, 48  # values of an axis of the grid
USUAL_LINES = 9  # of a grid that is trained whole
WARP = 2.0  # points above the best trial where heights rise half as fast as there
PLUS_MINUS = np.array([-1.0, 1.0, -1.0, 1.0])  # residuals whose deviation is 1
DOUBT = 0.025  # of the draws, which may lie below a bound that tells nothing
FEWEST = 5  # usable trials that a surface is drawn from
RISE = 1.4  # height from the best trial to the span
FINER = 1.1  # factor by which the blocks of many trials grow until they are few enough


@dataclass(frozen=True, eq=False)
class Interpolation(Surface):
    """A surface between trials: medians of its draws; inf where they reach the span."""

    # [B, A, L] points; none where there are too few trials.
    draws: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    trials: int = 0  # with a result that did not diverge
    runs: int = 0  # most of any trial
    lowest: float = float("nan")  # points, of the trials
    obstacle: str | None = None  # why such trials cannot tell whether α and λ are coupled

    is_interpolated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.draws.setflags(write=False)

    @property
    def observed(self) -> tuple[int, int, float]:
        """Trials with a result, most runs of any, and the best of them in points."""
        return self.trials, self.runs, self.lowest

    @property
    def border(self) -> int:
        """As many as are a step of a usual grid."""
        return max(round(min(self.error.shape) / USUAL_LINES), 1)

    def counted_in(self, units: Units) -> Interpolation:
        """The same in other points; what reached the span does so still."""
        times = self.units.size / units.size
        lowest = times * self.lowest
        error, draws = (
            np.where(times * one < lowest + SPAN, times * one, np.inf)
            for one in (self.error, self.draws)
        )
        return replace(
            self,
            error=error,
            draws=draws,
            lowest=lowest,
            residuals=times * self.residuals,
            units=units,
        )

    def at(self, places: Floats) -> Floats:
        """Points at places [K, 2] by bilinear interpolation, [K]; at most the worst known cell's.

        Places beyond the grid count as on its border.
        """
        known = np.isfinite(self.error)
        surface = np.where(known, self.error, self.error[known].max(initial=self.lowest))
        (row, up), (col, right) = (
            _step(axis, place)
            for axis, place in zip((self.rows, self.columns), places.T, strict=True)
        )
        below, above = (
            (1 - right) * surface[one, col] + right * surface[one, col + 1]
            for one in (row, row + 1)
        )
        return np.asarray((1 - up) * below + up * above)

    def replicates(self, count: int, rng: np.random.Generator) -> Floats:
        """So many of the draws, [count, A, L], in random order."""
        few = len(self.draws) < count
        return np.asarray(self.draws[rng.choice(len(self.draws), count, replace=few)])


def _step(axis: Floats, places: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Between which value of an ascending axis and the next places lie, and how far, 0 to 1."""
    index = np.interp(places, axis, np.arange(axis.size))
    start = np.minimum(index.astype(np.intp), axis.size - 2)
    return start, index - start


@dataclass(frozen=True)
class _Table:
    """Trials as what can be a key.

    Each is log2 of α and of λ (or what the axes are), cost in the metric's unit, runs, and 1
    where the cost is only known to be no less, else 0.
    """

    rows: tuple[tuple[float, ...], ...]
    metric: Metric
    names: Names = USUAL

    @property
    def columns(self) -> Floats:
        """The same as an array, [5, N]."""
        return np.array(self.rows, dtype=np.float64).reshape(-1, 5).T


def panel_surface(
    frame: pd.DataFrame, *, span: float, metric: Metric = TEST_ERROR, names: Names = USUAL
) -> Surface:
    """The surface of a landscape frame: of its cells, or interpolated where these are scattered.

    Refined grids are not scattered, whatever share of their lines is filled; a part of a grid that
    was refined is. Arguments and errors as of `surface`.
    """
    placed, x, y = placed_rows(frame, metric, names)
    if are_extra(placed).any():
        seen = surface(placed, span=span, metric=metric, names=names)
        if seen.filling is not None:
            return seen
    elif not are_scattered(x, y):
        return surface(placed, span=span, metric=metric, names=names)
    return _interpolated(_placed_table(placed, x, y, metric, names), span)


def _placed_table(
    frame: pd.DataFrame, upwards: Floats, across: Floats, metric: Metric, names: Names
) -> _Table:
    """The trials of the rows that `placed_rows` gives.

    What is clipped tells nothing where the same trial finished under another seed.
    """
    runs = pd.DataFrame(_octaves(upwards, across), columns=["x", "y"])
    require_once(frame, names, row_seeds(frame), runs["x"].to_numpy(), runs["y"].to_numpy())
    runs["cost"] = row_costs(frame, metric, bounds=True, names=names)
    runs["clipped"] = frame["clipped"].isin([True]).to_numpy() if "clipped" in frame else False
    trials = (
        runs.dropna()
        .groupby(["x", "y"], as_index=False)
        .agg(cost=("cost", "mean"), n=("cost", "size"), clipped=("clipped", "max"))
    )
    return _table(trials.to_numpy(dtype=float), metric, names)


@dataclass(frozen=True, eq=False)
class Foretold:
    """What trials say of places, whether anything was tried there or not.

    Attributes:
        heights: draws [B, M], on the scale on which noise is even (see `_height`).
        noise: standard deviation of a run at the best trial, in heights.
        units: of the points.
    """

    heights: Floats
    noise: float
    units: Units

    @property
    def excess(self) -> Floats:
        """The same as points above the best trial, [B, M]; inf from the span on."""
        points = _excess(self.heights, SPAN)
        return np.where(points < SPAN, points, np.inf)

    @property
    def noises(self) -> Floats:
        """Standard deviation of a run at each place, in heights, [M]."""
        middle = np.clip(_excess(np.median(self.heights, axis=0), SPAN), 0.0, SPAN)
        return np.asarray(self.noise / np.sqrt(1 + middle / WARP))


def foretell(
    frame: pd.DataFrame,
    metric: Metric,
    places: Floats,
    count: int,
    rng: np.random.Generator,
    names: Names = USUAL,
) -> Foretold:
    """Draw `count` surfaces, a multiple of KEPT, at places [M, 2] in octaves.

    Args:
        frame: a landscape frame with at least FEWEST usable trials; see `panel_surface`.
        metric: what was measured.
        places: log2 α and log2 λ.
        count: of the draws.
        rng: draws them.
        names: of the axes.
    """
    table = _placed_table(*placed_rows(frame, metric, names), metric, names)
    _, _, cost, _, clipped = table.columns
    usable = np.isfinite(cost) & (clipped == 0)
    scale = _units(table, places)

    def drawn(scale: Units) -> Posterior:
        lowest = float(scale.points(cost[usable].min()))
        return draw_surfaces(_noisy_heights(table, scale, lowest, SPAN), places, count, rng)

    known = drawn(scale)
    raised = scale.above(_run_noise(known, SPAN))
    if raised != scale:
        scale, known = raised, drawn(raised)
    return Foretold(known.draws, known.noise, scale)


def _run_noise(known: Posterior, span: float) -> float:
    """Of a run at the best trial, points."""
    return float(known.noise * np.log1p(span / WARP) / RISE * WARP)


def interpolated(landscape: Landscape) -> Interpolation:
    """The surface between the cells of a landscape with λ > 0, however many it has.

    Pruned ones are no better than their values.
    """
    up, across = (2.0**one for one in landscape.octaves)
    row, col = np.nonzero((landscape.n > 0) & (across > 0))
    cost = np.where(landscape.diverged > 0, np.inf, landscape.cost)[row, col]
    places, n = _octaves(up[row], across[col]), landscape.n[row, col]
    rows = np.column_stack([places, cost, n, np.zeros(n.size)])
    stopped = [
        (up[one.cell[0]], across[one.cell[1]], landscape.metric.sign * one.value, one.runs)
        for one in landscape.pruned
        if across[one.cell[1]] > 0
    ]
    if stopped:
        x, y, cost, n = np.array(stopped).T
        rows = np.vstack([rows, np.column_stack([_octaves(x, y), cost, n, np.ones(n.size)])])
    return _interpolated(_table(rows, landscape.metric, landscape.names), SPAN)


def _octaves(upwards: Floats, across: Floats) -> Floats:
    """log2 α and log2 λ of trials, [N, 2]; the same where they differ by rounding only."""
    return np.log2(np.stack([upwards, across], axis=-1)).round(DIGITS)


def _table(rows: Floats, metric: Metric, names: Names) -> _Table:
    """Trials [N, 5] in an order of their own."""
    rows = rows[np.lexsort(rows.T[1::-1])]
    return _Table(tuple(map(tuple, rows.tolist())), metric, names)


@lru_cache(maxsize=16)
def _interpolated(table: _Table, span: float) -> Interpolation:
    """The surface of trials; remembered, since verdict, costs and figures ask for the same."""
    x, y, cost, n, clipped = table.columns
    usable = np.isfinite(cost) & (clipped == 0)
    across, up = _axes(x, y)
    places = _places(across, up)
    scale = _units(table, places)
    plain = Interpolation(
        rows=across,
        columns=up,
        error=np.full((across.size, up.size), np.nan),
        n=np.full((across.size, up.size), round(float(n.mean())) if n.size else 0),
        residuals=np.empty(0),
        units=scale,
        trials=int(usable.sum()),
        runs=int(n.max(initial=0)),
        lowest=float(scale.points(cost[usable].min())) if usable.any() else float("nan"),
        obstacle=scale.constant(scale.points(cost[usable]))
        or design_obstacle(x[usable], y[usable], table.names),
        names=table.names,
    )
    if plain.trials < FEWEST or not min(np.ptp(x), np.ptp(y)) > 0:
        return plain
    usual = _units(replace(table, metric=replace(table.metric, matters=None)), places)
    if scale.matters < usual.matters:
        # Of a narrower span most trials lie beyond: what was fitted then was no bowl, but islands.
        return _fitted(plain.counted_in(usual), table, span).counted_in(scale)
    found = _fitted(plain, table, span)
    raised = scale.above(found.noise)
    return found if raised == scale else _fitted(plain.counted_in(raised), table, span)


def _units(table: _Table, places: Floats) -> Units:
    """The units of trials, of which each counts by the places [M, 2] that it is nearest to.

    Samplers crowd around the best: by number, the better half would be the very best.
    """
    x, y, cost = table.columns[:3, table.columns[4] == 0]
    if not cost.size:
        return units(cost, table.metric)
    nearest = [((x - across) ** 2 + (y - up) ** 2).argmin() for across, up in places]
    return units(cost[nearest], table.metric)


def _fitted(plain: Interpolation, table: _Table, span: float) -> Interpolation:
    """The surface of trials, in points of `plain`, with its draws."""
    trials = _noisy_heights(table, plain.units, plain.lowest, span)
    places = _places(plain.rows, plain.columns)
    known = draw_surfaces(trials, places, DRAWS, np.random.default_rng(0))
    excesses = _excess(known.draws.reshape(DRAWS, *plain.error.shape), span)
    draws = np.where(excesses < span, plain.lowest + excesses, np.inf)
    residuals = _run_noise(known, span) * PLUS_MINUS
    return replace(plain, error=np.median(draws, axis=0), residuals=residuals, draws=draws)


def _noisy_heights(table: _Table, scale: Units, lowest: float, span: float) -> Trials:
    """The trials as heights above the best one, `lowest` in points; few enough of them."""
    x, y, cost, n, clipped = table.columns
    # Rounded, so that a metric in another unit gives the same draws to the last digit.
    excess = np.clip(scale.points(cost) - lowest, 0, span).round(9)
    # In heights the noise of a run falls with √(1 + z/WARP), so that in points it grows with it.
    certain = n * (1 + excess / WARP)
    trials = Trials(np.column_stack([x, y]), _height(excess, span), certain)
    return _thinned(_completed(trials, (clipped == 1) & (excess < span)))


def _completed(trials: Trials, clipped: Mask) -> Trials:
    """With heights of the clipped trials, which are at least as bad as they look.

    A clipped trial counts as what the surface between the others says, if that is worse. Where
    they leave hardly a doubt of its bound, the bound tells nothing, and it is left out.
    """
    if not clipped.any():
        return trials
    rng, at = np.random.default_rng(1), trials.places[clipped]
    known = draw_surfaces(_thinned(trials.only(~clipped)), at, KEPT, rng)
    sure, middle = np.quantile(known.draws, [DOUBT, 0.5], axis=0)
    height, kept = trials.height.copy(), ~clipped
    height[clipped] = np.clip(middle, height[clipped], 0.0)
    kept[clipped] = trials.height[clipped] > sure
    return replace(trials, height=height).only(kept)


def _height(excess: Floats, span: float) -> Floats:
    """−RISE at the best trial to 0 at the span, steeper near the best: log(1 + z/WARP).

    So good cells are foretold better than by z itself: of 9 full grids, from 40 cells of each,
    with a CRPS of 0.134 points instead of 0.157; of all cells with 0.150 instead of 0.152.
    """
    return np.asarray(RISE * (np.log1p(excess / WARP) / np.log1p(span / WARP) - 1))


def _excess(height: Floats, span: float) -> Floats:
    """Points above the best trial of a height."""
    return np.asarray(WARP * np.expm1((height / RISE + 1) * np.log1p(span / WARP)))


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


def _thinned(trials: Trials) -> Trials:
    """At most MOST_TRIALS: where there are more, of each square block that nearest to its middle.

    Blocks are as small as will do. Means over them are less noisy, but bend less than the
    surface: of 100,000 trials they made a tilt of −0.83 one of −0.77, with an interval of ±0.01.
    """
    side = trials.extent / np.sqrt(MOST_TRIALS) / 2
    kept = np.arange(trials.n.size)
    while kept.size > MOST_TRIALS:
        away = np.abs(trials.places / side % 1 - 0.5).max(axis=1)
        nearest = np.argsort(away, kind="stable")
        blocks = np.floor(trials.places[nearest] / side)
        kept = nearest[np.unique(blocks, axis=0, return_index=True)[1]]
        side *= FINER
    return trials.only(kept)
