"""The parts of a heatmap: cells, marks, ticks, titles, colour bar, legend.

A cell is one unit high and wide on the axes.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from landscapes.heatmap_edges import EDGE, POINTS
from landscapes.heatmap_record import HeatmapRecord, RowCol
from landscapes.style import FAINT, INK, TEXT, TICK, TITLE, points

DIVERGED: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "0.45",
    "hatch": "////",
    "linewidth": 0,
}
CIRCLE: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markerfacecolor": "none",
    "markeredgecolor": "white",
    "markeredgewidth": 1.2,
    "path_effects": [patheffects.withStroke(linewidth=2.6, foreground=INK)],
}
REFERENCE: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markerfacecolor": "none",
    "markeredgecolor": "#E69F00",  # orange of the colour-blind safe Okabe-Ito palette
    "markeredgewidth": 1.3,
    "path_effects": [patheffects.withStroke(linewidth=2.6, foreground=INK)],
}
STAR: dict[str, Any] = {
    "linestyle": "none",
    "marker": "*",
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "markeredgewidth": 0.6,
}


def boxes(
    record: HeatmapRecord, cells: Iterable[RowCol], inset: float = 0.0
) -> list[list[tuple[float, float]]]:
    """Return the corners of each cell."""
    boxes = []
    for row, col in cells:
        x, y = record.left(col) + inset, row + inset
        side = 1 - 2 * inset
        boxes.append([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])
    return boxes


def _cell_size(ax: Axes) -> tuple[float, float]:
    """Width and height of a cell in points, as the axes stands now."""
    box = ax.get_window_extent()
    inch = ax.figure.dpi / 72
    return box.width / ax.get_xlim()[1] / inch, box.height / ax.get_ylim()[1] / inch


def draw_marks(record: HeatmapRecord, ax: Axes) -> None:
    """Draw circles that show on every colour, a star on the best cell, a reference's diamonds."""
    size = float(np.clip(0.6 * min(_cell_size(ax)), 3, 13))
    if record.circled:
        x, y = np.transpose([record.center(cell) for cell in record.circled])
        ax.plot(x, y, **CIRCLE, markersize=size, gid="circles")
        ax.plot(x[:1], y[:1], **STAR, markersize=0.85 * size, gid="best")
    if record.reference:
        x, y = np.transpose([record.center(place) for place in record.reference])
        ax.plot(x, y, **REFERENCE, markersize=0.6 * size, gid="reference")


def draw_ticks(record: HeatmapRecord, ax: Axes) -> None:
    """Draw a tick per value; labels turn, and then thin out, where they would overlap."""
    width, height = _cell_size(ax)
    letter = points(TICK)
    longest = 0.62 * letter * max(map(len, record.x_labels))
    upright = longest > 0.95 * width
    every_x = math.ceil(1.1 * letter / width) if upright else 1
    every_y = math.ceil(1.1 * letter / height)
    columns, rows = range(len(record.x_labels))[::every_x], range(len(record.y_labels))[::every_y]
    ax.set_xticks(
        [record.center((0, col))[0] for col in columns],
        [record.x_labels[col] for col in columns],
        rotation=90 if upright else 0,
    )
    ax.set_yticks([row + 0.5 for row in rows], [record.y_labels[row] for row in rows])
    ax.tick_params(labelsize=TICK, length=2, width=0.6, pad=2)
    ax.spines[:].set_visible(False)


def draw_titles(record: HeatmapRecord, ax: Axes) -> None:
    """Draw the titles; under the main one the summary in as many lines as it takes."""
    ax.set_xlabel(record.x_title, fontsize=TEXT)
    ax.set_ylabel(record.y_title, fontsize=TEXT)
    room = ax.get_window_extent().width / ax.figure.dpi * 72
    phrases = [phrase.replace(" ", "\xa0") for phrase in record.summary]
    letters = max(int(room / (0.52 * points(TEXT))), 1)
    lines = textwrap.wrap(" ".join(phrases), letters, break_long_words=False)
    ax.annotate(
        "\n".join(lines).replace("\xa0", " "),
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        va="bottom",
        fontsize=TEXT,
        color=INK,
        gid="summary",
    )
    above = 6 + 1.4 * points(TEXT) * len(lines)
    letters = max(int(room / (0.66 * points(TITLE))), 1)  # bold ones
    title = textwrap.fill(record.title, letters, break_long_words=False, break_on_hyphens=False)
    ax.set_title(title, loc="left", fontsize=TITLE, fontweight="bold", pad=above)


def draw_colorbar(errors: ScalarMappable, axes: Sequence[Axes], label: str) -> None:
    """Draw a colour bar whose arrow says that the errors go on above it."""
    low = errors.get_clim()[0]
    below = any(
        np.min(np.asarray(ax.collections[0].get_array()), initial=np.inf) < low for ax in axes
    )
    bar = axes[0].figure.colorbar(
        errors, ax=axes, extend="both" if below else "max", aspect=40, fraction=0.05, pad=0.02
    )
    boxes = [ax.get_window_extent() for ax in axes]
    inches = (max(box.y1 for box in boxes) - min(box.y0 for box in boxes)) / axes[0].figure.dpi
    bar.set_label(label if inches > 2.2 else label.replace(", ", "\n"), fontsize=TEXT)
    bar.ax.tick_params(labelsize=TICK, length=2, width=0.6)
    bar.outline.set_visible(False)


def legend(heatmaps: Sequence[HeatmapRecord]) -> list[Artist]:
    """Explain the marks that occur in a figure."""
    handles: list[Artist] = []
    circled = max(len(heatmap.circled) for heatmap in heatmaps)
    if circled > 1:
        handles.append(
            Line2D(
                [],
                [],
                **CIRCLE | {"markerfacecolor": "0.6"},
                markersize=7,
                label=f"{circled} best cells",
            )
        )
    if circled:
        handles.append(Line2D([], [], **STAR, markersize=7, label="best cell"))
    if any(heatmap.reference for heatmap in heatmaps):
        handles.append(Line2D([], [], **REFERENCE, markersize=5, label="the paper's best cells"))
    if any(heatmap.diverged for heatmap in heatmaps):
        handles.append(Patch(**DIVERGED, label="diverged (any seed)"))
    if any(heatmap.missing for heatmap in heatmaps):
        handles.append(Patch(facecolor="none", edgecolor=FAINT, label="not finished"))
    if any(heatmap.edges for heatmap in heatmaps):
        handles.append(
            Line2D([], [], **EDGE, marker=">", markersize=POINTS, label="best cells on the border")
        )
    return handles
