"""Heatmaps of landscapes: coupled (a diagonal basin) or separable (an upright one).

Each figure is made in two steps: a frozen record of what will be drawn, then its drawing.

    plot_heatmap   = heatmap_record,  draw_heatmap     one landscape into one axes
    plot_heatmaps  = heatmaps_record, draw_heatmaps    several into a figure

The records are those of `figures.heatmaps.heatmap_record`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from landscape_study.landscapes.figures.heatmaps.heatmap_contours import (
    contour_handle,
    draw_contours,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_edges import EDGE, POINTS, draw_edges
from landscape_study.landscapes.figures.heatmaps.heatmap_interpolation import (
    PRUNED,
    RING,
    SIZE,
    SMALL,
    draw_interpolation,
    interpolation_handles,
    point_size,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_labels import (
    align_titles,
    cell_size,
    draw_colorbar,
    draw_ticks,
    draw_titles,
    make_room,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    BAR,
    HeatmapRecord,
    HeatmapsRecord,
    heatmap_record,
    heatmaps_record,
)
from landscape_study.landscapes.figures.sizes import (
    Layout,
    add_legend,
    fit_height,
    make_layout,
    paper_fonts,
    subplots,
)
from landscape_study.landscapes.figures.style import FAINT, INK, colormap
from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.study.spec.figure_kinds import Over
from landscape_study.study.spec.metric import TEST_ERROR

LINE = 0.5  # points between cells
SMALL_CIRCLE, SMALL_STAR = 3.0, 5.0  # points
APART = 0.85  # of the way to the nearest circle, the size of one: so they do not overlap
SMALLEST = 0.6  # times as large as for a whole grid are marks of small cells at least
THINNEST = 0.4  # times as thick are lines between them at least
CMAP = "mako"  # perceptually uniform, dark is good, works in grey; "jet" is the paper's
DIVERGED: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "0.45",
    "hatch": "////",
    "linewidth": 0,
}
PRUNED_SHARE = 0.4  # times as large as a circle around a cell, the mark of one that was pruned
CIRCLE: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markerfacecolor": "none",
    "markeredgecolor": "white",
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


def plot_heatmap(
    landscape: Landscape,
    *,
    ax: Axes | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int | None = None,
    contours: Sequence[float] = (),
    cbar: bool = True,
    over: Over = "lambda",
) -> Axes:
    """Draw a landscape: α upwards, λ to the right, colour the test error.

    One column or row per value of the grid, all equally wide and in ascending order, also
    where octaves are left out or the values are no powers of two. λ = 0 stands apart. Cells
    of which any seed diverged are hatched, missing cells are blank, pruned ones too but for a
    small ring; the `top` cells of lowest error carry circles and the best one a star. Arrowheads
    outside the grid show best cells on its border (`statistics.edges`).

    Args:
        landscape: what to draw.
        ax: where; the current axes if None.
        span: from the best cell to the end of the colours, in the metric's unit; 12 times what
            matters if None (3 points of error).
        scale: values of the metric at the ends of the colours, instead of best to best + span.
        cmap: name of a colour map, or the map itself; "jet" is the paper's.
        top: how many cells to circle; ten, or the best quarter of few, if None.
        contours: points above the best cell at which to draw lines of equal error.
        cbar: whether to add a colour bar.
        over: what the axis to the right is: λ, or the timescale of the decay in epochs.

    Raises:
        UsageError: impossible span, scale, contours, or a timescale that is not known.
    """
    record = heatmap_record(
        landscape, span=span, scale=scale, top=top, contours=contours, over=over
    )
    return draw_heatmap(record, plt.gca() if ax is None else ax, cmap=cmap, cbar=cbar)


def plot_heatmaps(
    landscapes: Iterable[Landscape],
    *,
    columns: int | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int | None = None,
    contours: Sequence[float] = (),
    reference: str | None = None,
    relative: bool = False,
    width: float | str | None = None,
    over: Over = "lambda",
) -> Figure:
    """Draw landscapes side by side, in reading order, on one colour scale.

    Args:
        landscapes: what to draw: sgd, sgdw, adam, adamw give the paper's Figure 2.
        columns: axes in a row; chosen by their number if None.
        span: from the best cell of all to the end of the colours, in the metric's unit; 12 times
            what matters if None (3 points of error).
        scale: values of the metric at the ends of the colours, instead of best to best + span.
        cmap: name of a colour map, or the map itself; "jet" is the paper's.
        top: how many cells of each landscape to circle; ten, or the best quarter of few, if None.
        contours: points above the best cell of all at which to draw lines of equal error.
        reference: a published figure whose best cells are marked where a grid holds them; a key
            of `reference.REFERENCES`.
        relative: whether each panel's colours (and contours) begin at its own best error, for
            landscapes of different tasks.
        width: inches of the whole figure, or "column" or "page" of a paper, with fonts to suit;
            sized by the number of cells if None.
        over: what the axis to the right is: λ, or the timescale of the decay in epochs.

    Raises:
        UsageError: no landscapes, impossible columns, span, scale, contours or width, or a
            timescale that is not known.
    """
    record = heatmaps_record(
        tuple(landscapes),
        columns=columns,
        span=span,
        scale=scale,
        top=top,
        contours=contours,
        reference=reference,
        relative=relative,
        width=width,
        over=over,
    )
    return draw_heatmaps(record, cmap=cmap)


def draw_heatmap(
    record: HeatmapRecord, ax: Axes, *, cmap: str | Colormap = CMAP, cbar: bool = True
) -> Axes:
    """Draw `record`: collections error, missing, diverged, contours; lines circles, best, pruned.

    These are the gids. There are contours only where a level lies between errors.
    """
    colours = colormap(cmap, record.metric)
    norm = (LogNorm if record.log else Normalize)(*record.scale)
    if record.between is None:
        errors: ScalarMappable = _draw_cells(record, ax, colours, norm)
    else:
        errors = draw_interpolation(record, ax, colours, norm)
    width, height = record.size
    ax.set(xlim=(0, width), ylim=(0, height))
    draw_contours(record, ax)
    if cbar:
        draw_colorbar(errors, [ax], record.label, record.metric)
        make_room(record, ax)
    _draw_marks(record, ax)
    draw_edges(record, ax)
    draw_ticks(record, ax)
    draw_titles(record, ax)
    return ax


def _draw_cells(
    record: HeatmapRecord, ax: Axes, cmap: Colormap, norm: Normalize
) -> PolyCollection:
    """Draw the cells of a grid; returns those that have a colour."""
    errors = PolyCollection(
        [record.corners(cell) for cell, _ in record.error],
        array=np.clip([error for _, error in record.error], -1e300, 1e300),  # inf has no colour
        cmap=cmap,
        norm=norm,
        edgecolors="white",
        linewidths=[LINE * max(record.side(cell), THINNEST) for cell, _ in record.error],
        gid="error",
    )
    missing = PolyCollection(
        [record.corners(cell, inset=0.06) for cell in record.missing],
        facecolors="none",
        edgecolors=FAINT,
        linewidths=0.5,
        gid="missing",
    )
    diverged = PolyCollection(
        [record.corners(cell) for cell in record.diverged],
        **DIVERGED,
        gid="diverged",
    )
    for collection in (errors, missing, diverged):
        ax.add_collection(collection, autolim=False)
    return errors


def heatmaps_layout(
    heatmaps: Sequence[HeatmapRecord], rows: int, columns: int, width: float | None
) -> Layout:
    """Axes for heatmaps, with cells about square where that has room."""
    widest, highest = np.max([heatmap.size for heatmap in heatmaps], axis=0).tolist()
    return make_layout(
        rows,
        columns,
        screen=float(np.clip(0.28 * widest, 2.3, 3.3)),
        aspect=highest / widest,
        right=BAR,
        width=width,
    )


def draw_heatmaps(record: HeatmapsRecord, *, cmap: str | Colormap = CMAP) -> Figure:
    """Draw `record` into a figure of its own."""
    layout = heatmaps_layout(record.heatmaps, record.rows, record.columns, record.width)
    with paper_fonts(record.width):
        figure, axes = subplots(layout, len(record.heatmaps))
        for heatmap, ax in zip(record.heatmaps, axes, strict=True):
            draw_heatmap(heatmap, ax, cmap=cmap, cbar=False)
        align_titles(axes, record.columns)
        metric = TEST_ERROR if record.relative else record.heatmaps[0].metric
        draw_colorbar(_colors(record, axes[0], cmap), axes, record.label, metric)
        add_legend(figure, heatmap_legend(record.heatmaps, colormap(cmap)))
        fit_height(figure, axes, layout)
    return figure


def _colors(record: HeatmapsRecord, ax: Axes, cmap: str | Colormap) -> ScalarMappable:
    """What the colour bar explains: the errors, or how far they are above each panel's best."""
    if not record.relative:
        return ax.collections[0]
    low, high = record.heatmaps[0].scale
    return ScalarMappable(Normalize(0, high - low), colormap(cmap))


