"""Edges: the borders of a grid on which the best cells lie, so that better ones may lie beyond."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from landscape_study.landscapes.reading.landscape import Landscape, top_cells
from landscape_study.study.errors import SpecError
from landscape_study.study.spec.grid import SIDES, Axis, End
from landscape_study.study.spec.study import Study

TOP = 10  # best cells looked at


@dataclass(frozen=True)
class Edge:
    """A border of a panel's grid with some of the best cells on it."""

    panel: str
    axis: str  # "alpha" or "lambda"
    side: str  # "low" or "high"
    cells: tuple[tuple[int, int], ...]  # the best cells there as (row, column), best first
    top: int  # how many best cells were looked at
    is_quarter: bool = False  # whether these are the best quarter, fewer than were asked for

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
        if self.top == 1:
            best = f"the best cell{whose} lies"
        else:
            verb = "lies" if self.count == 1 else "lie"
            quarter = f"best quarter{whose}, {self.top} cells,"
            cells = f"{self.top} best cells{whose}"
            best = f"{self.count} of the {quarter if self.is_quarter else cells} {verb}"
        last = "largest" if self.side == "high" else "smallest"
        if self.axis == "alpha":
            return f"{best} at the {last} α of the grid: better ones may lie beyond"
        positive = "" if self.side == "high" else "positive "
        return f"{best} at the {last} {positive}λ of the grid: better ones may lie beyond"


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
    """
    if not landscape.n.all() or landscape.doubtful:
        return ()
    best = top_cells(landscape, min(top, _quarter(landscape)))
    found = []
    for name in SIDES:
        axis, _, side = name.partition("-")
        border = _border(landscape.alpha if axis == "alpha" else landscape.lambda_, side)
        cells = tuple(cell for cell in best if cell[axis == "lambda"] == border)
        if cells and not (name == "lambda-low" and _best_without_lambda(landscape, best)):
            found.append(Edge(landscape.panel, axis, side, cells, len(best), len(best) < top))
    return tuple(sorted(found, key=lambda edge: (-edge.count, best.index(edge.cells[0]))))


def _best_without_lambda(landscape: Landscape, best: Sequence[tuple[int, int]]) -> bool:
    return landscape.lambda_.values[0] == 0 and any(col == 0 for _, col in best)


def _border(axis: Axis, side: str) -> int | None:
    """Index of the value at that end of the axis; None where it cannot or need not go on."""
    end: End = "high" if side == "high" else "low"
    if len(axis.positive) > 1:
        with suppress(SpecError):
            axis.extended(end, 1)
            return len(axis.values) - (1 if end == "high" else len(axis.positive))
    return None


def extend_command(edge: Edge, study: Study, store: str) -> str:
    """The command line that extends this side; `store` is the database's display URL."""
    words = ["landscape", "extend", study.name, "--panel", edge.panel, "--side", edge.name]
    if ":" in study.task:  # user code is imported only where the command line names it
        words += ["--task", study.task]
    if study.command is not None:
        words.append("--trust-command")
    return shlex.join([*words, "--store", store])
