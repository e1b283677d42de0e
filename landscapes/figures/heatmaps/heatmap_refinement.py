"""Where the cells of a refined grid lie: those of the grid as ever, the others between them.

A column or row of the grid is one wide; a cell beside the grid lies where its logarithm puts it,
as wide as the step at which it was added. Shapes: A values of α, L of λ, both ascending.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.reading.landscape import Floats, Landscape, RowCol
from landscape_study.landscapes.reading.panel_axes import octaves
from landscape_study.study.spec.cell_numbers import ALPHA
from landscape_study.study.spec.grid import Axis

GAP = 0.35  # columns between λ = 0 and the others
SIZES = (1.0, 1 / 2, 1 / 4, 1 / 8)  # of cells
NEAR = 0.02  # columns: less is rounding
OTHER = 1 / 4  # size of a cell that lies at no such step


@dataclass(frozen=True)
class Lines:
    """The places of an axis.

    Attributes:
        middles: of all values, in columns or rows.
        sizes: of their cells.
        ticks: middles of the values of the grid.
        first: where the first positive value begins.
        length: of the axis.
    """

    middles: tuple[float, ...]
    sizes: tuple[float, ...]
    ticks: tuple[float, ...]
    first: float
    length: float

    def place(self, index: float) -> float:
        """Where a value lies, or what is between two values."""
        return float(np.interp(index, np.arange(len(self.middles)), self.middles))


@dataclass(frozen=True)
class Refinement:
    """Where the cells of a refined grid lie."""

    x: Lines  # of λ
    y: Lines  # of α

    def size(self, cell: RowCol) -> float:
        """How wide and high a cell is."""
        return min(self.y.sizes[cell[0]], self.x.sizes[cell[1]])


def refinement(landscape: Landscape) -> Refinement | None:
    """Say where the cells of a landscape lie; None where all are those of its grid."""
    grid = landscape.grid
    if landscape.on_grid.all():
        return None
    up, across = landscape.names
    return Refinement(
        x=lines(landscape.columns, grid.columns, across), y=lines(landscape.rows, grid.rows, up)
    )


def lines(axis: Axis, grid: Axis, name: str = ALPHA) -> Lines:
    """Place the values of an axis between those of a grid, λ = 0 apart from the others."""
    places, of_grid = octaves(name, axis.values), octaves(name, grid.values)
    is_finite = np.isfinite(of_grid)
    zeros = int((~is_finite).sum())
    gap = GAP if zeros and is_finite.any() else 0.0
    ticks = np.arange(len(grid.values)) + 0.5 + gap * is_finite
    steps = _steps(places[np.isfinite(places)], of_grid[is_finite])
    return Lines(
        middles=(0.5,) * zeros + tuple((steps + zeros + gap + 0.5).tolist()),
        sizes=(1.0,) * zeros + tuple(map(_size, steps.tolist())),
        ticks=tuple(ticks.tolist()),
        first=zeros + gap,
        length=float(ticks[-1]) + 0.5,
    )


def _steps(places: Floats, of_grid: Floats) -> Floats:
    """Where the values of an axis lie, in steps of a grid's; both in octaves."""
    if not of_grid.size:
        return np.empty(0)
    return np.interp(places, of_grid, np.arange(float(of_grid.size)))


def _size(step: float) -> float:
    """Of a cell at so many steps of the grid: the coarsest step that leads there."""
    found = (size for size in SIZES if abs(step / size - round(step / size)) * size < NEAR)
    return next(found, OTHER)
