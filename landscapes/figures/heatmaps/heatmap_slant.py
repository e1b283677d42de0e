"""Where the cells of a grid lie over the timescale of the decay, instead of over λ.

The timescale is scale/(α^power·λ), so that each row of a grid stands shifted against the one below
it where α multiplies the decay: cells are parallelograms, which tile as the rectangles do, and
lie mirrored. λ = 0, whose timescale is infinite, stands apart on the right.

Shapes: A values of α (rows), L of λ (columns), both ascending.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.figures.heatmaps.heatmap_refinement import lines
from landscape_study.landscapes.figures.style import decimal
from landscape_study.landscapes.reading.landscape import Floats, Landscape, RowCol
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.timescale import Timescale
from landscape_study.study.spec.grid import Axis

TITLE = "timescale of the decay (epochs)"
GAP = 0.35  # columns between the others and λ = 0
CLOSE = 0.7  # columns before that gap, where no tick stands
INFINITE = "∞"
TICKS = 8  # at most
FEWEST = 2  # ticks
EVERY = (1, 3)  # of a decade, where powers of ten are few
FINER = ((1, 2, 5), (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8))  # where these are, too

Corners = tuple[tuple[float, float], ...]
Places = tuple[Corners, ...]  # two for each cell, [A][L]


@dataclass(frozen=True)
class Slant:
    """Where cells lie, in columns and rows: a column is the usual step of λ.

    Attributes:
        left: of each cell at its lower and at its upper side, [A][L]; `right` likewise.
        sides: how high its lower and its upper side are, [A][L].
        ticks: on the axis, and what stands there.
        length: of the axis.
    """

    left: Places
    right: Places
    sides: Places
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    length: float

    def corners(self, cell: RowCol, inset: float = 0.0) -> Corners:
        """Of a cell, from the lower left one around it."""
        row, col = cell
        (a, b), (c, d), (low, high) = (
            table[row][col] for table in (self.left, self.right, self.sides)
        )
        inset *= high - low
        low, high = low + inset, high - inset
        return (a + inset, low), (c - inset, low), (d - inset, high), (b + inset, high)

    def center(self, place: tuple[float, float]) -> tuple[float, float]:
        """The middle of a cell, or a place between cells: x, y."""
        across = np.mean([self.left, self.right], axis=(0, 3))
        return _between(across, place), _between(np.mean(self.sides, axis=2), place)


def _between(table: Floats, place: tuple[float, float]) -> float:
    """What is between the entries of a table [A, L]."""
    row, col = place
    of_rows = [float(np.interp(col, np.arange(table.shape[1]), one)) for one in table]
    return float(np.interp(row, np.arange(len(of_rows)), of_rows))


def slant(landscape: Landscape) -> Slant:
    """Say where the cells of a landscape lie over their timescale.

    Raises:
        UsageError: the timescale is not known, or no cell has a finite one.
    """
    own, grid = _required(landscape), landscape.grid
    octaves = np.log2(grid.columns.positive)
    zeros = len(grid.columns.values) - octaves.size
    step = float(np.median(np.diff(octaves))) if octaves.size > 1 else 1.0
    rows, columns = lines(landscape.rows, grid.rows), lines(landscape.columns, grid.columns)
    half = np.minimum.outer(rows.sizes, columns.sizes) / 2  # of cells
    ends = np.array([-1.0, 1.0])[:, None, None]
    up = np.array(rows.middles)[:, None] + ends * half  # lower and upper side, [2, A, L]
    across = np.array(columns.middles) - columns.first + ends * half
    alphas, lambdas = _octaves(grid.rows, up), _octaves(grid.columns, across)
    # Left and right ends of both sides, [2, A, L, 2]: the larger λ, the further to the left.
    places = -(own.power * np.moveaxis(alphas, 0, -1) + lambdas[::-1, ..., None]) / step
    places = places[:, :, zeros:]
    start, reach = float(places.min()), float(np.ptp(places))

    def placed(end: int) -> Places:
        zero = ((reach + GAP + end,) * 2,) * zeros
        return tuple(zero + tuple(map(tuple, row)) for row in (places[end] - start).tolist())

    def epochs(place: float) -> float:
        return float(own.scale * 2 ** (step * (place + start)))

    ticks = _round_values(epochs(0.0), epochs(reach - CLOSE * zeros))
    at = [math.log2(value / own.scale) / step - start for value in ticks]
    return Slant(
        left=placed(0),
        right=placed(1),
        sides=tuple(tuple(map(tuple, row)) for row in np.moveaxis(up, 0, -1).tolist()),
        ticks=(*at, *[reach + GAP + 0.5] * zeros),
        labels=(*map(decimal, ticks), *[INFINITE] * zeros),
        length=reach + (GAP + 1) * zeros,
    )


def _octaves(axis: Axis, places: Floats) -> Floats:
    """log2 of what lies at places, in steps from the lower border of the first positive value."""
    borders = _borders(axis)
    return np.asarray(np.interp(places, np.arange(borders.size), borders))


def slant_obstacle(landscape: Landscape) -> str | None:
    """Say why cells cannot be placed by their timescale, if so."""
    if not landscape.is_usual:
        return f"its axes are {' and '.join(landscape.symbols)}, not α and λ"
    if landscape.timescale is None:
        return (
            "how long its weights remember is not known, since it was trained elsewhere or by a "
            "former version"
        )
    if landscape.is_scattered:
        return "its trials lie scattered, in no rows"
    if not landscape.columns.positive:
        return "all its λ are 0, without a timescale"
    return None


def _required(landscape: Landscape) -> Timescale:
    """Its timescale, if cells can be placed by it."""
    if why := slant_obstacle(landscape):
        name = landscape.panel or landscape.title
        raise UsageError(f"panel '{name}': {why}: draw it over λ")
    assert landscape.timescale is not None
    return landscape.timescale


def _borders(axis: Axis) -> Floats:
    """log2 of what lies between the positive values of an axis, and beyond its ends."""
    octaves = np.log2(axis.positive)
    if octaves.size == 1:
        return octaves[0] + np.array([-0.5, 0.5])
    between = (octaves[1:] + octaves[:-1]) / 2
    ends = 2 * octaves[[0, -1]] - between[[0, -1]]
    return np.concatenate([ends[:1], between, ends[1:]])


def _round_values(low: float, high: float) -> list[float]:
    """Round values from `low` to `high`: powers of ten, their triples, or more on a short axis."""
    usual, few, *many = (_multiples(one, low, high) for one in (EVERY, EVERY[:1], *FINER))
    if len(usual) > TICKS:
        return few
    return next((found for found in (usual, *many) if len(found) >= FEWEST), many[-1])


def _multiples(steps: tuple[float, ...], low: float, high: float) -> list[float]:
    """Of powers of ten, those from `low` to `high`."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [value for value in values if low <= value <= high]
