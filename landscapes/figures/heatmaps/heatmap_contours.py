"""Iso-error lines on heatmaps, at round excesses above the best error of the figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from landscape_study.landscapes.figures.heatmaps.heatmap_record import HeatmapRecord
from landscape_study.landscapes.figures.heatmaps.heatmap_refinement import Refinement
from landscape_study.landscapes.figures.heatmaps.heatmap_slant import INFINITE, Slant
from landscape_study.landscapes.figures.style import INK, TICK, points
from landscape_study.landscapes.reading.landscape import Floats, RowCol
from landscape_study.landscapes.statistics.filling import filling
from landscape_study.study.spec.metric import TEST_ERROR, Metric

_OUTLINE = patheffects.withStroke(linewidth=2.0, foreground=INK)  # legible on every colour


def draw_contours(record: HeatmapRecord, ax: Axes) -> None:
    """Draw labelled lines (gid contours) between the centres of cells.

    Cells that diverged or are missing are left out with the squares around them, and the
    column of λ = 0 stands apart: no line crosses either.
    """
    x, y, good = _lattice(record)
    levels = {
        level: f"+{excess:g}"
        for excess, level in record.contours
        if good.count() and good.min() < level < good.max()
    }
    if not levels or min(good.shape) < 2:
        return
    lines = ax.contour(
        x, y, good, levels=list(levels), colors="white", linewidths=0.9, corner_mask=False
    )
    lines.set(gid="contours", path_effects=[_OUTLINE])
    labels = ax.clabel(lines, fmt=levels, fontsize=points(TICK), inline_spacing=2)
    for label in labels:
        label.set_path_effects([_OUTLINE])


def _lattice(record: HeatmapRecord) -> tuple[Floats, Floats, np.ma.MaskedArray[Any, Any]]:
    """Where values lie, x [L] and y [A], and the values [A, L]: of cells, or of the surface."""
    shown = record.between
    if shown is not None:
        good = np.ma.masked_invalid(np.array(shown.values, ndmin=2))
        left, right, bottom, top = shown.box
        rows, columns = good.shape
        return np.linspace(left, right, columns), np.linspace(bottom, top, rows), good
    if record.slant is not None:
        return _slanted(record, record.slant)
    first = int(record.zero_apart)
    if record.refinement is not None:
        return _refined(record, record.refinement, first)
    error = _of_cells(record, (record.rows, len(record.x_labels)))
    x, y = (np.array(places) for places in record.ticks)
    return x[first:], y, np.ma.masked_invalid(error[:, first:])


def _refined(
    record: HeatmapRecord, shown: Refinement, first: int
) -> tuple[Floats, Floats, np.ma.MaskedArray[Any, Any]]:
    """Of the cells of a refined grid, and between them where their lines cross."""
    x, y = np.array(shown.x.middles), np.array(shown.y.middles)
    return x[first:], y, np.ma.masked_invalid(_filled(record, shown, first))


def _filled(record: HeatmapRecord, shown: Refinement, first: int) -> Floats:
    """Values [A, L] of a refined grid without its first columns, interpolated between cells."""
    x, y = np.array(shown.x.middles), np.array(shown.y.middles)
    error = _of_cells(record, (y.size, x.size))
    cells = np.zeros(error.shape, dtype=bool)
    known = [*(cell for cell, _ in record.error), *record.missing, *record.pruned]
    cells[tuple(np.transpose(known))] = True
    on_grid = np.isin(y, shown.y.ticks)[:, None] & np.isin(x, shown.x.ticks)
    x, error, cells, on_grid = x[first:], error[:, first:], cells[:, first:], on_grid[:, first:]
    fill = filling(cells, cells & on_grid, y, x)
    return error if fill is None else fill(error)


def _slanted(
    record: HeatmapRecord, shown: Slant
) -> tuple[Floats, Floats, np.ma.MaskedArray[Any, Any]]:
    """Of cells over their timescale; x and y are those of each, [A, L]."""
    first = int(shown.labels[-1] == INFINITE)
    error = _of_cells(record, (len(shown.left), len(shown.left[0])))
    centers = [[shown.center(cell) for cell in row] for row in _cells(error)]
    x, y = np.moveaxis(np.array(centers), -1, 0)
    if record.refinement is None:
        error = error[:, first:]
    else:
        error = _filled(record, record.refinement, first)
    return x[:, first:], y[:, first:], np.ma.masked_invalid(error)


def _cells(error: Floats) -> list[list[RowCol]]:
    rows, columns = error.shape
    return [[(row, col) for col in range(columns)] for row in range(rows)]


def _of_cells(record: HeatmapRecord, shape: tuple[int, int]) -> Floats:
    """Values [A, L] of the cells that did not diverge; NaN elsewhere."""
    error = np.full(shape, np.nan)
    for cell, value in record.error:
        error[cell] = value
    for cell in record.diverged:
        error[cell] = np.nan
    return error


def contour_handle(
    contours: Sequence[Sequence[tuple[float, float]]], metric: Metric = TEST_ERROR
) -> Line2D:
    """Explain the lines of a figure's heatmaps in a legend; some may have none."""
    sign = metric.sign
    bests = {f"{level - sign * excess:.3g}" for levels in contours for excess, level in levels}
    if metric.unit == "%":
        bests = {f"{level - excess:.2f} %" for levels in contours for excess, level in levels}
    best = bests.pop() if len(bests) == 1 else "the panel's best"
    where = f"{metric.differences} {'above' if sign > 0 else 'below'} {best}".lstrip()
    return Line2D(
        [],
        [],
        color="white",
        linewidth=0.9,
        path_effects=[_OUTLINE],
        label=where,
    )
