"""Edges: the borders of a grid on which the best cells lie, so that better ones may lie beyond."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.reading.landscape import Landscape, top_cells
from landscape_study.landscapes.reading.panel_axes import octaves
from landscape_study.study.errors import SpecError
from landscape_study.study.spec.cell_numbers import number_called
from landscape_study.study.spec.command_line import command_line
from landscape_study.study.spec.grid import Grid
from landscape_study.study.spec.study import Study

TOP = 10  # best cells looked at
SAME = 1e-9  # octaves
STRIP = 1 / 8  # of an axis's octaves: a usual step


@dataclass(frozen=True)
class Edge:
    """A border of a panel's grid with some of the best cells on it."""

    panel: str
    axis: str  # the name of its number: "alpha", "lambda", "beta2"
    side: str  # "low" or "high"
    cells: tuple[tuple[int, int], ...]  # the best cells there as (row, column), best first
    top: int  # how many best cells were looked at
    is_quarter: bool = False  # whether these are the best quarter, fewer than were asked for
    of_trials: bool = False  # whether they lie scattered, and so near that border, not on it
    along: int = 0  # 0: its axis is the one upwards, 1: the one to the right

    @property
    def count(self) -> int:
        """How many of the best cells lie there."""
        return len(self.cells)

    @property
    def name(self) -> str:
        """As `landscape extend --side` takes it: "lambda-high"."""
        return f"{self.axis}-{self.side}"

    @property
    def sentence(self) -> str:
        """What is the matter, for people."""
        whose = f" of {self.panel}" if self.panel else ""
        kind, at, axes = ("trial", "near", "axes") if self.of_trials else ("cell", "at", "grid")
        if self.top == 1:
            best = f"the best {kind}{whose} lies"
        else:
            verb = "lies" if self.count == 1 else "lie"
            quarter = f"best quarter{whose}, {self.top} {kind}s,"
            cells = f"{self.top} best {kind}s{whose}"
            best = f"{self.count} of the {quarter if self.is_quarter else cells} {verb}"
        last = "largest" if self.side == "high" else "smallest"
        if self.axis == "lambda" and self.side == "low":
            last = f"{last} positive"
        symbol = number_called(self.axis).symbol
        return f"{best} {at} the {last} {symbol} of the {axes}: better ones may lie beyond"


def usual_top(landscape: Landscape) -> int:
    """How many best cells mean something: ten, or the best quarter of few, but always one."""
    return min(TOP, _quarter(landscape))


def _quarter(landscape: Landscape) -> int:
    """How many cells are the best quarter of those that finished, but always one."""
    return max(len(top_cells(landscape, landscape.error.size)) // 4, 1)


def edges(landscape: Landscape, top: int = TOP) -> tuple[Edge, ...]:
    """The borders on which some of the `top` best cells lie, the most crowded first.

    The rules keep small grids from warning about what they cannot show:

    - Of few cells, most are among the `top`: no more than the best quarter counts, but always
      the best cell. Diverged cells are neither counted nor best.
    - A landscape with missing cells has no edges yet: the best may still come. One whose witness
      disagrees has none to rely on.
    - An axis with one positive value was not asked for a best one, so it has no border.
    - λ = 0 is the end of its axis; the low border of λ is the smallest positive value. Where
      cells at λ = 0 are among the best, smaller λ lead to what is known already.
    - Beyond the largest and smallest numbers (`Axis.extended`) nothing can be gained.

    Cells that lie scattered between the ends of a sampler's axes are on a border where they are
    nearer to it than half a step of the axis, but no farther than a usual step; of what was
    trained elsewhere, nobody knows where the axes ended.
    """
    scattered = landscape.is_scattered
    if not landscape.is_complete or landscape.doubtful or (scattered and not landscape.panel_grid):
        return ()
    best = top_cells(landscape, min(top, _quarter(landscape)))
    found = []
    for name in landscape.grid.sides:
        axis, _, side = name.partition("-")
        along = landscape.names.index(axis)
        border = _border(landscape, along, side)
        cells = tuple(cell for cell in best if cell[along] in border)
        if cells and not (name == "lambda-low" and _best_without_lambda(landscape, best)):
            is_quarter = len(best) < top
            found.append(
                Edge(landscape.panel, axis, side, cells, len(best), is_quarter, scattered, along)
            )
    return tuple(sorted(found, key=lambda edge: (-edge.count, best.index(edge.cells[0]))))


def _best_without_lambda(landscape: Landscape, best: Sequence[tuple[int, int]]) -> bool:
    return landscape.has_zero and any(col == 0 for _, col in best)


def _border(landscape: Landscape, along: int, side: str) -> Sequence[int]:
    """Indices of the values at an end of an axis; none where it cannot or need not go on.

    Args:
        landscape: whose axis it is.
        along: 0 for that upwards, 1 for that to the right.
        side: "low" or "high".
    """
    name, shown, grid = landscape.names[along], landscape.octaves[along], landscape.grid
    if landscape.is_scattered and landscape.panel_grid is not None:
        grid = landscape.panel_grid
    ends = octaves(name, grid.axis(name).values)
    ends = ends[np.isfinite(ends)][:: 1 if side == "high" else -1]
    if not _goes_on(grid, f"{name}-{side}", len(ends)):
        return ()
    wide = SAME
    if landscape.is_scattered:
        wide = min(STRIP * abs(ends[-1] - ends[0]), abs(ends[-1] - ends[-2]) / 2 - SAME)
    return [int(i) for i in np.flatnonzero(np.abs(shown - ends[-1]) <= wide)]


def _goes_on(grid: Grid, side: str, count: int) -> bool:
    """Whether there are numbers beyond a side, and its axis has several to be the best of."""
    if count < 2:
        return False
    with suppress(SpecError):
        grid.extended(side, 1)
        return True
    return False


def extend_command(edge: Edge, study: Study, store: str) -> str:
    """The command line that extends this side; `store` is the database's display URL."""
    side = "--panel", edge.panel, "--side", edge.name
    return command_line("extend", study, store, *side)


def refine_command(panel: str, study: Study, store: str) -> str:
    """The command line that refines a panel around its best cells."""
    return command_line("refine", study, store, "--panel", panel)
