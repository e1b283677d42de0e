"""Draws the edges of a heatmap: an arrowhead outside the grid at each best cell on its border."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from landscape_study.landscapes.figures.heatmaps.heatmap_record import HeatmapRecord
from landscape_study.landscapes.statistics.edges import Edge

EDGE: dict[str, Any] = {
    "linestyle": "none",
    "markerfacecolor": "#d55e00",  # vermilion of the colour-blind safe Okabe-Ito palette
    "markeredgewidth": 0,
}
POINTS = 4.0  # size of an arrowhead: as much as ticks and summary leave
# Marker, and the direction in which it points, by axis (0: upwards) and side.
HEADS = {
    (0, "low"): ("v", (0, -1)),
    (0, "high"): ("^", (0, 1)),
    (1, "low"): ("<", (-1, 0)),
    (1, "high"): (">", (1, 0)),
}


def draw_edges(record: HeatmapRecord, ax: Axes) -> None:
    """Draw the edges of `record`: one line of markers a side, its name as gid."""
    for edge in record.edges:
        marker, (right, up) = _head(record, edge)
        away = POINTS / 2 / 72
        shift = ScaledTranslation(right * away, up * away, ax.figure.dpi_scale_trans)
        x, y = zip(*(_foot(record, cell, (right, up)) for cell in edge.cells), strict=True)
        ax.plot(
            x,
            y,
            **EDGE,
            marker=marker,
            markersize=POINTS,
            transform=ax.transData + shift,
            clip_on=False,
            scalex=False,
            scaley=False,
            gid=edge.name,
        )


def _head(record: HeatmapRecord, edge: Edge) -> tuple[str, tuple[int, int]]:
    """The marker of an edge, and where it points; over the timescale a larger λ is to the left."""
    side = edge.side
    if record.slant is not None and edge.along == 1:
        side = {"low": "high", "high": "low"}[side]
    return HEADS[edge.along, side]


def _foot(
    record: HeatmapRecord, cell: tuple[int, int], direction: tuple[int, int]
) -> tuple[float, float]:
    """Where on the border the arrowhead of a cell stands: x, y."""
    right, up = direction
    if record.between is not None:
        x, y = record.center(cell)
        return x + right / 2, y + up / 2
    if (
        record.refinement is not None and record.slant is None
    ):  # whose cells may be smaller than a step of the border
        (x, y), (width, height) = record.center(cell), record.size
        return {-1: 0.0, 0: x, 1: width}[right], {-1: 0.0, 0: y, 1: height}[up]
    low_left, low_right, high_right, high_left = record.corners(cell)
    sides = {
        (-1, 0): (low_left, high_left),
        (1, 0): (low_right, high_right),
        (0, -1): (low_left, low_right),
        (0, 1): (high_left, high_right),
    }
    x, y = np.mean(sides[direction], axis=0).tolist()
    return x, y
