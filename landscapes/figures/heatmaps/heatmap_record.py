"""What heatmaps show: frozen records made from landscapes, drawn by `figures.heatmaps.heatmap`.

Shapes: A values of α (rows, upwards), L values of λ (columns), both ascending. A cell is
(row, column), one unit high and wide on the axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from landscape_study.landscapes.figures.heatmaps.heatmap_between import Between, between
from landscape_study.landscapes.figures.heatmaps.heatmap_refinement import (
    GAP,
    Refinement,
    refinement,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_slant import TITLE as TIMESCALE_TITLE
from landscape_study.landscapes.figures.heatmaps.heatmap_slant import (
    Corners,
    Slant,
    slant,
    slant_obstacle,
)
from landscape_study.landscapes.figures.sizes import fitting_columns, paper_width
from landscape_study.landscapes.figures.style import (
    column_ticks,
    column_title,
    row_ticks,
    row_title,
    ticks,
)
from landscape_study.landscapes.reading.landscape import Landscape, RowCol, top_cells
from landscape_study.landscapes.reference import circled_cells
from landscape_study.landscapes.statistics.edges import TOP, Edge, edges, usual_top
from landscape_study.landscapes.statistics.units import joint_units
from landscape_study.study.errors import UsageError
from landscape_study.study.records.witness_record import DOUBT
from landscape_study.study.spec.figure_kinds import Over
from landscape_study.study.spec.metric import SPAN, TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis

CONTOURS = (0.5, 1.0, 2.0)  # points above the best, where lines of equal error are asked for
ROWS = 4  # of axes on a page of paper
BAR = 0.9  # inches of the colour bar on the screen
PLAIN = Axis(values=(1.0,))  # its titles have no multiplier


@dataclass(frozen=True)
class HeatmapRecord:
    """What the heatmap of one landscape shows."""

    title: str
    summary: tuple[str, ...]  # phrases under the title; lines break between them only
    x_title: str
    x_labels: tuple[str, ...]  # [L], of a refined grid those of the grid
    y_title: str
    y_labels: tuple[str, ...]  # [A], likewise
    zero_apart: bool  # whether λ = 0 is the first of several columns
    error: tuple[tuple[RowCol, float], ...]  # values of the metric, of the cells that have one
    missing: tuple[RowCol, ...]
    diverged: tuple[RowCol, ...]  # any seed diverged
    circled: tuple[RowCol, ...]  # the best values, best first
    scale: tuple[float, float]  # values at the ends of the colours, ascending; clipped beyond
    label: str  # of the colour bar
    contours: tuple[tuple[float, float], ...] = ()  # how much worse than the best; the value there
    edges: tuple[Edge, ...] = ()  # borders on which best cells lie
    reference: tuple[tuple[float, float], ...] = ()  # (row, column) of a publication's best cells
    doubtful: bool = False  # whether the panel's witness disagrees
    metric: Metric = TEST_ERROR
    between: Between | None = None  # of a scattered landscape, whose axes are continuous
    pruned: tuple[RowCol, ...] = ()  # before their end
    slant: Slant | None = None  # where cells lie over their timescale; None over λ
    log: bool = False  # whether colours go by the logarithm
    refinement: Refinement | None = None  # of a refined grid: where its cells lie

    def left(self, col: float) -> float:
        """Return where column `col` begins on the x axis."""
        return col + GAP if self.zero_apart and col else col

    def center(self, cell: RowCol | tuple[float, float]) -> tuple[float, float]:
        """Return the middle of a cell, or a place between cells: x, y."""
        if self.slant is not None:
            return self.slant.center(cell)
        places = self.between or self.refinement
        if places is not None:
            return places.x.place(cell[1]), places.y.place(cell[0])
        return self.left(cell[1]) + 0.5, cell[0] + 0.5

    @property
    def size(self) -> tuple[float, float]:
        """How long the axes are, in columns and rows."""
        if self.slant is not None:
            return self.slant.length, float(len(self.y_labels))
        places = self.between or self.refinement
        if places is not None:
            return places.x.length, places.y.length
        return self.left(len(self.x_labels)), float(len(self.y_labels))

    @property
    def ticks(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Where the labels of x and of y stand."""
        rows = tuple(row + 0.5 for row in range(self.rows))
        if self.slant is not None:
            return self.slant.ticks, rows
        places = self.between or self.refinement
        if places is not None:
            return places.x.ticks, places.y.ticks
        return tuple(self.center((0, col))[0] for col in range(len(self.x_labels))), rows

    @property
    def rows(self) -> int:
        """Values of α, where they are a whole grid's."""
        return len(self.y_labels)

    def side(self, cell: RowCol) -> float:
        """How wide and high a cell is drawn."""
        return 1.0 if self.refinement is None else self.refinement.size(cell)

    def corners(self, cell: RowCol, inset: float = 0.0) -> Corners:
        """Those of a cell of a grid, from the lower left one around it."""
        if self.slant is not None:
            return self.slant.corners(cell, inset)
        row, col = cell
        x, y, side = self.left(col) + inset, row + inset, 1 - 2 * inset
        if self.refinement is not None:
            side *= self.side(cell)
            x, y = (middle - side / 2 for middle in self.center(cell))
        return (x, y), (x + side, y), (x + side, y + side), (x, y + side)


