"""The surface of a panel: the landscape frame as arrays, and the noise it carries.

What is measured is counted in points, less being better (see `statistics.units`); an error is
such a cost. Shapes: A values of α, L positive values of λ, both ascending in log2; S seeds; R
residuals; B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from landscape_study.landscapes.reading.panel_axes import measured
from landscape_study.landscapes.statistics.filling import Filling, filling
from landscape_study.landscapes.statistics.units import PERCENT, Units, units
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.cell_numbers import USUAL, Names
from landscape_study.study.spec.metric import TEST_ERROR, Metric

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BASIN = 1.0  # points above the best: cells that a user would still call good
FEWEST_RESIDUALS = 4  # below it the noise is unknown
SAME = 1e-9  # relative; a database may hand a float back with its last digits rounded


@dataclass(frozen=True, eq=False)
class Surface:
    """A panel's costs on the log2 grid; λ = 0 is left out. Its arrays are read-only.

    Of other axes than α and λ likewise; of a share such as β2 it is log2 of 1/(1 − β2).
    """

    rows: Floats  # [A] log2, of α
    columns: Floats  # [L] log2, of λ
    error: Floats  # [A, L] points, mean over seeds; NaN where missing, inf where diverged
    n: Ints  # [A, L] finished seeds
    residuals: Floats  # [R] points, of single runs; empty where the noise is unknown
    units: Units = PERCENT
    filling: Filling | None = None  # of a refined grid: where its values are interpolated
    names: Names = USUAL  # of the axes

    is_interpolated: ClassVar[bool] = False  # whether its values lie between those of trials

    def __post_init__(self) -> None:
        for array in (self.rows, self.columns, self.error, self.n, self.residuals):
            array.setflags(write=False)

    @property
    def best(self) -> float:
        """The lowest error, points; NaN where there is none."""
        known = self.error[np.isfinite(self.error)]
        return float(known.min()) if known.size else float("nan")

    @property
    def is_result(self) -> Mask:
        """Which values are those of cells that did not diverge, [A, L]."""
        return np.isfinite(self.error) & (self.n > 0)

    @property
    def observed(self) -> tuple[int, int, float]:
        """Cells with a result that did not diverge, most seeds of any, and the best in points."""
        return int(self.is_result.sum()), int(self.n.max(initial=0)), self.best

    @property
    def of_grid(self) -> Surface:
        """The surface without the cells beside its grid, and without what is interpolated."""
        if self.filling is None:
            return self
        keep = self.filling
        return replace(
            self,
            rows=self.rows[keep.rows],
            columns=self.columns[keep.columns],
            error=keep.of_grid(self.error),
            n=keep.of_grid(self.n),
            filling=None,
        )

    @property
    def border(self) -> int:
        """Steps from its end that still are the border of what was trained."""
        return 1

    @property
    def noise(self) -> float:
        """Standard error of a cell's mean, points, root mean square over the cells.

        NaN where the noise is unknown.
        """
        if not self.residuals.size:
            return float("nan")
        n = self.n[self.is_result]
        return float(self.residuals.std() * np.sqrt(np.mean(1 / n)))

    def counted_in(self, units: Units) -> Surface:
        """The same in other points."""
        times = self.units.size / units.size
        return replace(
            self, error=times * self.error, residuals=times * self.residuals, units=units
        )

    def replicates(self, count: int, rng: np.random.Generator) -> Floats:
        """The surface with fresh noise added, [B, A, L]."""
        noisy = with_noise(self.error, self.n, self.residuals, count, rng)
        return noisy if self.filling is None else self.filling(noisy)


def with_noise(
    error: Floats, n: Ints, residuals: Floats, count: int, rng: np.random.Generator
) -> Floats:
    """Errors [...] of cells with fresh noise added, [B, ...]: per cell the mean of n residuals.

    Residuals [R] are drawn for each cell on its own. Drawing whole seeds, the same for all cells,
    has ten different outcomes with three seeds and gave intervals that missed the truth twice as
    often in simulations; and single cells' errors hardly share noise.
    """
    most = max(int(n.max(initial=0)), 1)
    total = np.zeros((count, *error.shape))
    for draw in range(most):
        drawn = rng.choice(residuals, size=total.shape)
        total += np.where(draw < n, drawn, 0.0)
    return np.asarray(error + total / np.maximum(n, 1), dtype=np.float64)


def surface(
    frame: pd.DataFrame, *, span: float, metric: Metric = TEST_ERROR, names: Names = USUAL
) -> Surface:
    """Read a surface off a landscape frame.

    Args:
        frame: one row per cell and seed of one panel, finished or not. Columns: alpha, lambda
            (or what its axes are), the metric's name (NaN for a masked cell); where they are
            there, also seed, state ("finished" and "pruned" count), diverged, clipped (the truth
            is at least this bad), extra (whether the cell lies beside the grid).
        span: points above the best beyond which cells tell nothing about the noise.
        metric: what was measured.
        names: of the axes.

    Raises:
        UsageError: a column is missing or holds text, the frame holds several panels or
            studies, or a cell twice.
    """
    frame, upwards, across = placed_rows(frame, metric, names)
    (each_row, rows), (each_col, cols), seeds = _axis(upwards), _axis(across), row_seeds(frame)
    runs = np.full((seeds.max(initial=-1) + 1, each_row.size, each_col.size), np.nan)
    require_once(frame, names, seeds, rows, cols)
    runs[seeds, rows, cols] = row_costs(frame, metric, names=names)
    n = np.sum(~np.isnan(runs), axis=0).astype(np.int64)
    x, y = np.log2(each_row), np.log2(each_col)
    fill = _refined(frame, rows, cols, x, y)
    place = partial(_surface, x, y, runs, n, span, fill, names)
    means = _means(runs, n)
    # Around the best, refined cells are many: by number they would make the better half of all.
    seen = place(units(means if fill is None else fill.of_grid(means), metric))
    raised = seen.units.above(seen.noise)
    return seen if raised == seen.units else place(raised)


def _refined(frame: pd.DataFrame, rows: Ints, cols: Ints, x: Floats, y: Floats) -> Filling | None:
    """How to fill the grid of the frame's cells, if it is a refined one."""
    extra = are_extra(frame)
    if not extra.any():
        return None
    cells, of_grid = np.zeros((2, x.size, y.size), dtype=bool)
    cells[rows, cols] = True
    of_grid[rows[~extra], cols[~extra]] = True
    return filling(cells, of_grid, x, y)


