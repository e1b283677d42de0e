"""The landscape of a panel: α × λ → test error, mean over seeds; or of two other numbers.

Shapes: A values of α (rows), L values of λ (columns), both ascending; likewise of other axes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from landscape_study.landscapes.reading.panel_axes import (
    are_beside,
    are_off,
    cells_of,
    measured,
    octaves,
    on_few_lines,
    panel_axes,
    place,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.timescale import Timescale
from landscape_study.study.records.witness_record import marked
from landscape_study.study.spec.cell_numbers import (
    ALPHA,
    LAMBDA,
    USUAL,
    Names,
    number_called,
    symbols,
)
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis, Cell, Grid, Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
FILLED = 0.5  # share of a grid's cells from which a design is one
RowCol = tuple[int, int]  # of a cell: its α and its λ, ascending from 0


@dataclass(frozen=True)
class Pruned:
    """A cell of which no run finished, and some were stopped before their end."""

    cell: RowCol
    value: float  # of the metric, mean of what they had reached: the true one is no better
    runs: int


@dataclass(frozen=True, eq=False)
class Landscape:
    """The finished table of a panel. Its arrays are read-only."""

    title: str
    pair: str  # a pair's name, see pairs.registry; "" where it was trained elsewhere
    rows: Axis  # upwards: of α, unless `names` says otherwise
    columns: Axis  # to the right: of λ, likewise
    error: Floats  # [A, L] values of the metric, mean over seeds; NaN where no seed finished
    stderr: Floats  # [A, L] standard error over seeds; NaN for fewer than two
    n: Ints  # [A, L] finished seeds
    diverged: Ints  # [A, L] seeds that diverged; they count in `error` and `n`
    normalized: bool = False  # whether λ is λ_norm
    panel: str = ""  # the panel's name; "" for a landscape of no study
    metric: Metric = TEST_ERROR  # what was measured
    doubtful: bool = False  # whether the panel's witness disagrees; the title is marked then
    is_scattered: bool = False  # whether its cells are no grid's, see `are_scattered`
    panel_grid: Grid | None = None  # where it has other cells than all of a grid
    of_design: Mask | None = None  # [A, L] which cells it has or shall have; None: all
    pruned: tuple[Pruned, ...] = ()
    timescale: Timescale | None = None  # of its decay; None where it is not known
    names: Names = USUAL  # of its axes; where they are others, `panel_grid` is there

    @property
    def cost(self) -> Floats:
        """The values so that less is better: negated where more is, [A, L]."""
        return self.metric.sign * self.error

    @property
    def is_cell(self) -> Mask:
        """Which of [A, L] are cells of its design; nobody asked for the others."""
        return np.ones(self.error.shape, bool) if self.of_design is None else self.of_design

    @property
    def grid(self) -> Grid:
        """The grid whose values its axes are written by; its own where cells lie scattered."""
        if self.panel_grid is None:
            return Grid(alpha=self.rows, lambda_=self.columns)
        if self.is_scattered:
            return self.panel_grid.with_axes(self.rows, self.columns)
        return self.panel_grid.alone

    @property
    def is_usual(self) -> bool:
        """Whether its axes are α and λ."""
        return self.names == USUAL

    @property
    def alpha(self) -> Axis:
        """The learning rates: one of the axes, or the one of all cells."""
        return self.rows if self.names[0] == ALPHA else self.grid.alpha

    @property
    def lambda_(self) -> Axis:
        """The regularization factors, likewise."""
        return self.columns if self.names[1] == LAMBDA else self.grid.lambda_

    @property
    def has_zero(self) -> bool:
        """Whether λ = 0 is its first column."""
        return self.names[1] == LAMBDA and self.columns.values[0] == 0

    @property
    def symbols(self) -> tuple[str, str]:
        """Of its axes: ("α", "λ")."""
        return symbols(self.names)

    @property
    def octaves(self) -> tuple[Floats, Floats]:
        """log2 of the values of its axes, [A] and [L]; of a share β that of 1/(1 − β).

        −inf for λ = 0.
        """
        rows, columns = self.rows.values, self.columns.values
        return octaves(self.names[0], rows), octaves(self.names[1], columns)

    @property
    def on_grid(self) -> Mask:
        """Which of [A, L] lie on the lines of this grid."""
        grid = self.grid
        rows = np.isin(self.rows.values, grid.rows.values)
        return rows[:, None] & np.isin(self.columns.values, grid.columns.values)

    def cell(self, place: RowCol) -> Cell:
        """The numbers of a row and column."""
        row, col = place
        return self.grid.cell(self.rows.values[row], self.columns.values[col])

    @property
    def is_chosen(self) -> bool:
        """Whether it has some of the cells of its grid only: a sampler's, or a panel's best."""
        return not self.is_cell[self.on_grid].all()

    @property
    def is_complete(self) -> bool:
        """Whether each of its cells has a result, or was stopped as hopeless."""
        is_known = self.n > 0
        for one in self.pruned:
            is_known[one.cell] = True
        return bool(is_known[self.is_cell].all())

    def __post_init__(self) -> None:
        shape = (len(self.rows.values), len(self.columns.values))
        for name in ("error", "stderr", "n", "diverged", "of_design"):
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, the grid has {shape}")
            array.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Landscape):
            return NotImplemented
        return all(
            _same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    return bool(one == other)


def landscape(
    cells: pd.DataFrame,
    panel: Panel,
    metric: Metric = TEST_ERROR,
    timescale: Timescale | None = None,
) -> Landscape:
    """Build the landscape of `panel` from the frame of cells (see `reading.frames`).

    The axes have the values of the panel's grid and of the cells beside it: its cells without a
    finished row are missing, and rows that lie off these are left out. Where a sampler asks for
    cells, its values are there too; where these lie scattered, there are no others.

    Args:
        cells: one row per cell and seed: panel, alpha, lambda or what its axes are, seed, state,
            a column of the metric's name, diverged, and optionally study and doubtful; rows of
            other panels are ignored.
        panel: names the rows, and says which grid and pair they are of.
        metric: what was measured.
        timescale: of the decay of its cells, if it is known.

    Raises:
        UsageError: several studies have cells of this panel in the frame.
    """
    own = cells[cells["panel"] == panel.name]
    rows = own[own["state"] == "finished"]
    studies = sorted(set(rows.get("study", ())))
    if len(studies) > 1:
        raise UsageError(
            f"panel '{panel.name}': the frame holds cells of the studies "
            f"{', '.join(studies)}, expected one study: select its rows first"
        )
    doubtful = "doubtful" in rows and bool(rows["doubtful"].eq(True).any())
    of_design = own[~are_beside(own, panel)]
    names = panel.grid.names
    is_scattered = are_scattered(*(measured(of_design, name) for name in names))
    if panel.promoted and not are_off(of_design, panel.grid).any():
        is_scattered = False  # its cells are those of a grid, however few
    if panel.asked:
        own = on_few_lines(own, names)
        rows = own.loc[rows.index]
    grid = panel_axes(own, panel, is_scattered=is_scattered)
    is_whole = not panel.asked and not panel.grid.extra
    return grid_landscape(
        rows,
        grid,
        metric,
        title=marked(title(panel), doubtful),
        pair="" if panel.is_labelled else panel.pair,
        normalized=panel.normalized,
        panel=panel.name,
        doubtful=doubtful,
        is_scattered=is_scattered,
        panel_grid=None if is_whole and panel.grid.is_usual else panel.grid,
        of_design=None if is_whole else cells_of(own, panel, grid),
        pruned=pruned_cells(own, grid, metric),
        timescale=timescale,
        names=names,
    )


def pruned_cells(cells: pd.DataFrame, grid: Grid, metric: Metric) -> tuple[Pruned, ...]:
    """The cells of a grid of which some runs were pruned and none finished.

    Args:
        cells: of one panel: alpha, lambda or what its axes are, state, and the metric's column.
        grid: where they lie; others are left out.
        metric: what was measured.
    """
    if not cells["state"].eq("pruned").any():
        return ()
    known = cells[cells["state"].isin(["finished", "pruned"]) & cells[metric.name].notna()]
    places = pd.DataFrame(
        {
            "row": place(known[grid.names[0]], grid.rows),
            "col": place(known[grid.names[1]], grid.columns),
            "value": known[metric.name].to_numpy(dtype=float),
            "finished": known["state"].eq("finished").to_numpy(),
        }
    )
    found = places[(places["row"] >= 0) & (places["col"] >= 0)].groupby(["row", "col"])
    each = found.agg(value=("value", "mean"), runs=("value", "size"), finished=("finished", "any"))
    return tuple(
        Pruned((row, col), value, runs)
        for (row, col), value, runs, finished in each.itertuples()
        if not finished
    )


def grid_landscape(
    rows: pd.DataFrame, grid: Grid, metric: Metric, *, title: str, pair: str = "", **rest: Any
) -> Landscape:
    """The landscape of finished rows of one panel on a grid; rows off it are left out.

    Args:
        rows: one per cell and seed: alpha, lambda or what the axes are, a column of the metric's
            name, diverged.
        grid: where they lie.
        metric: what was measured.
        title: of the landscape.
        pair: its name, if it is one of `pairs.registry`.
        **rest: other fields of a `Landscape`.
    """
    shape = (len(grid.rows.values), len(grid.columns.values))
    axes = zip(grid.names, (grid.rows, grid.columns), strict=True)
    row, col = (place(rows[name], axis) for name, axis in axes)
    on_grid = (row >= 0) & (col >= 0)
    flat = (row * shape[1] + col)[on_grid]
    errors = rows[metric.name].to_numpy(dtype=float)[on_grid]
    diverged = np.asarray(rows["diverged"].eq(True).fillna(False), dtype=np.float64)[on_grid]
    error, stderr, n = _statistics(flat, errors, shape)
    return Landscape(
        title=title,
        pair=pair,
        rows=grid.rows,
        columns=grid.columns,
        error=error,
        stderr=stderr,
        n=n,
        diverged=_sums(flat, diverged, shape).astype(np.int64),
        metric=metric,
        **rest,
    )


def title(panel: Panel) -> str:
    """Name a panel for figures, with the numbers that are no axes: "AdamW, α = 0.01"."""
    fixed = panel.grid.fixed.items()
    numbers = (f"{number_called(name).symbol} = {value:g}" for name, value in fixed)
    return ", ".join([_title(panel), *numbers])


def _title(panel: Panel) -> str:
    """Name a panel for figures: "AdamW", or "AdamW, step" where the panel is adamw-step.

    Hyphens read as blanks: adamw-15-epochs is "AdamW, 15 epochs".

    With warm restarts, and λ normalized for each cycle, AdamW is the paper's AdamWR. What was
    trained elsewhere is called as it was there.
    """
    if panel.is_labelled:
        return panel.name if panel.by_objective else panel.pair
    pair = pair_called(panel.pair)
    own = panel.name.removeprefix(pair.label)
    name = pair.title
    restarts = panel.normalized and panel.schedule.kind == "restarts"
    if restarts and pair.placement == "decoupled":
        own, name = re.sub(r"^r(?![a-z0-9])", "", own), f"{name}R"
    own = re.sub(r"[-_]+", " ", own.lstrip("-_.+"))
    return f"{name}, {own}" if own else name


def are_scattered(alpha: npt.ArrayLike, lambda_: npt.ArrayLike) -> bool:
    """Whether cells fill less than half of the grid of all their α and positive λ.

    So do designs of samplers, crosses and ragged sweeps. A study of grids that is not finished
    does not: its frame holds every cell, also those that are open.

    Args:
        alpha: of every cell that was run or shall be, whatever came of it; or another number,
            as statistics measure it.
        lambda_: likewise.
    """
    x, y = np.asarray(alpha, dtype=float), np.asarray(lambda_, dtype=float)
    placed = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    places = np.log2(np.stack([x[placed], y[placed]], axis=-1)).round(6)
    alphas, lambdas = (len(np.unique(axis)) for axis in places.T)
    return len(np.unique(places, axis=0)) < FILLED * alphas * lambdas


def top_cells(landscape: Landscape, count: int = 10) -> list[tuple[int, int]]:
    """Rank the `count` best cells as (row, column), best first.

    Ties go to the lower row, then to the left. Missing cells and cells of which any seed diverged
    are never among them, so that fewer than `count` may come back.
    """
    good = np.argwhere(np.isfinite(landscape.error) & (landscape.diverged == 0))
    order = landscape.cost[tuple(good.T)].argsort(kind="stable")
    return [(row, col) for row, col in good[order[:count]].tolist()]


def _sums(flat: Ints, values: Floats, shape: tuple[int, int]) -> Floats:
    """Sum of `values` per cell, [A, L]; `flat` is the cell of each value."""
    sums = np.bincount(flat, weights=values, minlength=shape[0] * shape[1])
    return sums.astype(np.float64).reshape(shape)


def _statistics(flat: Ints, values: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats, Ints]:
    """Mean, standard error and count per cell, each [A, L]; infinite values stay infinite."""
    n = _sums(flat, np.ones_like(values), shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _sums(flat, values, shape) / n
        squares = _sums(flat, (values - mean.ravel()[flat]) ** 2, shape)
        stderr = np.sqrt(squares / (n - 1) / n)
    return mean, np.where(n > 1, stderr, np.nan), n.astype(np.int64)
