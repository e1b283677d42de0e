"""Slices of a landscape: test error against λ at each α, with error bars over seeds.

    plot_slices = slices_record, draw_slices

Shapes: N points of a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscapes.heatmap_record import SPAN
from landscapes.landscape import Landscape, top_cells
from landscapes.style import (
    INK,
    TEXT,
    TICK,
    TITLE,
    NotebookFigure,
    alpha_title,
    lambda_title,
    print_letters,
    ticks,
)
from study.errors import UsageError
from study.spec import Axis

By = Literal["alpha", "lambda"]
MOST = 7  # slices by default: more cannot be told apart
BELOW = 0.12  # of the span, that the y axis shows below the best error
ZERO = 1.6  # octaves that λ = 0 stands left of the smallest positive λ
MARKERS = "osD^vPX*hp"


@dataclass(frozen=True)
class Slice:
    """Test error along one row (or column) of a landscape."""

    name: str  # of the value that is held: "1/16 × 0.1"
    x: tuple[float, ...]  # [N] octaves
    error: tuple[float, ...]  # [N] percent
    stderr: tuple[float, ...]  # [N] percent, over seeds; 0 for one seed
    best: int | None  # index of the lowest error; None where the slice has no point
    depth: float  # of its colour, 0 to 1: where its value lies among those held
    gaps: tuple[int, ...] = ()  # indices before which a cell is missing, diverged or λ = 0


@dataclass(frozen=True)
class SlicesRecord:
    """What `plot_slices` draws."""

    title: str
    slices: tuple[Slice, ...]
    held: str  # title of the legend
    x_title: str
    x_ticks: tuple[float, ...]
    x_labels: tuple[str, ...]
    y_limits: tuple[float, float]  # percent; what lies above is drawn at the upper one


def plot_slices(
    landscape: Landscape,
    *,
    by: By = "alpha",
    values: Sequence[float] | None = None,
    span: float = SPAN,
    ax: Axes | None = None,
) -> Axes:
    """Draw the test error against λ, a line for each α, with ± one standard error over seeds.

    The best λ of each α carries a star: if the stars stand above each other, the best λ does
    not depend on α. Errors beyond the axis are drawn as triangles at its top; lines end at
    cells that are missing or diverged.

    Args:
        landscape: what to draw.
        by: "alpha" holds α and runs along λ; "lambda" the other way round.
        values: which values to hold; up to seven of the grid, the best one among them, if None.
        span: points of error above the best cell that the axis shows.
        ax: where; the current axes if None.

    Raises:
        UsageError: a value that is not on the grid, or a span that is not positive.
    """
    record = slices_record(landscape, by=by, values=values, span=span)
    return draw_slices(record, plt.gca() if ax is None else ax)


def plot_slices_figure(
    landscapes: Sequence[Landscape],
    *,
    by: By = "alpha",
    span: float = SPAN,
    width: float | None = None,
) -> Figure:
    """Draw the slices of several landscapes side by side, on one y axis.

    Args:
        landscapes: what to draw.
        by: as of `plot_slices`.
        span: points of error above the best cell of all that the axes show.
        width: of the figure in inches, with letters sized for print; for a screen if None.

    Raises:
        UsageError: no landscapes, or an impossible span or width.
    """
    if not landscapes:
        raise UsageError("no landscapes to draw: name at least one panel")
    records = [slices_record(landscape, by=by, span=span) for landscape in landscapes]
    low = min(record.y_limits[0] for record in records)
    limits = (low, low + (1 + BELOW) * span)
    with nullcontext() if width is None else print_letters(width):
        return _draw_figure([replace(record, y_limits=limits) for record in records], width)


def _draw_figure(records: Sequence[SlicesRecord], width: float | None) -> Figure:
    columns = min(len(records), 2 if width is None else max(int(width // 2.7), 1))
    rows = -(-len(records) // columns)
    one = (width or 4.8 * columns) / columns
    figure = NotebookFigure(figsize=(one * columns, 0.68 * one * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for record, ax in zip(records, grid.flat, strict=False):
        draw_slices(record, ax)
    for ax in list(grid.flat)[len(records) :]:
        ax.remove()
    return figure


def slices_record(
    landscape: Landscape,
    *,
    by: By = "alpha",
    values: Sequence[float] | None = None,
    span: float = SPAN,
) -> SlicesRecord:
    """Say what `plot_slices` draws."""
    if not span > 0:
        raise UsageError(f"span = {span}: give a positive number of points, such as {SPAN:g}")
    along_lambda = by == "alpha"
    held, along = (
        (landscape.alpha, landscape.lambda_)
        if along_lambda
        else (landscape.lambda_, landscape.alpha)
    )
    best = top_cells(landscape, 1)
    best_at = best[0][0 if along_lambda else 1] if best else 0
    rows = _spread(len(held.values), best_at) if values is None else _places(held, values)
    names, depth = ticks(held).names, max(len(held.values) - 1, 1)
    slices = [_slice(landscape, row, along, along_lambda, names[row], row / depth) for row in rows]
    lowest = float(landscape.error[best[0]]) if best else 0.0
    return SlicesRecord(
        title=landscape.title,
        slices=tuple(slices),
        held="α" if along_lambda else "λ",
        x_title=(
            lambda_title(along, landscape.pair, landscape.normalized)
            if along_lambda
            else alpha_title(along)
        ),
        x_ticks=_octaves(along),
        x_labels=ticks(along).labels,
        y_limits=(lowest - BELOW * span, lowest + span),
    )


def _spread(count: int, best: int) -> list[int]:
    """Choose at most `MOST` of so many rows: evenly spaced, the best among them."""
    step = -(-count // MOST)
    return list(range(best % step, count, step))


def _places(axis: Axis, values: Sequence[float]) -> list[int]:
    places = []
    for value in values:
        near = [
            i for i, own in enumerate(axis.values) if np.isclose(own, value, rtol=1e-9, atol=0)
        ]
        if not near:
            known = ", ".join(f"{own:g}" for own in axis.values)
            raise UsageError(f"{value:g} is not on the grid: choose among {known}")
        places += near
    return places


def _octaves(axis: Axis) -> tuple[float, ...]:
    """Where the values stand on the axis: log2 of value / base; 0 apart on the left."""
    octaves = axis.exponents()
    if axis.values[0] > 0:
        return octaves
    return ((octaves[0] if octaves else 0.0) - ZERO, *octaves)


def _slice(
    landscape: Landscape, row: int, along: Axis, along_lambda: bool, name: str, depth: float
) -> Slice:
    """Cut through the landscape at index `row` of the axis that is held."""
    cut = (row, slice(None)) if along_lambda else (slice(None), row)
    error, stderr = landscape.error[cut], np.nan_to_num(landscape.stderr[cut])
    good = np.flatnonzero(np.isfinite(error) & (landscape.diverged[cut] == 0))
    x = np.array(_octaves(along))
    breaks = np.flatnonzero(np.diff(good) > 1) + 1
    after_zero = along.values[0] == 0 and good.size > 1 and good[0] == 0
    return Slice(
        name=name,
        x=tuple(x[good].tolist()),
        error=tuple(error[good].tolist()),
        stderr=tuple(stderr[good].tolist()),
        best=int(error[good].argmin()) if good.size else None,
        depth=depth,
        gaps=tuple(sorted({*breaks.tolist(), *([1] if after_zero else [])})),
    )


def draw_slices(record: SlicesRecord, ax: Axes) -> Axes:
    """Draw `record`: a line with bars per slice, stars on the best, triangles at the top."""
    palette = sns.color_palette("crest", as_cmap=True)
    high = record.y_limits[1]
    for i, one in enumerate(record.slices):
        color, marker = palette(one.depth), MARKERS[i % len(MARKERS)]
        x, error, stderr = np.array(one.x), np.array(one.error), np.array(one.stderr)
        pieces = np.split(np.arange(x.size), one.gaps)
        for piece in pieces:
            ax.errorbar(
                x[piece],
                error[piece],
                stderr[piece],
                color=color,
                marker=marker,
                markersize=3.5,
                linewidth=1.2,
                elinewidth=0.8,
                label=one.name if piece is pieces[0] else None,
            )
        above = x[error > high]
        if above.size:  # an unclipped line of no points would count as lying at (0, 0)
            top = np.full(above.size, high)
            ax.plot(above, top, "^", color=color, markersize=4, clip_on=False, gid="above")
        if one.best is not None and error[one.best] <= high:
            ax.plot(
                x[one.best],
                error[one.best],
                "*",
                color=color,
                markeredgecolor=INK,
                markeredgewidth=0.6,
                markersize=10,
                zorder=3,
                gid="best",
            )
    _draw_frame(record, ax)
    return ax


def _draw_frame(record: SlicesRecord, ax: Axes) -> None:
    """Draw titles, ticks, limits and the legend."""
    ax.set_title(record.title, loc="left", fontsize=TITLE, fontweight="bold")
    ax.set_xlabel(record.x_title, fontsize=TEXT)
    ax.set_ylabel("test error (%)", fontsize=TEXT)
    longest = max(map(len, record.x_labels))
    ax.set_xticks(record.x_ticks, record.x_labels, rotation=90 if longest > 4 else 0)
    ax.tick_params(labelsize=TICK)
    ax.set_ylim(*record.y_limits)
    ax.spines[["top", "right"]].set_visible(False)
    if record.slices:
        ax.legend(
            title=record.held,
            frameon=False,
            fontsize=TICK,
            title_fontsize=TEXT,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            reverse=True,
        )