def _draw_marks(record: HeatmapRecord, ax: Axes) -> None:
    """Draw circles that show on every colour, a star on the best cell, a reference's diamonds."""
    size = float(np.clip(0.6 * min(cell_size(ax)), SMALL_CIRCLE, 13))
    smallest = min(map(record.side, record.circled), default=1.0)
    size *= max(smallest, SMALLEST)
    if record.refinement is not None:
        size = min(size, APART * _least_way(record, cell_size(ax)))
    size = max(size, SMALL_CIRCLE)
    if record.between is not None:
        size = min(size, RING * point_size(len(record.error)))
    if record.pruned and record.between is None:
        x, y = np.transpose([record.center(cell) for cell in record.pruned])
        ax.plot(x, y, **PRUNED, markersize=PRUNED_SHARE * size, gid="pruned")
    if record.circled:
        x, y = np.transpose([record.center(cell) for cell in record.circled])
        ax.plot(x, y, **_circle(size), markersize=size, gid="circles")
        ax.plot(x[:1], y[:1], **STAR, markersize=max(0.85 * size, SMALL_STAR), gid="best")
    if record.reference:
        x, y = np.transpose([record.center(place) for place in record.reference])
        ax.plot(x, y, **REFERENCE, markersize=0.6 * size, gid="reference")


