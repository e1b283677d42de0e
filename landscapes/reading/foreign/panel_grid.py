"""The grid of a panel's runs: all values that occur, or equal steps where they are too many."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panel_axes import MOST_LINES, STEPS, stepped
from landscape_study.study.spec.grid import ROUNDING, Axis, Cell, Grid, unrounded


def without_rounding(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, with one value each for α and λ that differ by rounding only."""
    return rows.assign(**{axis: _unrounded(rows[axis]) for axis in ("alpha", "lambda")})


def on_steps(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows, with few enough values on each axis, and what is said of it.

    Runs that come to lie in one cell are further seeds of it.
    """
    said = []
    for axis, symbol in (("alpha", "α"), ("lambda", "λ")):
        count = rows[axis].nunique()
        if count > MOST_LINES:
            rows = rows.assign(**{axis: stepped(rows[axis])})
            said.append(f"{count} different {symbol}: moved to the nearest of {STEPS} equal steps")
    if said:
        again = rows.groupby(["alpha", "lambda", "seed"]).cumcount()
        further = (rows["seed"] + " (" + (again + 1).astype(str) + ")").str.strip()
        rows = rows.assign(seed=rows["seed"].where(again == 0, further))
    return rows, said


def grid_of(rows: pd.DataFrame) -> Grid:
    """The grid of all values that occur; its cells need not be filled."""
    return Grid(
        alpha=_axis(sorted(set(rows["alpha"]))), lambda_=_axis(sorted(set(rows["lambda"])))
    )


def refined_grid(rows: pd.DataFrame) -> Grid:
    """The grid of all values, but those of cells that the rows call beside it, and these.

    Where they cannot be, since the grid does not reach so far, they are the grid's as all others.
    """
    beside = rows["extra"]
    cells = [*map(Cell, rows.loc[beside, "alpha"], rows.loc[beside, "lambda"])]
    if cells and not beside.all():
        grid = grid_of(rows[~beside])
        if all(map(grid.spans, cells)):
            return grid.with_extra(cells)
    return grid_of(rows)


def _unrounded(values: pd.Series) -> pd.Series:
    """As `unrounded`, which need not look at values that lie far from all others."""
    found = np.unique(values)
    near = np.isclose(found[1:], found[:-1], rtol=2 * ROUNDING, atol=0.0)
    some = found[np.append(near, False) | np.insert(near, 0, False)]
    return values.replace(unrounded(some.tolist())) if len(some) else values


def _axis(values: list[float]) -> Axis:
    """The values of an axis; halves, quarters … of the largest are written as such."""
    largest = values[-1] or 1.0
    halved = all(math.log2(value / largest).is_integer() for value in values if value > 0)
    return Axis(values=tuple(values), base=largest if halved else 1.0)
