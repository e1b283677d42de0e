"""Refined grids for tests: a grid of octaves, and cells between some of its lines."""

from __future__ import annotations

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.landscape import Landscape, landscape
from landscape_study.study.spec.grid import Axis, Cell, Grid, in_few_digits
from landscape_study.study.spec.study import Panel

GRID = Grid(alpha=Axis.log2(0.1, -4, 0), lambda_=Axis.log2(0.001, -2, 2, zero=True))


def refined_grid(grid: Grid = GRID, step: float = 0.5) -> Grid:
    """With eight cells around α = 0.1/4, λ = 0.001, so many octaves away."""
    ways = (-step, 0.0, step)
    around = [(0.025 * 2**x, 0.001 * 2**y) for x in ways for y in ways if x or y]
    new = (Cell(*map(in_few_digits, cell)) for cell in around)
    return grid.with_extra((*grid.extra, *new))


def bowl(cell: Cell) -> float:
    """2 % at the middle, rising with the octaves from there."""
    if not cell.lambda_:
        return 9.0
    x, y = np.log2(cell.alpha / 0.025), np.log2(cell.lambda_ / 0.001)
    return float(2 + 0.4 * x * x + 0.4 * y * y)


def refined_frame(grid: Grid, error=bowl, *, seeds: int = 1, noise: float = 0.0) -> pd.DataFrame:
    """A landscape frame of all cells of a refined grid; open where the error is NaN."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "panel": "adamw",
            "alpha": cell.alpha,
            "lambda": cell.lambda_,
            "seed": seed,
            "state": "open" if np.isnan(error(cell)) else "finished",
            "test_error": error(cell) + noise * rng.normal(),
            "diverged": False,
            "extra": cell in grid.extra,
        }
        for seed in range(seeds)
        for cell in grid.cells()
    ]
    return pd.DataFrame(rows)


def refined_panel(grid: Grid) -> Panel:
    return Panel(name="adamw", pair="adamw", grid=grid)


def refined_landscape(grid: Grid | None = None, error=bowl, **rest) -> Landscape:
    """The landscape of a refined grid."""
    grid = refined_grid() if grid is None else grid
    return landscape(refined_frame(grid, error, **rest), refined_panel(grid))