@dataclass(frozen=True)
class HeatmapsRecord:
    """What a figure of several heatmaps shows, in reading order, on one colour scale."""

    heatmaps: tuple[HeatmapRecord, ...]
    columns: int
    label: str  # of the one colour bar
    relative: bool = False  # whether colours count from each heatmap's own best error
    width: float | None = None  # inches of the figure; chosen by the cells if None

    @property
    def rows(self) -> int:
        """Rows of axes."""
        return -(-len(self.heatmaps) // self.columns)


def possible_over(landscapes: Sequence[Landscape], wished: Over) -> Over:
    """What a study wishes its heatmaps to have to the right; λ where one cannot have that."""
    return "lambda" if any(map(slant_obstacle, landscapes)) else wished


def heatmap_record(
    landscape: Landscape,
    *,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    top: int | None = None,
    contours: Sequence[float] = (),
    reference: str | None = None,
    over: Over = "lambda",
) -> HeatmapRecord:
    """Say what `plot_heatmap` draws; best cells of a `reference` where the grid holds them."""
    if over not in get_args(Over):
        raise UsageError(f"over = '{over}': choose one of {', '.join(get_args(Over))}")
    slanted = slant(landscape) if over == "timescale" else None
    shown = between(landscape) if landscape.is_scattered else None
    refined = refinement(landscape)
    cells = [(row, col) for row, col in np.argwhere(landscape.is_cell).tolist()]
    if refined is not None:  # the smaller ones lie over the larger ones
        cells.sort(key=lambda cell: -refined.size(cell))
    drawn = ~np.isnan(landscape.error)
    pruned = tuple(one.cell for one in landscape.pruned)
    grid = landscape.grid
    across, up = (PLAIN, PLAIN) if shown else (grid.columns, grid.rows)
    x_labels = shown.x.labels if shown else ticks(across, name=grid.names[1]).labels
    x_title = column_title(landscape, across)
    return HeatmapRecord(
        title=landscape.title,
        summary=summary(landscape),
        x_title=x_title if slanted is None else TIMESCALE_TITLE,
        x_labels=x_labels if slanted is None else slanted.labels,
        y_title=row_title(landscape, up),
        y_labels=shown.y.labels if shown else ticks(up, name=grid.names[0]).labels,
        zero_apart=slanted is None and landscape.has_zero and len(x_labels) > 1,
        error=tuple((cell, float(landscape.error[cell])) for cell in cells if drawn[cell]),
        missing=()
        if shown
        else tuple(cell for cell in cells if not drawn[cell] and cell not in pruned),
        diverged=tuple(cell for cell in cells if landscape.diverged[cell]),
        circled=tuple(top_cells(landscape, usual_top(landscape) if top is None else top)),
        scale=color_scale([landscape], span=span, scale=scale),
        label=error_label([landscape]),
        contours=contour_levels([landscape], contours),
        edges=edges(landscape, TOP if top is None else top),
        reference=_reference_places(landscape, reference) if reference else (),
        doubtful=landscape.doubtful,
        metric=landscape.metric,
        between=shown,
        pruned=pruned,
        slant=slanted,
        refinement=refined,
    )


def heatmaps_record(
    landscapes: Sequence[Landscape],
    *,
    columns: int | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    top: int | None = None,
    contours: Sequence[float] = (),
    reference: str | None = None,
    relative: bool = False,
    width: float | str | None = None,
    over: Over = "lambda",
) -> HeatmapsRecord:
    """Say what `plot_heatmaps` draws; equal axis titles stand once per row or column."""
    if not landscapes:
        raise UsageError("no landscapes to draw: name at least one panel")
    if relative and scale is not None:
        raise UsageError(f"scale = {scale} and relative colours: give one of them")
    if columns is not None and columns < 1:
        raise UsageError(f"columns = {columns}: a figure needs at least 1")
    count = len(landscapes)
    inches = None if width is None else paper_width(width)
    columns = min(columns or choose_columns(count, inches, right=BAR), count)
    if not relative:
        scale = color_scale(landscapes, span=span, scale=scale)
    records = [
        heatmap_record(
            landscape,
            span=span,
            scale=scale,
            top=top,
            contours=contours,
            reference=reference,
            over=over,
        )
        for landscape in landscapes
    ]
    if not relative:
        levels = contour_levels(landscapes, contours)
        records = [replace(record, contours=levels) for record in records]
    x_titles = [record.x_title for record in records]
    y_titles = [record.y_title for record in records]
    for i, record in enumerate(records):
        row = i - i % columns
        same_x = len(set(x_titles[i % columns :: columns])) == 1
        same_y = len(set(y_titles[row : row + columns])) == 1
        records[i] = replace(
            record,
            x_title="" if same_x and i + columns < count else x_titles[i],
            y_title="" if same_y and i > row else y_titles[i],
        )
    label = _relative_label(landscapes[0].metric) if relative else error_label(landscapes)
    return HeatmapsRecord(tuple(records), columns, label, relative, inches)


def _relative_label(metric: Metric) -> str:
    """Title the colour bar of panels that each have a scale of their own."""
    unit = f"{metric.differences} " if metric.unit else ""
    return f"{metric.title} ({unit}{'above' if metric.sign > 0 else 'below'} the panel's best)"


def _reference_places(landscape: Landscape, reference: str) -> tuple[tuple[float, float], ...]:
    """Where a publication's best cells of the same pair lie on this grid, which may be another.

    Between two values of an axis they are placed by their logarithm; those beyond it are left
    out. A publication's own landscape has circles already.
    """
    if not landscape.panel or not landscape.is_usual:
        return ()
    places = [
        (_place(landscape.rows, alpha), _place(landscape.columns, lambda_))
        for alpha, lambda_ in circled_cells(reference, landscape.pair)
    ]
    return tuple((row, col) for row, col in places if row is not None and col is not None)


def _place(axis: Axis, value: float) -> float | None:
    """Index on the axis, fractional between two values; None beyond them."""
    if value == 0:
        return 0.0 if axis.values[0] == 0 else None
    octaves = np.log2(axis.positive)
    octave = np.log2(value)
    if not octaves.size or not octaves[0] - 1e-9 <= octave <= octaves[-1] + 1e-9:
        return None
    zeros = len(axis.values) - octaves.size
    return float(np.interp(octave, octaves, np.arange(octaves.size))) + zeros


def color_scale(
    landscapes: Sequence[Landscape],
    *,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Values at the ends of the colours: from the best of all landscapes to `span` worse.

    Ascending; the best is the upper end where more is better. Diverged cells do not count; where
    nothing else is finished, the best is 0. A given `scale` is returned as it is.

    Raises:
        UsageError: a span that is not positive, or a scale that does not ascend.
    """
    if scale is not None:
        if not scale[0] < scale[1]:
            raise UsageError(f"scale = {scale}: give two ascending values such as (3, 7)")
        return scale
    usual, metric = usual_span(landscapes), landscapes[0].metric
    span = usual if span is None else span
    if not span > 0:
        example = f"{usual:g} {metric.differences}".rstrip()
        raise UsageError(f"span = {span}: give a positive difference, such as {example}")
    best = best_value(landscapes)
    end = 0.0 if best is None else best
    return (end, end + span) if metric.sign > 0 else (end - span, end)


def usual_span(landscapes: Sequence[Landscape]) -> float:
    """How far from the best the colours go where nobody says, in the metric's unit."""
    return SPAN * joint_units(landscapes).size


def best_value(landscapes: Sequence[Landscape]) -> float | None:
    """The best value of all landscapes, diverged cells left out; None if there is none."""
    best = [float(one.error[top_cells(one, 1)[0]]) for one in landscapes if top_cells(one, 1)]
    sign = landscapes[0].metric.sign
    return min(best, key=lambda value: sign * value, default=None)


def contour_levels(
    landscapes: Sequence[Landscape], excesses: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    """How much worse than the best of all landscapes the lines are, and the values there.

    Raises:
        UsageError: an excess that is not positive and finite.
    """
    for excess in excesses:
        if not 0 < excess < math.inf:
            raise UsageError(
                f"contours = {excess:g}: give positive points above the best, such as {CONTOURS}"
            )
    best, sign = best_value(landscapes), landscapes[0].metric.sign
    return () if best is None else tuple((e, best + sign * e) for e in sorted(set(excesses)))


def choose_columns(
    count: int, width: float | None, wish: int | None = None, **sizes: float
) -> int:
    """Choose how many axes stand in a row: 2 × 2, 3 × 2, 3 × 3, 4 × 3, or as wished for.

    They are fewer on narrow paper, but no more rows than a page holds. `sizes` as of
    `fitting_columns`.
    """
    usual = (1, 2, 3, 2)[count - 1] if count <= 4 else 3 if count in (5, 6, 9) else 4
    columns = wish or usual
    if width is None:
        return columns
    return max(min(columns, fitting_columns(width, **sizes)), -(-count // ROWS))


def summary(landscape: Landscape) -> tuple[str, ...]:
    """Say where the best cell lies, and how much of the grid is there."""
    finished, count = int(np.sum(landscape.n > 0)), int(np.sum(landscape.is_cell))
    if not finished:
        return ("nothing finished yet",)
    doubt, best = doubt_phrases(landscape), top_cells(landscape, 1)
    stopped = f", {len(landscape.pruned)} pruned" if landscape.pruned else ""
    partial: tuple[str, ...] = ()
    if landscape.is_scattered:
        partial = (f"({finished} trials{stopped}, interpolated)",)
    elif finished < count:
        partial = (f"({finished} of {count} cells{stopped})",)
    elif landscape.is_chosen:
        partial = (f"({count} chosen cells)",)
    if not best:
        return (*doubt, "every finished cell diverged", *partial)
    row, col = best[0]
    return (
        *doubt,
        f"best {value_phrase(landscape, (row, col))}",
        f"at {landscape.symbols[0]} = {row_ticks(landscape).names[row]},",
        f"{landscape.symbols[1]} = {column_ticks(landscape).names[col]}",
        *partial,
    )


def value_phrase(landscape: Landscape, cell: RowCol) -> str:
    """The value of a cell with its standard error and unit: "2.31 ± 0.12 %"."""
    digits, stderr = joint_units([landscape]).digits, landscape.stderr[cell]
    spread = f" ± {stderr:.{digits}f}" if np.isfinite(stderr) else ""
    return f"{landscape.error[cell]:.{digits}f}{spread} {landscape.metric.unit}".rstrip()


def doubt_phrases(landscape: Landscape) -> tuple[str, ...]:
    """Begin the summary of a landscape that is not what a plain loop gives."""
    return tuple(f"{DOUBT};".split()) if landscape.doubtful else ()


def error_label(landscapes: Sequence[Landscape]) -> str:
    """Title the colour bar: "test error (%), mean over 3 seeds"."""
    title = landscapes[0].metric.label
    counts = {int(n) for landscape in landscapes for n in landscape.n[landscape.n > 0]}
    if not counts:
        return title
    low, high = min(counts), max(counts)
    if high == 1:
        return f"{title}, 1 seed"
    return f"{title}, mean over {f'{low} to ' if low < high else ''}{high} seeds"
