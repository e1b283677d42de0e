"""Where the cells of a panel lie: the axes of its landscape, and places on them.

Shapes: A values of α, L values of λ, both ascending.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from landscape_study.study.spec.grid import unrounded
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel

MOST_LINES = 512  # values of an axis
STEPS = 64  # equal ones of log, to which more values are moved

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def panel_axes(cells: pd.DataFrame, panel: Panel, *, is_scattered: bool) -> Grid:
    """The axes on which the cells of a panel lie: of its grid, those beside it and a sampler's.

    Args:
        cells: of the panel: alpha, lambda.
        panel: whose axes they are.
        is_scattered: whether its axes say nothing of where a sampler's cells lie.
    """
    known = panel.grid.lines
    if not panel.asked:
        return known
    return Grid(
        alpha=_axis(known.alpha, cells["alpha"], is_scattered=is_scattered),
        lambda_=_axis(known.lambda_, cells["lambda"], is_scattered=is_scattered),
    )


def _axis(known: Axis, found: pd.Series, *, is_scattered: bool) -> Axis:
    values = tuple(unrounded(found).values())
    if is_scattered:  # drawn over numbers, not over multiples of the grid's base
        return Axis(values=tuple(dict.fromkeys(values)))
    return known.union(Axis(values=tuple(dict.fromkeys(values)))) if values else known


def are_beside(cells: pd.DataFrame, panel: Panel) -> npt.NDArray[np.bool_]:
    """Which cells of the panel are those beside its grid, [rows]."""
    beside = set(panel.grid.extra)
    if not beside:
        return np.zeros(len(cells), bool)
    return np.array([one in beside for one in map(Cell, cells["alpha"], cells["lambda"])], bool)


def are_off(cells: pd.DataFrame, grid: Grid) -> npt.NDArray[np.bool_]:
    """Which cells lie on no lines of the grid, [rows]."""
    return (place(cells["alpha"], grid.alpha) < 0) | (place(cells["lambda"], grid.lambda_) < 0)


def cells_of(cells: pd.DataFrame, panel: Panel, axes: Grid) -> Mask | None:
    """Which places on the axes are cells of the panel's design, [A, L]; None if all.

    Args:
        cells: that there are: alpha, lambda.
        panel: whose they are.
        axes: of its landscape.
    """
    asked = np.zeros((len(axes.alpha.values), len(axes.lambda_.values)), bool)
    known = panel.cells()
    alphas = [*cells["alpha"], *(cell.alpha for cell in known)]
    lambdas = [*cells["lambda"], *(cell.lambda_ for cell in known)]
    row, col = place(pd.Series(alphas), axes.alpha), place(pd.Series(lambdas), axes.lambda_)
    on_axes = (row >= 0) & (col >= 0)
    asked[row[on_axes], col[on_axes]] = True
    return None if asked.all() else asked


def place(column: pd.Series, axis: Axis) -> Ints:
    """Index on the axis of every value, [rows]; -1 for a value that is not on it."""
    values = column.to_numpy(dtype=float)
    on_axis = np.array(axis.values)
    above = np.searchsorted(on_axis, values).clip(max=len(on_axis) - 1)
    below = np.maximum(above - 1, 0)
    nearest = np.where(values - on_axis[below] <= on_axis[above] - values, below, above)
    # A database may hand a float back with its last digits rounded.
    exact = np.isclose(on_axis[nearest], values, rtol=1e-9, atol=0.0)
    return np.where(exact, nearest, -1).astype(np.int64)


def on_few_lines(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells, moved to the nearest of equal steps of α and λ where these are many."""
    many = [name for name in ("alpha", "lambda") if cells[name].nunique() > MOST_LINES]
    return cells.assign(**{name: stepped(cells[name]) for name in many})


def stepped(values: pd.Series) -> pd.Series:
    """Positive values moved to equal steps of their logarithm; 0 stays."""
    positive = values[values > 0]
    low, high = math.log(positive.min()), math.log(positive.max())
    step = (high - low) / (STEPS - 1)
    near = low + step * np.round((np.log(positive) - low) / step)
    moved = {x: float(f"{math.exp(x):.6g}") for x in set(near)}
    return values.where(values <= 0, near.map(moved))