def _least_way(record: HeatmapRecord, cell: tuple[float, float]) -> float:
    """From a circled cell to the nearest other one, in points; infinite if there is none."""
    places = np.array([record.center(one) for one in record.circled]).reshape(-1, 2) * cell
    ways = np.hypot(*np.moveaxis(places[:, None] - places, -1, 0))
    return float(ways[ways > 0].min(initial=np.inf))


def _circle(size: float) -> dict[str, Any]:
    """Return how circles of so many points look: thinner where they are small."""
    scale = min(size / 9, 1)
    outline = patheffects.withStroke(linewidth=2.6 * scale, foreground=INK)
    return CIRCLE | {"markeredgewidth": 1.2 * scale, "path_effects": [outline]}


def heatmap_legend(heatmaps: Sequence[HeatmapRecord], cmap: Colormap) -> list[Artist]:
    """Explain the marks that occur in a figure."""
    handles: list[Artist] = interpolation_handles(heatmaps, cmap)
    counts = [len(heatmap.circled) for heatmap in heatmaps]
    circled, up_to = max(counts), "up to " if min(counts) < max(counts) else ""
    kind = "trial" if all(heatmap.between for heatmap in heatmaps) else "cell"
    if circled > 1:
        handles.append(
            Line2D(
                [],
                [],
                **_circle(7) | {"markerfacecolor": "0.6"},
                markersize=7,
                label=f"{up_to}{circled} best {kind}s",
            )
        )
    if circled:
        handles.append(Line2D([], [], **STAR, markersize=7, label=f"best {kind}"))
    if any(heatmap.reference for heatmap in heatmaps):
        handles.append(Line2D([], [], **REFERENCE, markersize=5, label="the paper's best cells"))
    if any(heatmap.diverged and heatmap.between is None for heatmap in heatmaps):
        handles.append(Patch(**DIVERGED, label="diverged (any seed)"))
    if any(heatmap.pruned and heatmap.between is None for heatmap in heatmaps):
        handles.append(Line2D([], [], **PRUNED, markersize=SMALL * SIZE, label="pruned"))
    if any(heatmap.missing for heatmap in heatmaps):
        handles.append(Patch(facecolor="none", edgecolor=FAINT, label="not finished"))
    if any(heatmap.edges for heatmap in heatmaps):
        where = "near" if kind == "trial" else "on"
        label = f"best {kind}s {where} the border"
        handles.append(Line2D([], [], **EDGE, marker=">", markersize=POINTS, label=label))
    if any(heatmap.contours for heatmap in heatmaps):
        handles.append(
            contour_handle([heatmap.contours for heatmap in heatmaps], heatmaps[0].metric)
        )
    return handles