def are_extra(frame: pd.DataFrame) -> Mask:
    """Which rows are of cells beside the grid, [rows]."""
    if "extra" not in frame:
        return np.zeros(len(frame), dtype=bool)
    return np.asarray(frame["extra"].isin([True]).to_numpy())


def placed_rows(
    frame: pd.DataFrame, metric: Metric, names: Names = USUAL
) -> tuple[pd.DataFrame, Floats, Floats]:
    """The rows of a landscape frame with λ > 0, and their α and λ as measured, [rows] each.

    Raises:
        UsageError: as `surface`.
    """
    _check(frame, metric, names)
    numbers = pd.DataFrame({name: _numbers(frame, name) for name in names})
    x, y = (measured(numbers, name) for name in names)
    placed = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    return frame[placed], x[placed], y[placed]


def require_once(
    frame: pd.DataFrame,
    names: Names,
    seeds: Ints,
    rows: npt.NDArray[Any],
    cols: npt.NDArray[Any],
) -> None:
    """Refuse a cell that stands twice with one seed; all are [rows of the frame]."""
    again = pd.DataFrame({"seed": seeds, "row": rows, "col": cols}).duplicated().to_numpy()
    if again.any():
        cell = ", ".join(f"{name} = {_numbers(frame, name)[again][0]:g}" for name in names)
        raise UsageError(
            f"the frame holds the cell {cell} twice with one seed: select the rows of one study, "
            "or name the seeds in a column seed"
        )


def _surface(
    x: Floats,
    y: Floats,
    runs: Floats,
    n: Ints,
    span: float,
    fill: Filling | None,
    names: Names,
    scale: Units,
) -> Surface:
    """The surface of runs, [S, A, L], whose costs are counted in the points of `scale`."""
    runs = scale.points(runs)
    error = _means(runs, n)
    residuals = _residuals(runs, error, n, span, x, y, fill)
    error = error if fill is None else fill(error)
    return Surface(x, y, error, n, residuals, scale, fill, names)


def _means(runs: Floats, n: Ints) -> Floats:
    """Mean over the seeds, [A, L]; NaN where none finished."""
    return np.where(n > 0, np.nansum(runs, axis=0), np.nan) / np.maximum(n, 1)


def _check(frame: pd.DataFrame, metric: Metric, names: Names) -> None:
    lacking = [c for c in (*names, metric.name) if c not in frame]
    if lacking:
        raise UsageError(
            f"the frame has no column {', '.join(lacking)}: give the cells of one panel, such as "
            "cells[cells['panel'] == 'adamw'] of cells_frame(store, name)"
        )
    for column, word in (("panel", "panels"), ("study", "studies")):
        found = sorted(map(str, set(frame[column]))) if column in frame else []
        if len(found) > 1:
            raise UsageError(
                f"the frame holds the {word} {', '.join(found)}, expected one: select its rows "
                "first"
            )


