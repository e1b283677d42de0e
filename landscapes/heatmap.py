"""Heatmaps of landscapes: coupled (a diagonal basin) or separable (an upright one).

Each figure is made in two steps: a frozen record of what will be drawn, then its drawing.

    plot_heatmap   = heatmap_record,  draw_heatmap     one landscape into one axes
    plot_heatmaps  = heatmaps_record, draw_heatmaps    several into a figure

The records are those of `landscapes.heatmap_record`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from landscapes.contours import draw_contours
from landscapes.heatmap_record import (
    SPAN,
    TOP,
    HeatmapRecord,
    HeatmapsRecord,
    RowCol,
    default_columns,
    heatmap_record,
    heatmaps_record,
)
from landscapes.landscape import Landscape
from landscapes.style import (
    FAINT,
    INK,
    TEXT,
    TICK,
    TITLE,
    NotebookFigure,
    colormap,
    points,
    print_letters,
)

NARROWEST = 2.2  # inches of a page that a heatmap needs with its words
CMAP = "mako"  # perceptually uniform, dark is good, works in grey; "jet" is the paper's
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
STAR: dict[str, Any] = {
    "linestyle": "none",
    "marker": "*",
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "markeredgewidth": 0.6,
}


def plot_heatmap(
    landscape: Landscape,
    *,
    ax: Axes | None = None,
    span: float = SPAN,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int = TOP,
    contours: bool = False,
    cbar: bool = True,
) -> Axes:
    """Draw a landscape: α upwards, λ to the right, colour the test error.

    One column or row per value of the grid, all equally wide and in ascending order, also
    where octaves are left out or the values are no powers of two. λ = 0 stands apart. Cells
    of which any seed diverged are hatched, missing cells are blank, the `top` cells of lowest
    error carry circles and the best one a star.

    Args:
        landscape: what to draw.
        ax: where; the current axes if None.
        span: points of error from the best cell to the end of the colours.
        scale: errors (percent) at the ends of the colours, instead of best to best + span.
        cmap: name of a colour map, or the map itself; "jet" is the paper's.
        top: how many cells to circle.
        contours: whether to draw lines of equal error, at 0.5, 1, 2 … points above the best.
        cbar: whether to add a colour bar.
    """
    record = heatmap_record(landscape, span=span, scale=scale, top=top)
    ax = plt.gca() if ax is None else ax
    return draw_heatmap(record, ax, cmap=cmap, contours=contours, cbar=cbar)


def plot_heatmaps(
    landscapes: Iterable[Landscape],
    *,
    columns: int | None = None,
    span: float = SPAN,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int = TOP,
    contours: bool = False,
    width: float | None = None,
) -> Figure:
    """Draw landscapes side by side, in reading order, on one colour scale.

    Args:
        landscapes: what to draw: sgd, sgdw, adam, adamw give the paper's Figure 2.
        columns: axes in a row; chosen by their number if None.
        span: points of error from the best cell of all to the end of the colours.
        scale: errors (percent) at the ends of the colours, instead of best to best + span.
        cmap: name of a colour map, or the map itself; "jet" is the paper's.
        top: how many cells of each landscape to circle.
        contours: whether to draw lines of equal error, at 0.5, 1, 2 … points above the best.
        width: of the figure in inches, with letters sized for print (`style.WIDTHS` has those
            of papers); chosen by the number of cells, for a screen, if None.

    Raises:
        UsageError: no landscapes, or impossible columns, span, scale or width.
    """
    landscapes = tuple(landscapes)
    if columns is None and width is not None:
        columns = max(min(int(width // NARROWEST), default_columns(len(landscapes))), 1)
    record = heatmaps_record(landscapes, columns=columns, span=span, scale=scale, top=top)
    return draw_heatmaps(record, cmap=cmap, contours=contours, width=width)


def draw_heatmap(
    record: HeatmapRecord,
    ax: Axes,
    *,
    cmap: str | Colormap = CMAP,
    contours: bool = False,
    cbar: bool = True,
) -> Axes:
    """Draw `record`: collections error, missing, diverged; lines circles, best (their gids)."""
    low, high = record.scale
    errors = PolyCollection(
        _boxes(record, [cell for cell, _ in record.error]),
        array=np.clip([error for _, error in record.error], None, 1e6),  # inf has no colour
        cmap=colormap(cmap),
        norm=Normalize(low, high),
        edgecolors="white",
        linewidths=0.5,
        gid="error",
    )
    missing = PolyCollection(
        _boxes(record, record.missing, inset=0.06),
        facecolors="none",
        edgecolors=FAINT,
        linewidths=0.5,
        gid="missing",
    )
    diverged = PolyCollection(
        _boxes(record, record.diverged),
        **DIVERGED,
        gid="diverged",
    )
    for collection in (errors, missing, diverged):
        ax.add_collection(collection, autolim=False)
    ax.set(xlim=(0, record.left(len(record.x_labels))), ylim=(0, len(record.y_labels)))
    if contours:
        draw_contours(record, ax)
    _draw_marks(record, ax)
    _draw_ticks(record, ax)
    _draw_titles(record, ax)
    if cbar:
        _draw_colorbar(errors, [ax], record.label)
    return ax


def draw_heatmaps(
    record: HeatmapsRecord,
    *,
    cmap: str | Colormap = CMAP,
    contours: bool = False,
    width: float | None = None,
) -> Figure:
    """Draw `record` into a figure of its own, sized so that cells are about square."""
    if width is None:
        return _draw_figure(record, Size.of_screen(record), cmap, contours)
    with print_letters(width):
        return _draw_figure(record, Size.of_print(record, width), cmap, contours)


@dataclass(frozen=True)
class Size:
    """Of a figure of heatmaps, in inches."""

    axes: tuple[float, float]  # width and height of one
    figure: tuple[float, float]

    @classmethod
    def of_screen(cls, record: HeatmapsRecord) -> Size:
        """As large as the cells ask for, and the words around them."""
        widest, highest = _most_cells(record)
        width = float(np.clip(0.28 * widest, 2.3, 3.3))
        height = float(np.clip(width / widest * highest, 1.3, 3.3))
        beside, above = 0.65, 0.85  # for the words
        whole = record.columns * (width + beside) + 0.9, record.rows * (height + above) + 0.3
        return cls((width, height), whole)

    @classmethod
    def of_print(cls, record: HeatmapsRecord, whole: float) -> Size:
        """As wide as the page asks for; the words around the axes are those of a small print."""
        widest, highest = _most_cells(record)
        beside, above, bar = 0.4, 0.68, 0.55
        width = max((whole - bar) / record.columns - beside, 0.3)
        height = float(np.clip(width / widest * highest, 0.8, 1.6 * width))
        return cls((width, height), (whole, record.rows * (height + above) + 0.2))


def _most_cells(record: HeatmapsRecord) -> tuple[int, int]:
    """Columns and rows of the largest grids of a figure."""
    return (
        max(len(heatmap.x_labels) for heatmap in record.heatmaps),
        max(len(heatmap.y_labels) for heatmap in record.heatmaps),
    )


def _draw_figure(
    record: HeatmapsRecord, size: Size, cmap: str | Colormap, contours: bool
) -> Figure:
    engine = ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.05)
    figure = NotebookFigure(figsize=size.figure, layout=engine)
    # Until it is drawn, axes of about the size that the layout will give them: marks, ticks
    # and line breaks are chosen by it. 0.2 is matplotlib's space between subplots.
    place = {
        "left": 0.0,
        "bottom": 0.0,
        "right": size.axes[0] * (1.2 * record.columns - 0.2) / size.figure[0],
        "top": size.axes[1] * (1.2 * record.rows - 0.2) / size.figure[1],
    }
    grid = figure.subplots(record.rows, record.columns, squeeze=False, gridspec_kw=place)
    axes = list(grid.flat)[: len(record.heatmaps)]
    for ax in list(grid.flat)[len(record.heatmaps) :]:
        ax.remove()
    for heatmap, ax in zip(record.heatmaps, axes, strict=True):
        draw_heatmap(heatmap, ax, cmap=cmap, contours=contours, cbar=False)
    _draw_colorbar(axes[0].collections[0], axes, record.label)
    handles = _legend(record.heatmaps)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=TEXT,
    )
    return figure


def _boxes(
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


def _draw_marks(record: HeatmapRecord, ax: Axes) -> None:
    """Draw circles that show on every colour, and a star on the best cell."""
    if not record.circled:
        return
    size = float(np.clip(0.6 * min(_cell_size(ax)), 3, 13))
    x, y = np.transpose([record.center(cell) for cell in record.circled])
    ax.plot(x, y, **CIRCLE, markersize=size, gid="circles")
    ax.plot(x[:1], y[:1], **STAR, markersize=0.85 * size, gid="best")


def _draw_ticks(record: HeatmapRecord, ax: Axes) -> None:
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


def _draw_titles(record: HeatmapRecord, ax: Axes) -> None:
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


def _draw_colorbar(errors: ScalarMappable, axes: Sequence[Axes], label: str) -> None:
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


def _legend(heatmaps: Sequence[HeatmapRecord]) -> list[Artist]:
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
    if any(heatmap.diverged for heatmap in heatmaps):
        handles.append(Patch(**DIVERGED, label="diverged (any seed)"))
    if any(heatmap.missing for heatmap in heatmaps):
        handles.append(Patch(facecolor="none", edgecolor=FAINT, label="not finished"))
    return handles
