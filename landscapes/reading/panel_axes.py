"""Where the cells of a panel lie: the axes of its landscape, and places on them.

Shapes: A values of α, L values of λ, both ascending; likewise of other axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from landscape_study.study.spec.cell_numbers import (
    ALPHA,
    NUMBERS,
    USUAL,
    Names,
    Number,
    number_called,
)
from landscape_study.study.spec.grid import SHARE_DIGITS, unrounded
from landscape_study.study.spec.study import Axis, Grid, Panel

MOST_LINES = 512  # values of an axis
STEPS = 64  # equal ones of log, to which more values are moved

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def panel_axes(cells: pd.DataFrame, panel: Panel, *, is_scattered: bool) -> Grid:
    """The axes on which the cells of a panel lie: of its grid, those beside it and a sampler's.

    Args:
        cells: of the panel: alpha, lambda, or what its axes are.
        panel: whose axes they are.
        is_scattered: whether its axes say nothing of where a sampler's cells lie.
    """
    known = panel.grid.lines
    if not panel.asked:
        return known
    rows, columns = (
        _axis(axis, cells[name], is_scattered=is_scattered)
        for name, axis in zip(known.names, (known.rows, known.columns), strict=True)
    )
    return known.with_axes(rows, columns)


def _axis(known: Axis, found: pd.Series, *, is_scattered: bool) -> Axis:
    values = tuple(unrounded(found).values())
    if is_scattered:  # drawn over numbers, not over multiples of the grid's base
        return Axis(values=tuple(dict.fromkeys(values)))
    return known.union(Axis(values=tuple(dict.fromkeys(values)))) if values else known


def are_beside(cells: pd.DataFrame, panel: Panel) -> npt.NDArray[np.bool_]:
    """Which cells of the panel are those beside its grid, [rows]."""
    beside = set(map(panel.grid.place, panel.grid.extra))
    if not beside:
        return np.zeros(len(cells), bool)
    places = zip(*(cells[name] for name in panel.grid.names), strict=True)
    return np.array([one in beside for one in places], bool)


def are_off(cells: pd.DataFrame, grid: Grid) -> npt.NDArray[np.bool_]:
    """Which cells lie on no lines of the grid, [rows]."""
    rows, columns = (cells[name] for name in grid.names)
    return (place(rows, grid.rows) < 0) | (place(columns, grid.columns) < 0)


def cells_of(cells: pd.DataFrame, panel: Panel, axes: Grid) -> Mask | None:
    """Which places on the axes are cells of the panel's design, [A, L]; None if all.

    Args:
        cells: that there are: alpha, lambda, or what its axes are.
        panel: whose they are.
        axes: of its landscape.
    """
    asked = np.zeros((len(axes.rows.values), len(axes.columns.values)), bool)
    known = panel.cells()
    there = cells[list(axes.names)].to_numpy(dtype=float)
    places = np.concatenate([there, np.array([*map(axes.place, known)]).reshape(-1, 2)])
    rows, columns = map(pd.Series, places.T)
    row, col = place(rows, axes.rows), place(columns, axes.columns)
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


def measured(cells: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    """What statistics take log2 of, of the number of that name of cells, [rows]."""
    values = np.asarray(cells[name], dtype=float)
    return values if number_called(name).scale == "log" else 1 / (1 - values)


def octaves(name: str, values: Sequence[float]) -> npt.NDArray[np.float64]:
    """log2 of what statistics measure of a number; −inf where that is 0."""
    with np.errstate(divide="ignore"):
        return np.log2([number_called(name).measured(value) for value in values])


def on_few_lines(cells: pd.DataFrame, names: Names = USUAL) -> pd.DataFrame:
    """The cells, moved to the nearest of equal steps of α and λ where these are many."""
    many = [name for name in names if cells[name].nunique() > MOST_LINES]
    return cells.assign(**{name: stepped(cells[name], number_called(name)) for name in many})


def stepped(values: pd.Series, number: Number = NUMBERS[ALPHA]) -> pd.Series:
    """Positive values moved to equal steps of their logarithm, as it is measured; 0 stays."""
    if number.scale == "share":
        near_measured = stepped(values.map(number.measured))
        return near_measured.map(lambda one: round(number.value(one), SHARE_DIGITS))
    positive = values[values > 0]
    low, high = math.log(positive.min()), math.log(positive.max())
    step = (high - low) / (STEPS - 1)
    near = low + step * np.round((np.log(positive) - low) / step)
    moved = {x: float(f"{math.exp(x):.6g}") for x in set(near)}
    return values.where(values <= 0, near.map(moved))