def _numbers(frame: pd.DataFrame, column: str) -> Floats:
    """A column as floats, [rows]; NaN where there is none."""
    try:
        numbers = pd.to_numeric(frame[column])
    except (TypeError, ValueError) as e:
        raise UsageError(f"column {column} of the frame: expected numbers, {e}") from e
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan, copy=True))


def row_seeds(frame: pd.DataFrame) -> Ints:
    """Which seed each row is of, [rows], from 0; all the same where the frame has no seeds."""
    if "seed" not in frame:
        return np.zeros(len(frame), dtype=np.int64)
    return pd.factorize(frame["seed"], use_na_sentinel=False)[0].astype(np.int64)


def _axis(values: Floats) -> tuple[Floats, Ints]:
    """The distinct values, and which of them each entry is."""
    distinct, place = np.unique(values, return_inverse=True)
    new = np.diff(distinct, prepend=0) > SAME * distinct
    return distinct[new], (np.cumsum(new) - 1)[place]


def row_costs(
    frame: pd.DataFrame, metric: Metric, *, bounds: bool = False, names: Names = USUAL
) -> Floats:
    """Cost of each row: NaN unless finished or pruned, inf where it diverged.

    What is clipped tells nothing, NaN, where the same cell finished under another seed. Else it
    counts as inf, or as the bound that it is.
    """
    cost = metric.sign * _numbers(frame, metric.name)
    cost[np.isinf(cost)] = np.inf
    for column in ("diverged",) if bounds else ("diverged", "clipped"):
        if column in frame:
            cost[frame[column].isin([True])] = np.inf
    if "state" in frame:
        cost[~frame["state"].isin(["finished", "pruned"])] = np.nan
    if "clipped" in frame:
        is_clipped = frame["clipped"].isin([True])
        told = (~is_clipped & ~np.isnan(cost)).groupby([frame[n] for n in names])
        cost[is_clipped & told.transform("any")] = np.nan
    return cost


def _residuals(
    runs: Floats,
    error: Floats,
    n: Ints,
    span: float,
    x: Floats,
    y: Floats,
    fill: Filling | None,
) -> Floats:
    """Noise of single runs, [R]: between seeds where there are several, else off the roughness."""
    if not np.isfinite(error).any():
        return np.empty(0)
    excess = error - error[np.isfinite(error)].min()
    for reach in (BASIN, span):  # cells outside the basin are noisier: only if there are too few
        found = _between_seeds(runs[:, excess < reach], error[excess < reach], n[excess < reach])
        if found.size >= FEWEST_RESIDUALS:
            return found
    found = _rough(error, excess < span, x, y)
    if fill is not None:
        good = fill.of_grid(excess < span)
        coarse = _rough(fill.of_grid(error), good, x[fill.rows], y[fill.columns])
        found = np.concatenate([found, coarse])
    found = found * np.sqrt(n.max())
    return found if found.size >= FEWEST_RESIDUALS else np.empty(0)


def _between_seeds(runs: Floats, error: Floats, n: Ints) -> Floats:
    """Deviations from the cells' means, [R], stretched to the variance of single runs."""
    several = n > 1
    stretch = np.sqrt(n / np.maximum(n - 1, 1))
    deviations = (runs - error) * stretch
    found = deviations[:, several].ravel()
    return found[~np.isnan(found)]


def _rough(error: Floats, good: Mask, x: Floats, y: Floats) -> Floats:
    """What no quadratic surface explains of each 3 × 3 block of good cells, [R].

    Immerkær, "Fast Noise Variance Estimation" (1996), for steps of any width: the stencil takes
    out all terms up to x²y and xy² and keeps the variance of independent noise, here that of the
    cells' means.
    """
    if min(error.shape) < 3:
        return np.empty(0)
    blocks = np.lib.stride_tricks.sliding_window_view(np.where(good, error, 0.0), (3, 3))
    whole = np.lib.stride_tricks.sliding_window_view(good, (3, 3)).all(axis=(-2, -1))
    stencil = _curvature(x)[:, None, :, None] * _curvature(y)[None, :, None, :]
    found = (blocks * stencil).sum(axis=(-2, -1))[whole]
    return np.concatenate([found, -found])  # the sign of noise means nothing


def _curvature(axis: Floats) -> Floats:
    """Weights, [values − 2, 3], of squares that sum to 1, under which straight lines give 0."""
    before, after = 1 / np.diff(axis)[:-1], 1 / np.diff(axis)[1:]
    weights = np.stack([before, -(before + after), after], axis=1)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True))
