"""What a landscape advises: which cell to take, and what tuning one at a time would find.

Shapes: A values of α (rows), L values of λ (columns), both ascending. A cell is (row, column).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from landscape_study.landscapes.reading.landscape import Floats, Landscape, RowCol, top_cells
from landscape_study.landscapes.statistics.interpolation import interpolated
from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.spec.metric import SPAN


@dataclass(frozen=True)
class Recommendation:
    """A cell that is as good as the best within the noise, amid good neighbours if any."""

    cell: RowCol
    error: float  # value of the metric
    above: float  # how much worse than the best cell, in the metric's unit, as the rest
    neighbours: int  # how many there are, of 8
    mean_rise: float  # mean over the neighbours; diverged ones count as the span
    worst_rise: float  # of the worst neighbour; inf if it diverged


@dataclass(frozen=True)
class TuningPath:
    """Tuning λ at a fixed α, then α at the λ that was found."""

    start: int  # row: the α that is held first
    turn: RowCol  # the best λ there
    end: RowCol  # the best α at that λ
    cost: float  # over the best cell with λ > 0, in the metric's unit


def usable(landscape: Landscape) -> Floats:
    """Costs to choose by, [A, L]: NaN where missing, inf where any seed diverged."""
    return np.where(landscape.diverged > 0, np.inf, landscape.cost)


def recommend(
    landscape: Landscape, noise: float = 0.0, units: Units = PERCENT
) -> Recommendation | None:
    """Choose the cell with the best neighbourhood among those as good as the best.

    As good is what lies within one standard error of it, the one-standard-error rule of
    Breiman et al., "Classification and Regression Trees" (1984). Scattered cells have no
    neighbours, and chosen ones good ones only: there it is the one where the surface between
    them is best.

    Args:
        landscape: to choose from; λ = 0 has neighbours of other α only.
        noise: standard error of a cell's mean, in the metric's unit; 0 or NaN takes the best cell
            itself.
        units: of the landscape.

    Returns:
        None where no cell finished without diverging.
    """
    best = top_cells(landscape, 1)
    if not best:
        return None
    error = usable(landscape)
    lowest = error[best[0]]
    tied = np.argwhere(error <= lowest + np.nan_to_num(noise))
    span = SPAN * units.size
    if landscape.is_scattered or landscape.is_chosen:
        tied = tied[[_lowest_between(landscape, tied)]]
    candidates = [
        _judge(landscape, error, (int(row), int(col)), lowest, span) for row, col in tied
    ]
    return min(
        candidates,
        key=lambda one: (not one.neighbours, one.mean_rise + one.above, one.above, one.cell),
    )


def _lowest_between(landscape: Landscape, cells: npt.NDArray[np.intp]) -> int:
    """Which of the cells [K, 2] lies where the surface between all is lowest.

    Of cells with λ = 0, and where there is no surface, it is their own cost that counts.
    """
    cost, seen = landscape.cost[tuple(cells.T)], interpolated(landscape)
    x, y = landscape.octaves
    within = np.isfinite(y[cells[:, 1]])
    if len(seen.draws) and within.any():
        at = np.stack([x[cells[:, 0]], y[cells[:, 1]]], axis=-1)[within]
        cost[within] = seen.units.size * seen.at(at)
    return int(cost.argmin())


def _judge(
    landscape: Landscape, error: Floats, cell: RowCol, lowest: float, span: float
) -> Recommendation:
    around = _neighbours(landscape, error, cell)
    rises = around - error[cell]
    return Recommendation(
        cell=cell,
        error=float(landscape.error[cell]),
        above=float(error[cell] - lowest),
        neighbours=around.size,
        mean_rise=float(np.minimum(rises, span).mean()) if around.size else 0.0,
        worst_rise=float(rises.max(initial=0.0)),
    )


def _neighbours(landscape: Landscape, error: Floats, cell: RowCol) -> Floats:
    """Errors of the up to eight cells around one; λ = 0 is infinitely far from every other λ.

    Scattered cells have none: what is next on an axis may be far away.
    """
    if landscape.is_scattered:
        return np.empty(0)
    row, col = cell
    zero = landscape.has_zero
    found = [
        error[r, c]
        for r in range(max(row - 1, 0), min(row + 2, error.shape[0]))
        for c in range(max(col - 1, 0), min(col + 2, error.shape[1]))
        if (r, c) != cell and not (zero and (c == 0) != (col == 0)) and not np.isnan(error[r, c])
    ]
    return np.array(found, dtype=np.float64)


def tuning_paths(landscape: Landscape) -> tuple[TuningPath, ...]:
    """Tuning one at a time from every α that allows it, in ascending order of the cost.

    λ = 0 is left out, as in `statistics.coupling.regrets`, and so are cells beside the grid, whose
    lines have few others. Scattered cells allow none: of one α there is one λ. Nor do chosen ones:
    of each α there are those λ that are good.
    """
    if landscape.is_scattered or landscape.is_chosen:
        return ()
    known = ~np.isnan(landscape.error) & landscape.on_grid
    error = np.where(known, usable(landscape), np.inf)
    error[:, np.isneginf(landscape.octaves[1])] = np.inf
    if not np.isfinite(error).any():
        return ()
    paths = []
    for start in np.flatnonzero(np.isfinite(error.min(axis=1))).tolist():
        col = int(error[start].argmin())
        row = int(error[:, col].argmin())
        cost = float(error[row, col] - error.min())
        paths.append(TuningPath(start, (start, col), (row, col), cost))
    return tuple(sorted(paths, key=lambda path: (path.cost, path.start)))


def typical_paths(paths: tuple[TuningPath, ...]) -> tuple[TuningPath, ...]:
    """The cheapest, the median and the dearest path, as far as they differ."""
    if not paths:
        return ()
    places = (0, len(paths) // 2, len(paths) - 1)
    return tuple(dict.fromkeys(paths[place] for place in places))
