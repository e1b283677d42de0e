"""Studies refined: cells between their best ones, at half the step that is there.

Around each of the best cells lie eight places, one step away in α, λ or both; likewise of
other axes. Those without a cell are added; where each has one, those of half a step. Of a grid a
step is the way from one value of an axis to the next, in log; of cells that lie scattered it is
half an octave.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from landscape_study.landscapes.growing.known_best import require_known_best
from landscape_study.landscapes.reading.landscape import Floats, Landscape, RowCol, top_cells
from landscape_study.landscapes.reading.panel_axes import octaves as log2_measured
from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.landscapes.statistics.edges import usual_top
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.cell_numbers import number_of
from landscape_study.study.spec.grid import SHARE_DIGITS, Axis, Cell, Grid, in_few_digits
from landscape_study.study.store import Store
from landscape_study.study.validation import names_of

NOTHING_BETWEEN = (
    "study {name}: nothing lies between the best cells; --top takes more of them, and extend goes "
    "beyond the grid"
)
HALF_OCTAVE = 0.5
FINEST = 1 / 64  # of a step, or an octave
SAME = FINEST / 8  # apart: places of one value, rounded
AROUND = np.array([way for way in itertools.product((-1.0, 0.0, 1.0), repeat=2) if any(way)])

Places = Floats  # [..., 2] of α and of λ, in steps or octaves


def cells_to_refine(
    store: Store, name: str, panels: Sequence[str] = (), top: int | None = None
) -> dict[str, tuple[Cell, ...]]:
    """The cells to add around the best ones, by panel; of those that have such places.

    Args:
        store: where the study is.
        name: of the study.
        panels: these only, if any are named.
        top: how many best cells to look at; as many as heatmaps circle if None.

    Raises:
        UsageError: the panels are unfinished, or a witness disagrees, so that nobody knows where
            their best cells lie; an impossible count; the database holds no such study.
        SpecError: the study has no such panel.
    """
    if top is not None and top < 1:
        raise UsageError(f"top = {top}: give a whole number of 1 or more")
    study = store.study(name)
    chosen = [study.panel(panel) for panel in names_of(panels)] or study.panels
    names = [panel.name for panel in chosen]
    require_known_best(store, name, names, "another --panel")
    landscapes = zip(chosen, study_landscapes(store, name, names), strict=True)
    found = {panel.name: cells_between(one, panel.grid, top) for panel, one in landscapes}
    return {name: cells for name, cells in found.items() if cells}


def refining_line(cells: dict[str, tuple[Cell, ...]]) -> str:
    """What is refined, in a sentence."""
    counts = (f"{panel} by {len(own)} cells" for panel, own in cells.items())
    return f"refining {', '.join(counts)}"


def cells_between(landscape: Landscape, grid: Grid, top: int | None = None) -> tuple[Cell, ...]:
    """The cells to add around the best ones of a landscape, ascending.

    Args:
        landscape: finished.
        grid: of its panel.
        top: how many best cells to look at, λ = 0 left out; as many as heatmaps circle if None.
    """
    is_scattered = landscape.is_scattered
    up, across = (
        _Axis(name, axis, known, is_scattered=is_scattered)
        for name, axis, known in zip(
            grid.names,
            (grid.rows, grid.columns),
            (landscape.rows, landscape.columns),
            strict=True,
        )
    )

    def places(cells: Iterable[RowCol]) -> Places:
        found = np.array([(up.places[row], across.places[col]) for row, col in cells])
        return found[np.isfinite(found).all(axis=1)] if len(found) else np.empty((0, 2))

    best = places(top_cells(landscape, landscape.error.size))[: top or usual_top(landscape)]
    there = places((row, col) for row, col in np.argwhere(landscape.is_cell).tolist())
    if not is_scattered:
        of_grid = np.stack(np.meshgrid(up.steps, across.steps, indexing="ij"), axis=-1)
        there = np.concatenate([there, of_grid.reshape(-1, 2)])
    ends = np.array([up.ends, across.ends]).T
    new = _between(best, there, ends, HALF_OCTAVE if is_scattered else None)
    cells = {grid.cell(up.value(x), across.value(y)) for x, y in new.tolist()}
    return tuple(sorted(cell for cell in cells if not grid.has(cell)))


class _Axis:
    """The values of an axis as places: in steps of a grid's, or in octaves.

    Attributes:
        places: of all values that there are; NaN for λ = 0 beside others.
        steps: of the values of the grid, if places are in steps.
        ends: the first and the last place.
    """

    def __init__(self, name: str, grid: Axis, known: Axis, *, is_scattered: bool) -> None:
        self.known, self.number = known.values, number_of(name, grid.values)
        of_grid, octaves = log2_measured(name, grid.values), log2_measured(name, known.values)
        positive = of_grid[np.isfinite(of_grid)]
        self.octaves = positive if positive.size else np.zeros(1)
        self.steps = np.arange(float(self.octaves.size))
        self.is_scattered, self.is_zero = is_scattered, not positive.size
        if self.is_zero:
            octaves = np.where(np.isfinite(octaves), np.nan, 0.0)
        self.places = octaves if is_scattered else np.interp(octaves, self.octaves, self.steps)
        self.places = np.where(np.isfinite(octaves), self.places, np.nan)
        line = self.octaves if is_scattered else self.steps
        self.ends = float(line[0]), float(line[-1])

    def value(self, place: float) -> float:
        """The value at a place: one that is there already, or else one of few digits."""
        if self.is_zero:
            return 0.0
        away = np.abs(self.places - place)
        if np.nanmin(away) < SAME:
            return self.known[int(np.nanargmin(away))]
        octave = place if self.is_scattered else np.interp(place, self.steps, self.octaves)
        value = self.number.value(float(2**octave))
        if self.number.whole:
            return float(round(value))
        if self.number.scale == "share":
            return round(1 - in_few_digits(1 - value), SHARE_DIGITS)
        short = in_few_digits(value)
        step = 1.0 if self.is_scattered else float(np.diff(self.octaves).min())
        return short if abs(math.log2(short / value)) < SAME * step else value


def _between(best: Places, there: Places, ends: Places, first: float | None) -> Places:
    """Places around the best ones where there is none, [K, 2].

    Args:
        best: [B, 2].
        there: [N, 2], the best ones too.
        ends: first and last place of either axis, [2, 2].
        first: step at which to look; the way to the nearest neighbour, at most 1, if None.
    """
    found = np.empty((0, 2))
    for place in best:
        step = first or _step(place, there)
        while step >= FINEST:
            around = place + step * AROUND
            lattice = np.round(around / step) * step
            around = np.where(np.abs(lattice - around) < SAME, lattice, around)
            around = around[((ends[0] <= around) & (around <= ends[1])).all(axis=1)]
            new = around[_distance(around, there) >= step / 2]
            if len(new):
                found = np.concatenate([found, new[_distance(new, found) >= step / 2]])
                break
            step /= 2
    return found


def _step(place: Places, there: Places) -> float:
    """The way to the nearest neighbour, as a power of two, at most 1."""
    away = np.abs(there - place).max(axis=1)
    nearest = away[away > SAME].min(initial=1.0)
    return float(2.0 ** round(math.log2(nearest)))


def _distance(places: Places, others: Places) -> Floats:
    """From each place [K, 2] to the nearest of the others, [K], the larger of both ways."""
    ways = np.abs(places[:, None] - others[None]).max(axis=-1, initial=0.0)
    return np.asarray(ways.min(axis=1, initial=np.inf))
