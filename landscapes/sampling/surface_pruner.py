"""The pruner `surface`: gives cells up that the landscape so far leaves no hope.

Where the learning rate falls, cells that will be the best are among the worst half of the way:
how they stand then says little. So this pruner looks at what other cells of the panel ended with.
It draws surfaces that agree with that (`statistics.gaussian_process`), adds the noise of a run,
and gives up those cells that are hardly ever among the best of them. What was given up itself says
nothing: so what one seed gave up for lack of knowledge, the next one may train.

Shapes: K cells that are looked at, M places, B draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panel_axes import octaves
from landscape_study.landscapes.statistics.gaussian_process import KEPT
from landscape_study.landscapes.statistics.interpolation import foretell
from landscape_study.study.records.standing import Course, Mask, Standing
from landscape_study.study.spec.cell_numbers import LAMBDA
from landscape_study.study.spec.grid import Grid
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.panel import Panel
from landscape_study.study.spec.study import Cell

DRAWS = 2 * KEPT
TOP = 18  # places in a draw that count as the best: ten are circled, and noise moves them
DOUBT = 0.05  # of the draws, in which a cell that is given up may be among them
FEWEST = 12  # cells that ended well, before anything is given up
LOOKS = (0.25, 0.5)  # shares of the budget at which it looks again, after the first epoch


class SurfacePruner:
    """Gives up what is hardly ever among the best. See `records.standing.Pruner`.

    Args:
        panel: whose cells are trained.
        metric: what is measured.
        courses: gives the trials of the panel that have ended.
        top: places of a draw that count as the best.
        doubt: of the draws, in which a cell that is given up may be among them.

    Raises:
        ValueError: there are no such places, or no such share.
    """

    def __init__(
        self,
        panel: Panel,
        metric: Metric,
        courses: Callable[[], Sequence[Course]],
        *,
        top: int = TOP,
        doubt: float = DOUBT,
    ) -> None:
        if not (isinstance(top, int) and top >= 1):
            raise ValueError(f"top = {top!r} is no whole number of 1 or more")
        if not (isinstance(doubt, int | float) and 0 < doubt < 1):
            raise ValueError(f"doubt = {doubt!r} is no number between 0 and 1")
        self.panel, self.metric, self.courses = panel, metric, courses
        self.top, self.doubt = top, doubt
        self.seen = 0  # courses at the last look
        self.chances: dict[Cell, float] = {}  # of being among the best, by cell with λ > 0

    def stops(self, epochs: int) -> list[int]:  # noqa: D102
        looks = (1, *(math.ceil(share * epochs) for share in LOOKS))
        return sorted({stop for stop in looks if stop < epochs})

    def leaving(self, standing: Standing) -> Mask:  # noqa: D102
        courses = [one for one in self.courses() if not one.is_pruned]
        decayed = {cell for cell in standing.cells if self._is_seen(cell)}
        if len(courses) != self.seen or not decayed <= self.chances.keys():
            self.seen, self.chances = len(courses), self._chances(courses, standing.cells)
        return np.array([self._is_hopeless(cell) for cell in standing.cells], dtype=np.bool_)

    def _is_hopeless(self, cell: Cell) -> bool:
        """Whether a cell has no chance; without decay, whether no cell of its α has any."""
        if self._is_seen(cell):
            return self.chances.get(cell, 1.0) < self.doubt
        grid, row = self.panel.grid, self.panel.grid.place(cell)[0]
        own = [chance for one, chance in self.chances.items() if grid.place(one)[0] == row]
        return bool(own) and max(own) < self.doubt

    def _is_seen(self, cell: Cell) -> bool:
        """Whether surfaces say something of a cell: of an axis of λ not at 0."""
        return self.panel.grid.names[1] != LAMBDA or cell.lambda_ > 0

    def _chances(self, courses: Sequence[Course], cells: Sequence[Cell]) -> dict[Cell, float]:
        """In which share of the draws each cell with λ > 0 is among the best; {}: nobody knows.

        Args:
            courses: of the trials that were trained to their end.
            cells: that are looked at.
        """
        grid, seen = self.panel.grid, [one for one in courses if self._is_seen(one.cell)]
        frame = _frame(seen, self.metric, grid)
        if int((~frame["diverged"].astype(bool)).sum()) < FEWEST:
            return {}
        known = dict.fromkeys([*self.panel.cells(), *(one.cell for one in courses), *cells])
        places = [cell for cell in known if self._is_seen(cell)]
        values = zip(*map(grid.place, places), strict=True)
        at = np.stack([octaves(*one) for one in zip(grid.names, values, strict=True)], axis=-1)
        rng = np.random.default_rng(len(courses))
        found = foretell(frame, self.metric, at, DRAWS, rng, grid.names)
        runs = found.heights + found.noises * rng.normal(size=found.heights.shape)
        last = min(self.top, len(places)) - 1
        limit = np.partition(runs, last, axis=1)[:, last : last + 1]
        return dict(zip(places, (runs <= limit).mean(axis=0).tolist(), strict=True))


def _frame(courses: Sequence[Course], metric: Metric, grid: Grid) -> pd.DataFrame:
    """Trials that were trained to their end, a landscape frame."""
    rows = [
        (*grid.place(one.cell), one.seed, metric.sign * one.cost, one.diverged) for one in courses
    ]
    return pd.DataFrame(rows, columns=[*grid.names, "seed", metric.name, "diverged"])
