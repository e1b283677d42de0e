"""Where the cells of a refined grid lie: those of the grid as ever, the others between them.

A column or row of the grid is one wide; a cell beside the grid lies where its logarithm puts it,
as wide as the step at which it was added. Shapes: A values of α, L of λ, both ascending.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.reading.landscape import Floats, Landscape, RowCol
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
    return Refinement(
        x=lines(landscape.lambda_, grid.lambda_), y=lines(landscape.alpha, grid.alpha)
    )


def lines(axis: Axis, grid: Axis) -> Lines:
    """Place the values of an axis between those of a grid, λ = 0 apart from the others."""
    zeros = len(grid.values) - len(grid.positive)
    gap = GAP if zeros and grid.positive else 0.0
    ticks = np.arange(len(grid.values)) + 0.5 + gap * (np.array(grid.values) > 0)
    steps = _steps(axis, grid) if grid.positive else np.empty(0)
    return Lines(
        middles=(0.5,) * zeros + tuple((steps + zeros + gap + 0.5).tolist()),
        sizes=(1.0,) * zeros + tuple(map(_size, steps.tolist())),
        ticks=tuple(ticks.tolist()),
        first=zeros + gap,
        length=float(ticks[-1]) + 0.5,
    )


def _steps(axis: Axis, grid: Axis) -> Floats:
    """Where the positive values of an axis lie, in steps of a grid's."""
    whole = np.arange(float(len(grid.positive)))
    return np.interp(np.log2(axis.positive), np.log2(grid.positive), whole)


def _size(step: float) -> float:
    """Of a cell at so many steps of the grid: the coarsest step that leads there."""
    found = (size for size in SIZES if abs(step / size - round(step / size)) * size < NEAR)
    return next(found, OTHER)
