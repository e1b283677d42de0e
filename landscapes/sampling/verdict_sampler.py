"""The sampler `verdict`: asks for what tells most whether α and λ are coupled, and then stops.

It begins with cells that are spread over the grid of the panel's axes. Then it looks, as the
report does, at what was trained: where the verdict stands, it stops. Else it draws surfaces from
what is known (`statistics.gaussian_process`), each of which has a tilt, a regret and a best error,
and asks for those trainings of the grid that tell most of these (`most_telling`): of new cells, or
of cells with another seed where noise is what is not known. Where the verdict stands, but best
cells lie on the outermost lines that were tried and the grid goes on beyond them, as after it was
extended, it asks there first.

Shapes: A values of α, L positive values of λ, M = A·L cells, in this order; B draws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from functools import partial

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panel_axes import octaves
from landscape_study.landscapes.sampling.most_telling import Counts, most_telling
from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.edges import TOP
from landscape_study.landscapes.statistics.gaussian_process import KEPT
from landscape_study.landscapes.statistics.interpolation import FEWEST, Foretold, foretell
from landscape_study.landscapes.statistics.scattered_design import FEWEST_TRIALS
from landscape_study.landscapes.statistics.separability import (
    TAU,
    TILTED,
    Separability,
    separability,
)
from landscape_study.landscapes.statistics.surface import Floats
from landscape_study.study.records.wishes import Answer, Known, Wish
from landscape_study.study.spec.cell_numbers import LAMBDA
from landscape_study.study.spec.design import FIRST, LEVEL, Sampled
from landscape_study.study.spec.metric import SPAN
from landscape_study.study.spec.study import Cell

DRAWS = 2 * KEPT
# 1/g and 1/g² of the plastic number g: a sequence that fills the square evenly. Roberts, "The
# Unreasonable Effectiveness of Quasirandom Sequences" (2018).
STEPS = (0.7548776662466927, 0.5698402909980532)
STEEP = 2.0  # of the curve by which tilts beyond their bound count as one
MOST_MORE = 10  # times as many trainings: beyond it a number says nothing
BEST = 0.5  # weight of the best error beside tilt and regret


class VerdictSampler:
    """Asks for what the verdict hangs on. See `study.sampling.Sampler`."""

    def __init__(self, design: Sampled) -> None:
        self.design = design

    def ask(self, known: Known, width: int) -> Answer:  # noqa: D102
        seen, left = _Seen(known), self.design.trials - known.asked
        level = self.design.until or LEVEL
        found = seen.verdict(_looked_often(level / 100, known.asked / self.design.trials))
        stands = found is not None and found.verdict != "cannot tell"
        if stands and left > 0 and (beyond := seen.beyond_best()):
            if {*beyond} & {*seen.under_way.tolist()}:
                return Answer()  # until that is known
            seed, cells = seen.spread(min(width, left), self.design.seed, beyond)
            return Answer([Wish(cell, seed) for cell in cells])
        spent = self._spent(left, seen.left)
        if (stands or spent) and any(one.state == "open" for one in known.trials):
            return Answer()  # what is under way may change what is said
        if stands:
            trained = f"{len(seen.frame)} trainings"
            return Answer(settled=f"the verdict stands at {level:g} % after {trained}: {found}")
        if spent:
            return Answer(settled=_why_open(found, spent, known.asked))
        count = min(width, left)
        zeros = seen.undecayed(self.design.zero, known.asked, count)
        if seen.usable < FEWEST or known.asked < FIRST:
            seed, others = seen.spread(count - len(zeros), self.design.seed)
        else:
            rng = np.random.default_rng([self.design.seed, known.asked])
            seed, others = seen.telling(count - len(zeros), rng)
        return Answer([Wish(cell, seed) for cell in (*zeros, *others)])

    def _spent(self, left: int, of_cells: Counts) -> str | None:
        """Why nothing more can be asked for; None where something can.

        Args:
            left: trials that may still be asked for.
            of_cells: under how many more seeds each cell may be trained, [M].
        """
        if left <= 0:
            return f"all of its {self.design.trials} trials were asked for"
        return None if of_cells.any() else "every cell of its grid is trained under every seed"


def _looked_often(level: float, spent: float) -> float:
    """The level of intervals that are looked at again and again, so that in all it is `level`.

    As much of what may be wrong is spent as of the trials. Lan & DeMets, "Discrete Sequential
    Boundaries for Clinical Trials" (1983), with a linear spending function.
    """
    return 1 - (1 - level) * min(spent, 1.0)


def _why_open(found: Separability | None, spent: str, asked: int) -> str:
    """What is still open where nothing more can be asked for, and what it would cost."""
    if found is None:
        return f"{spent}, and too few of them ended well to say anything"
    return f"{spent}, and the verdict is open: {found.reason}{_cost(found, asked)}"


def _cost(found: Separability, asked: int) -> str:
    """How many more trainings would bring the tilt's interval to one side of its bound.

    Its width falls with the square root of their number.
    """
    tilt = found.tilt
    if not tilt.has_interval:
        return ""
    half = max(tilt.high - tilt.value, tilt.value - tilt.low)
    apart = abs(abs(tilt.value) - TILTED)
    if half <= apart:
        return ""
    more = math.inf if apart == 0 else asked * ((half / apart) ** 2 - 1)
    count = f"about {more:.0f}" if more <= MOST_MORE * asked else f"more than {MOST_MORE * asked}"
    return f" ({count} further trainings would tell the tilt from {TILTED:g})"


class _Seen:
    """What is known of a panel, cell by cell of its grid.

    Attributes:
        frame: the finished and pruned trials, a landscape frame.
        cells: those of the grid with λ > 0, M of them.
        place: of each of these cells among them.
        under_way: places among `cells` of the trials without a result yet.
        left: under how many more seeds each may be trained, [M].
    """

    def __init__(self, known: Known) -> None:
        self.known, grid = known, known.panel.grid
        self.names, self.has_zero = grid.names, grid.names[1] == LAMBDA
        columns = grid.columns.positive if self.has_zero else grid.columns.values
        self.rows, self.columns = (
            octaves(name, values)
            for name, values in zip(grid.names, (grid.rows.values, columns), strict=True)
        )
        self.cells = [grid.cell(row, column) for row in grid.rows.values for column in columns]
        self.used: dict[Cell, set[int]] = {}
        for trial in known.trials:
            self.used.setdefault(trial.cell, set()).add(trial.seed)
        used = [len(self.used.get(cell, ())) for cell in self.cells]
        self.left: Counts = len(known.seeds) - np.array(used, dtype=np.intp)
        self.place = {cell: i for i, cell in enumerate(self.cells)}
        waiting = (one.cell for one in known.trials if one.state == "open")
        under_way = [self.place[cell] for cell in waiting if cell in self.place]
        self.under_way = np.array(under_way, dtype=np.intp)
        beside = set(grid.extra)
        rows = [
            (
                *(*grid.place(one.cell), one.seed),
                *(one.value, one.diverged, one.state, one.cell in beside),
            )
            for one in known.trials
            if one.state in ("finished", "pruned")
        ]
        named = [*grid.names, "seed", known.metric.name, "diverged", "state", "extra"]
        self.frame = pd.DataFrame(rows, columns=named)
        self.frame["clipped"] = self.frame["state"] == "pruned"

    @property
    def usable(self) -> int:
        """How many trials with λ > 0 did not diverge."""
        converged = ~self.frame["diverged"].astype(bool)
        decays = self.frame[LAMBDA] > 0 if self.has_zero else True
        return int((converged & decays).sum())

    def verdict(self, level: float) -> Separability | None:
        """What the finished trials say; None where they are too few to say anything."""
        if self.usable < FEWEST_TRIALS:
            return None
        return separability(self.frame, self.known.metric, names=self.names, level=level)

    def undecayed(self, share: float, asked: int, count: int) -> list[Cell]:
        """Cells of λ = 0 among the next trainings, at the best α first."""
        grid = self.known.panel.grid
        if not self.has_zero or grid.columns.values[0] > 0:
            return []
        wanted = int((asked + count) * share) - int(asked * share)
        metric, frame = self.known.metric, self.frame
        costs = (metric.sign * frame[metric.name]).groupby(frame[self.names[0]]).min()
        by_cost = sorted(grid.rows.values, key=lambda a: (costs.get(a, math.inf), a))
        undecayed = (grid.cell(a, 0.0) for a in by_cost)
        return [cell for cell in undecayed if cell not in self.used][:wanted]

    def beyond_best(self) -> list[int]:
        """Places beyond the outermost lines that were tried, where best cells lie on these."""
        values: dict[int, list[float]] = {}
        for one in self.known.trials:
            if one.state != "open" and one.cell in self.place:
                own = values.setdefault(self.place[one.cell], [])
                if one.state == "finished" and one.value is not None:
                    own.append(math.inf if one.diverged else self.known.metric.sign * one.value)
        costs = {place: sum(own) / len(own) if own else math.inf for place, own in values.items()}
        good = [place for place in sorted(costs, key=costs.__getitem__) if costs[place] < math.inf]
        if not good:
            return []
        lines = np.stack(np.divmod(np.arange(len(self.cells)), self.columns.size))
        tried, best = lines[:, [*costs]], lines[:, good[: min(TOP, max(len(good) // 4, 1))]]
        first, last = tried.min(axis=1, keepdims=True), tried.max(axis=1, keepdims=True)
        below = (lines < first) & (best == first).any(axis=1, keepdims=True)
        above = (lines > last) & (best == last).any(axis=1, keepdims=True)
        places: list[int] = np.flatnonzero((below | above).any(axis=0)).tolist()
        return places

    def spread(
        self, count: int, random_seed: int, among: Collection[int] | None = None
    ) -> tuple[int, list[Cell]]:
        """A seed, and cells that fill the grid evenly; once all are used, any others.

        Only those at the places `among`, if these are named.
        """
        shift = np.random.default_rng(random_seed).uniform(size=2)
        rows, columns = self.rows.size, self.columns.size
        chosen: dict[int, None] = {}
        wanted = range(len(self.cells)) if among is None else among
        free = {place for place in wanted if self.cells[place] not in self.used}
        if not free:
            seed = self._seed(self.cells[np.flatnonzero(self.left)[0]])
            return seed, [self.cells[place] for place in self._under(seed)[:count]]
        count = min(count, len(free))
        numbers = itertools.count()
        while len(chosen) < count:
            across = (shift + (next(numbers) + 1) * np.array(STEPS)) % 1
            row, column = (across * (rows, columns)).astype(int)
            place = int(row * columns + column)
            if place in free:
                chosen.setdefault(place)
        return self.known.seeds[0], [self.cells[place] for place in chosen]

    def telling(self, count: int, rng: np.random.Generator) -> tuple[int, list[Cell]]:
        """A seed, and those cells whose trainings under it tell most of the verdict.

        What is trained together has one seed: that of the training that tells most of all.
        """
        places = np.stack(np.meshgrid(self.rows, self.columns, indexing="ij"), -1).reshape(-1, 2)
        known = foretell(self.frame, self.known.metric, places, DRAWS, rng, self.names)
        chosen = partial(most_telling, known.heights, self._targets(known), known.noises)
        (first,) = chosen(self.left, 1, self.under_way)
        seed = self._seed(self.cells[first])
        once = np.zeros_like(self.left)
        once[self._under(seed)] = 1
        return seed, [self.cells[place] for place in chosen(once, count, self.under_way)]

    def _seed(self, cell: Cell) -> int:
        """The first seed that a cell was not trained under."""
        used = self.used.get(cell, set())
        return next(seed for seed in self.known.seeds if seed not in used)

    def _under(self, seed: int) -> Counts:
        """Places of the cells that may still be trained, whose next seed is this one."""
        return np.array(
            [
                place
                for place in np.flatnonzero(self.left)
                if self._seed(self.cells[place]) == seed
            ],
            dtype=np.intp,
        )

    def _targets(self, known: Foretold) -> Floats:
        """Tilt, regret and best error of the draws, [B, 3], as far as they move a verdict."""
        shape = (len(known.heights), self.rows.size, self.columns.size)
        errors = known.excess.reshape(shape)
        tilt = coupling.tilt(errors, self.rows, self.columns, span=SPAN, tau=TAU)
        regret = coupling.regret(errors)
        best = np.where(np.isfinite(errors), errors, SPAN).min(axis=(1, 2))
        rows = [
            np.tanh(STEEP * np.nan_to_num(tilt)),
            np.log(np.nan_to_num(regret) + TAU / 2),
            BEST * _even(best),
        ]
        return np.column_stack([_even(rows[0]), _even(rows[1]), rows[2]])


def _even(numbers: Floats) -> Floats:
    """Numbers in units of their standard deviation; zeros where they are all alike."""
    deviation = numbers.std()
    return (numbers - numbers.mean()) / deviation if deviation > 0 else np.zeros_like(numbers)
