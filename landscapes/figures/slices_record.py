"""What slices through landscapes show: frozen records, drawn by `figures.slices`.

A slice is one row of a landscape: the metric against λ at one α (or against α at one λ).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    choose_columns,
    color_scale,
    error_label,
    summary,
)
from landscape_study.landscapes.figures.sizes import paper_width
from landscape_study.landscapes.figures.style import (
    Ticks,
    column_title,
    decimal,
    row_title,
    ticks,
)
from landscape_study.landscapes.reading.landscape import Floats, Ints, Landscape, Mask
from landscape_study.landscapes.reading.panel_axes import octaves
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.cell_numbers import LAMBDA, number_called
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis

MOST = 8  # slices that are drawn where none are named
APART = 1.5  # steps between 0 and the smallest positive value
LEGEND = 0.75  # inches of the legend beside an axes on the screen


@dataclass(frozen=True)
class Point:
    """One cell of a slice."""

    x: float  # log2 of the value; 0 stands `APART` left of the others
    error: float  # value of the metric
    stderr: float  # likewise; 0 for one seed


@dataclass(frozen=True)
class Slice:
    """The cells along one α or λ. Diverged and missing cells, and 0, break the line."""

    label: str  # its value, as the ticks of heatmaps say it
    row: int  # place on its axis
    shade: float  # the same from 0 (smallest value) to 1
    runs: tuple[tuple[Point, ...], ...]  # unbroken pieces of the line
    ends: tuple[Point, ...]  # points beside a diverged cell
    best: Point | None


@dataclass(frozen=True)
class SlicesRecord:
    """What the slices through one landscape show."""

    title: str
    summary: tuple[str, ...]
    x_title: str
    x_ticks: tuple[tuple[float, str], ...]
    gap: float | None  # where the x axis is broken, between 0 and the others
    y_title: str
    y_range: tuple[float, float]  # values; worse ones are marked at the edge
    legend_title: str
    slices: tuple[Slice, ...]  # ascending
    doubtful: bool = False  # whether the panel's witness disagrees
    metric: Metric = TEST_ERROR

    @property
    def edge(self) -> float:
        """The end of the y axis beyond which values are worse: its top, or bottom."""
        return self.y_range[self.metric.sign > 0]

    def shows(self, point: Point) -> bool:
        """Whether a point does not lie beyond that edge."""
        return self.metric.sign * (point.error - self.edge) <= 0


@dataclass(frozen=True)
class SlicesFigureRecord:
    """What a figure of the slices through several landscapes shows, on one axis of values."""

    panels: tuple[SlicesRecord, ...]
    columns: int
    width: float | None = None  # inches of the figure

    @property
    def rows(self) -> int:
        """Rows of axes."""
        return -(-len(self.panels) // self.columns)


@dataclass(frozen=True)
class _Lines:
    """The values of α or λ, one for each row or column of a view."""

    name: str
    axis: Axis
    grid: Axis  # that of the landscape's grid
    title: str

    @property
    def ticks(self) -> Ticks:
        return ticks(self.axis, self.grid, self.name)

    @property
    def has_zero(self) -> bool:
        """Whether λ = 0 is its first value."""
        return self.name == LAMBDA and self.axis.values[0] == 0

    @property
    def on_grid(self) -> Mask:
        return np.isin(self.axis.values, self.grid.values)


@dataclass(frozen=True)
class _View:
    """A landscape seen as slices: one row each."""

    rows: _Lines
    columns: _Lines
    is_cell: Mask  # [rows, columns]
    error: Floats  # likewise, values; NaN where missing or diverged
    stderr: Floats
    lost: Ints  # seeds that diverged
    sign: int  # of the metric: −1 where more is better


def slices_record(
    landscape: Landscape,
    *,
    by: str | None = None,
    values: Sequence[float] | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
) -> SlicesRecord:
    """Say what `plot_slices` draws."""
    low, high = color_scale([landscape], span=span, scale=scale)
    view, room = _view(landscape, by), 0.05 * (high - low)
    y_range = (low - room, high) if view.sign > 0 else (low, high + room)
    worst = high if view.sign > 0 else -low
    rows = _some_rows(view, worst) if values is None else _named_rows(view.rows, values)
    labels, count, columns = view.rows.ticks.labels, len(view.rows.axis.values), view.columns
    places = _places(columns)
    zero = columns.has_zero and len(places) > 1
    at = zip(places, columns.ticks.labels, columns.on_grid, strict=True)
    some = f", {len(rows)} of {count}" if len(rows) < count else ""
    return SlicesRecord(
        title=landscape.title,
        summary=summary(landscape),
        x_title=columns.title,
        x_ticks=tuple((place, label) for place, label, on_grid in at if on_grid),
        gap=(places[0] + places[1]) / 2 if zero else None,
        y_title=error_label([landscape]),
        y_range=y_range,
        legend_title=_short(view.rows) + some,
        slices=tuple(_slice(view, row, places, labels[row]) for row in rows),
        doubtful=landscape.doubtful,
        metric=landscape.metric,
    )


def slices_figure_record(
    landscapes: Sequence[Landscape],
    *,
    by: str | None = None,
    columns: int | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    width: float | str | None = None,
) -> SlicesFigureRecord:
    """Say what `plot_slices_figure` draws; the axis of values is titled once per row."""
    if not landscapes:
        raise UsageError("no landscapes to draw: name at least one panel")
    if columns is not None and columns < 1:
        raise UsageError(f"columns = {columns}: a figure needs at least 1")
    inches = None if width is None else paper_width(width)
    count = len(landscapes)
    columns = min(columns or choose_columns(count, inches, legend=LEGEND), count)
    scale = color_scale(landscapes, span=span, scale=scale)
    panels = [slices_record(landscape, by=by, scale=scale) for landscape in landscapes]
    title = error_label(landscapes)
    panels = [
        replace(panel, y_title="" if i % columns else title) for i, panel in enumerate(panels)
    ]
    return SlicesFigureRecord(tuple(panels), columns, inches)


def _view(landscape: Landscape, by: str | None) -> _View:
    """Turn the landscape so that each slice is a row; of its rows if nobody says."""
    grid, names = landscape.grid, landscape.names
    if by is not None and by not in names:
        raise UsageError(f"by = '{by}': slices go by {' or '.join(names)}")
    up = _Lines(names[0], landscape.rows, grid.rows, row_title(landscape, grid.rows))
    title = column_title(landscape, grid.columns)
    across = _Lines(names[1], landscape.columns, grid.columns, title)
    error = np.where(landscape.diverged > 0, np.nan, landscape.error)
    error = np.where(np.isfinite(error), error, np.nan)
    stderr, lost, is_cell = landscape.stderr, landscape.diverged, landscape.is_cell
    if by in (None, names[0]):
        return _View(up, across, is_cell, error, stderr, lost, landscape.metric.sign)
    tables = is_cell.T, error.T, stderr.T, lost.T
    return _View(across, up, *tables, landscape.metric.sign)


def _short(lines: _Lines) -> str:
    """Shorten an axis title to its letter: "weight decay λ (× 0.001)" → "λ (× 0.001)"."""
    return lines.title[lines.title.index(number_called(lines.name).symbol) :]


def _places(lines: _Lines) -> list[float]:
    """Return x of every value: log2, with λ = 0 apart on the left."""
    places = [float(x) for x in octaves(lines.name, lines.axis.values) if math.isfinite(x)]
    if lines.has_zero:
        of_grid = map(math.log2, lines.grid.positive)
        step = min((b - a for a, b in pairwise(of_grid)), default=1.0)
        places.insert(0, places[0] - APART * step if places else 0.0)
    return places


def _some_rows(view: _View, worst: float) -> list[int]:
    """Choose at most `MOST` rows that come into the picture, the best one among them.

    Of a refined grid they are rows of the grid, and the best one, which has few points perhaps.
    `worst` is the cost at the edge of the picture.
    """
    best = np.where(np.isnan(view.error), np.inf, view.sign * view.error).min(axis=1)
    first = int(best.argmin())
    kept = view.rows.on_grid
    kept[first] = True
    seen = [int(row) for row in np.flatnonzero(kept & (best <= worst))]
    if len(seen) <= MOST:
        return seen
    chosen = [seen[round(i)] for i in np.linspace(0, len(seen) - 1, MOST)]
    if first not in chosen:
        chosen[min(range(MOST), key=lambda i: abs(chosen[i] - first))] = first
    return sorted(chosen)


def _named_rows(lines: _Lines, values: Sequence[float]) -> list[int]:
    """Find the rows of the values asked for."""
    rows = []
    for value in values:
        found = [
            row
            for row, own in enumerate(lines.axis.values)
            if math.isclose(own, value, rel_tol=1e-9, abs_tol=0.0)
        ]
        if not found:
            some = ", ".join(f"{own:.6g}" for own in lines.axis.values)
            raise UsageError(
                f"{lines.name} = {decimal(value)} is not on the grid: choose among {some}"
            )
        rows += found
    return sorted(set(rows))


def _slice(view: _View, row: int, places: list[float], label: str) -> Slice:
    """Gather the points of a row into unbroken runs."""
    runs: list[list[Point]] = [[]]
    ends: list[Point] = []
    columns = np.flatnonzero(view.is_cell[row])
    for i, column in enumerate(columns):
        error = float(view.error[row, column])
        beside = columns[max(i - 1, 0) : i + 2]
        after_zero = i == 1 and view.columns.has_zero and columns[0] == 0
        if math.isnan(error) or after_zero:
            runs.append([])
        if math.isnan(error):
            continue
        stderr = float(view.stderr[row, column])
        point = Point(places[column], error, stderr if math.isfinite(stderr) else 0.0)
        runs[-1].append(point)
        if view.lost[row, beside].any():
            ends.append(point)
    points = [point for run in runs for point in run]
    best = min(points, key=lambda point: view.sign * point.error, default=None)
    return Slice(
        label=label,
        row=row,
        shade=row / max(len(view.rows.axis.values) - 1, 1),
        runs=tuple(tuple(run) for run in runs if run),
        ends=tuple(ends),
        best=best,
    )
