"""Contours of a heatmap: lines of equal error at round distances from the best cell."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, withStroke

from landscapes.heatmap_record import HeatmapRecord
from landscapes.style import INK, TICK

STEPS = (0.5, 1.0, 2.0, 4.0, 8.0)  # points above the best cell; nearer ones are mostly noise


def draw_contours(record: HeatmapRecord, ax: Axes) -> Axes:
    """Draw lines of equal error between the cells' middles, labelled by points above the best.

    λ = 0 has no place on a logarithmic axis, and missing and diverged cells have no height:
    lines end there.
    """
    heights = _heights(record)
    if not record.circled or min(heights.shape) < 2:
        return ax
    best = dict(record.error)[record.circled[0]]
    levels = [best + step for step in STEPS if np.any(heights > best + step)]
    levels = [level for level in levels if level <= record.scale[1]]
    first = int(record.zero_apart)
    x = [record.center((0, col))[0] for col in range(first, len(record.x_labels))]
    y = [record.center((row, 0))[1] for row in range(len(record.y_labels))]
    if not levels or len(x) < 2:
        return ax
    lines = ax.contour(x, y, heights[:, first:], levels, colors="white", linewidths=1.0)
    outline: list[AbstractPathEffect] = [withStroke(linewidth=2.2, foreground=INK)]
    lines.set_path_effects(outline)
    lines.set_gid("contours")
    names = {level: f"+{level - best:g}" for level in levels}
    for text in ax.clabel(lines, fmt=names, fontsize=TICK, inline=True, inline_spacing=2):
        text.set_path_effects(outline)
        text.set_gid("contour label")
    return ax


def _heights(record: HeatmapRecord) -> np.ma.MaskedArray:
    """Errors of the cells that have one, [A, L]; masked elsewhere."""
    heights = np.full((len(record.y_labels), len(record.x_labels)), np.nan)
    for cell, error in record.error:
        heights[cell] = error
    for cell in record.diverged:
        heights[cell] = np.nan
    return np.ma.masked_invalid(heights)
