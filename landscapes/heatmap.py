"""Heatmaps of landscapes: coupled (a diagonal basin) or separable (an upright one).

Each figure is made in two steps: a frozen record of what will be drawn, then its drawing.

    plot_heatmap   = heatmap_record,  draw_heatmap     one landscape into one axes
    plot_heatmaps  = heatmaps_record, draw_heatmaps    several into a figure

The records are those of `landscapes.heatmap_record`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from landscapes.contours import draw_contours
from landscapes.heatmap_edges import draw_edges
from landscapes.heatmap_parts import (
    DIVERGED,
    boxes,
    draw_colorbar,
    draw_marks,
    draw_ticks,
    draw_titles,
    legend,
)
from landscapes.heatmap_record import (
    SPAN,
    TOP,
    HeatmapRecord,
    HeatmapsRecord,
    default_columns,
    heatmap_record,
    heatmaps_record,
)
from landscapes.landscape import Landscape
from landscapes.style import FAINT, TEXT, NotebookFigure, colormap, print_letters

NARROWEST = 2.2  # inches of a page that a heatmap needs with its words
CMAP = "mako"  # perceptually uniform, dark is good, works in grey; "jet" is the paper's


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
    error carry circles and the best one a star. Arrowheads outside the grid show best cells
    on its border (`landscapes.edges`).

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
    reference: str | None = None,
    relative: bool = False,
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
        reference: a published figure whose best cells are marked where a grid holds them; a key
            of `landscapes.reference.REFERENCES`.
        relative: whether each panel's colours begin at its own best error, for landscapes of
            different tasks.
        width: of the figure in inches, with letters sized for print (`style.WIDTHS` has those
            of papers); chosen by the number of cells, for a screen, if None.

    Raises:
        UsageError: no landscapes, or impossible columns, span, scale or width.
    """
    landscapes = tuple(landscapes)
    if columns is None and width is not None:
        columns = max(min(int(width // NARROWEST), default_columns(len(landscapes))), 1)
    record = heatmaps_record(
        landscapes,
        columns=columns,
        span=span,
        scale=scale,
        top=top,
        reference=reference,
        relative=relative,
    )
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
        boxes(record, [cell for cell, _ in record.error]),
        array=np.clip([error for _, error in record.error], None, 1e6),  # inf has no colour
        cmap=colormap(cmap),
        norm=Normalize(low, high),
        edgecolors="white",
        linewidths=0.5,
        gid="error",
    )
    missing = PolyCollection(
        boxes(record, record.missing, inset=0.06),
        facecolors="none",
        edgecolors=FAINT,
        linewidths=0.5,
        gid="missing",
    )
    diverged = PolyCollection(
        boxes(record, record.diverged),
        **DIVERGED,
        gid="diverged",
    )
    for collection in (errors, missing, diverged):
        ax.add_collection(collection, autolim=False)
    ax.set(xlim=(0, record.left(len(record.x_labels))), ylim=(0, len(record.y_labels)))
    if contours:
        draw_contours(record, ax)
    draw_marks(record, ax)
    draw_edges(record, ax)
    draw_ticks(record, ax)
    draw_titles(record, ax)
    if cbar:
        draw_colorbar(errors, [ax], record.label)
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
    colors: ScalarMappable = axes[0].collections[0]
    if record.relative:
        low, high = record.heatmaps[0].scale
        colors = ScalarMappable(Normalize(0, high - low), colormap(cmap))
    draw_colorbar(colors, axes, record.label)
    handles = legend(record.heatmaps)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=TEXT,
    )
    return figure
