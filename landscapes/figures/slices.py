"""Slices through landscapes: the metric against λ at each α, with the best λ marked.

    plot_slices        = slices_record,        draw_slices           one landscape into one axes
    plot_slices_figure = slices_figure_record, draw_slices_figure    several into a figure

The records are those of `figures.slices_record`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape_study.landscapes.figures.heatmaps.heatmap_labels import align_titles, draw_titles
from landscape_study.landscapes.figures.sizes import (
    add_legend,
    fit_height,
    make_layout,
    paper_fonts,
    subplots,
)
from landscape_study.landscapes.figures.slices_record import (
    LEGEND,
    Slice,
    SlicesFigureRecord,
    SlicesRecord,
    slices_figure_record,
    slices_record,
)
from landscape_study.landscapes.figures.style import INK, TICK, points, value_axis
from landscape_study.landscapes.reading.landscape import Landscape

SHADES = "viridis"  # rises in lightness, in any kind of colour vision
LIGHTEST = 0.88  # share of it that still shows on white
MARKERS = "osD^vPhd<>pH8"
STAR: dict[str, Any] = {"marker": "*", "markeredgecolor": INK, "markeredgewidth": 0.5}
CROSS: dict[str, Any] = {"marker": "x", "color": INK, "markeredgewidth": 0.9}
BEYOND: dict[str, Any] = {"markeredgecolor": INK, "markeredgewidth": 0.4}


def plot_slices(
    landscape: Landscape,
    *,
    by: str | None = None,
    values: Sequence[float] | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the test error against λ for every α, with bars of ± one standard error.

    λ is on a log2 axis, λ = 0 apart on its left. A star marks the best λ of each α. Diverged
    and missing cells break a line; a cross marks where it ends beside a diverged cell. Errors
    above the axis are shown by triangles on its upper edge. So is any other metric; where more
    of it is better, the triangles stand on the lower edge.

    Args:
        landscape: what to draw.
        by: "alpha" draws a line for each α; "lambda" one for each λ, against α. Of other axes
            likewise; a line for each row if None.
        values: of α (or λ) to draw; if None, at most 8 that come into the picture, evenly
            chosen, the one of the best cell among them.
        span: from the best cell to the other end of the axis, in the metric's unit; 12 times what
            matters if None (3 points of error).
        scale: values at the ends of the axis, ascending, instead of best to best ± span.
        ax: where; the current axes if None.

    Raises:
        UsageError: an unknown `by`, a value off the grid, or impossible span or scale.
    """
    record = slices_record(landscape, by=by, values=values, span=span, scale=scale)
    return draw_slices(record, plt.gca() if ax is None else ax)


def plot_slices_figure(
    landscapes: Iterable[Landscape],
    *,
    by: str | None = None,
    columns: int | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    width: float | str | None = None,
) -> Figure:
    """Draw the slices through landscapes side by side, on one axis of values.

    Arguments as of `plot_slices` and `figures.heatmaps.heatmap.plot_heatmaps`.
    """
    record = slices_figure_record(
        tuple(landscapes), by=by, columns=columns, span=span, scale=scale, width=width
    )
    return draw_slices_figure(record)


def draw_slices(record: SlicesRecord, ax: Axes) -> Axes:
    """Draw `record`: per slice, lines with gids line, bars, best, end and above (or below)."""
    ax.set_ylim(*record.y_range)
    value_axis(ax.yaxis)
    x = [place for place, _ in record.x_ticks]
    step = (x[-1] - x[0]) / max(len(x) - 1, 1) or 1.0
    ax.set_xlim(x[0] - 0.5 * step, x[-1] + 0.5 * step)
    for i, one in enumerate(record.slices):
        shift = step * 0.5 * ((i + 0.5) / len(record.slices) - 0.5)
        _draw_slice(record, one, ax, shift)
    _draw_axes(record, ax)
    draw_titles(record, ax)
    handles = [_slice_handle(one) for one in record.slices]
    if handles:
        legend = ax.legend(
            handles=handles[::-1],
            title=record.legend_title.replace(", ", "\n").replace(" (", "\n("),
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
            fontsize=TICK,
            title_fontsize=TICK,
            handlelength=1.6,
            borderaxespad=0.2,
            alignment="left",
        )
        legend.set_gid("slices")
    return ax


def draw_slices_figure(record: SlicesFigureRecord) -> Figure:
    """Draw `record` into a figure of its own."""
    layout = make_layout(
        record.rows,
        record.columns,
        screen=3.0,
        aspect=0.8,
        legend=LEGEND,
        width=record.width,
    )
    with paper_fonts(record.width):
        figure, axes = subplots(layout, len(record.panels))
        for panel, ax in zip(record.panels, axes, strict=True):
            draw_slices(panel, ax)
        align_titles(axes, record.columns)
        add_legend(figure, _legend(record.panels))
        fit_height(figure, axes, layout)
    return figure


def _color(one: Slice) -> Any:
    return mpl.colormaps[SHADES](LIGHTEST * one.shade)


def _marker(one: Slice) -> str:
    return MARKERS[one.row % len(MARKERS)]


def _beyond(record: SlicesRecord) -> dict[str, Any]:
    """The triangles on the edge of an axes, towards worse values."""
    return BEYOND | {"marker": "^" if record.metric.sign > 0 else "v"}


def _draw_slice(record: SlicesRecord, one: Slice, ax: Axes, shift: float) -> None:
    """Draw the runs of a slice, its best point, and where it ends or leaves the axes."""
    color = _color(one)
    size = 0.45 * points(TICK)
    for run in one.runs:
        x, y, stderr = zip(*((p.x, p.error, p.stderr) for p in run), strict=True)
        bars = ax.errorbar(
            x,
            y,
            yerr=stderr if any(stderr) else None,
            color=color,
            marker=_marker(one),
            markersize=size,
            linewidth=1.0,
            elinewidth=0.7,
        )
        bars.lines[0].set_gid("line")
    if one.best is not None and record.shows(one.best):
        star = {"color": color, "markersize": 2.6 * size, "linestyle": "none", "zorder": 3}
        ax.plot(one.best.x, one.best.error, **STAR, **star, gid="best")
    inside = [point for point in one.ends if record.shows(point)]
    _scatter(ax, [p.x for p in inside], [p.error for p in inside], "end", CROSS, 2 * size)
    out = [point.x + shift for run in one.runs for point in run if not record.shows(point)]
    gid = "above" if record.metric.sign > 0 else "below"
    style = _beyond(record) | {"color": color}
    _scatter(ax, out, [record.edge] * len(out), gid, style, 1.2 * size)


def _scatter(
    ax: Axes, x: list[float], y: list[float], gid: str, style: dict[str, Any], size: float
) -> None:
    if x:
        style = style | {"markersize": size, "linestyle": "none", "zorder": 4}
        ax.plot(x, y, **style, clip_on=False, gid=gid)


def _draw_axes(record: SlicesRecord, ax: Axes) -> None:
    """Draw ticks, thinned out where they would overlap, and the break beside 0."""
    room = ax.get_window_extent().width / ax.figure.dpi * 72
    every = math.ceil(1.2 * points(TICK) * len(record.x_ticks) / room)
    first = int(record.gap is not None)
    shown = [*record.x_ticks[:first], *record.x_ticks[first:][::every]]
    longest = max(len(label) for _, label in shown)
    upright = 0.62 * points(TICK) * longest * len(shown) > 0.9 * room
    ax.set_xticks(
        [x for x, _ in shown], [label for _, label in shown], rotation=90 if upright else 0
    )
    ax.tick_params(labelsize=points(TICK), length=2, width=0.6, pad=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.5)
    ax.set_axisbelow(True)
    if record.gap is not None:
        across = [(-0.6, -1.0), (0.6, 1.0)]  # the slanted strokes of a broken axis
        width = (ax.get_xlim()[1] - ax.get_xlim()[0]) / room
        ax.plot(
            [record.gap - 2 * width, record.gap + 2 * width],
            [0, 0],
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            marker=across,
            markersize=6,
            color=INK,
            markeredgewidth=0.8,
            clip_on=False,
            gid="break",
        )


def _slice_handle(one: Slice) -> Line2D:
    size = 0.45 * points(TICK)
    style: dict[str, Any] = {"color": _color(one), "marker": _marker(one), "markersize": size}
    return Line2D([], [], **style, label=one.label)


def _legend(panels: Sequence[SlicesRecord]) -> list[Artist]:
    """Explain the marks that occur in a figure."""
    slices, first = [one for panel in panels for one in panel.slices], panels[0]
    cells = [point for one in slices for run in one.runs for point in run]
    handles: list[Artist] = []
    if any(one.best for one in slices):
        handles.append(_mark(STAR | {"color": "0.6"}, 8, "best of a line"))
    if any(point.stderr for point in cells):
        handles.append(_mark({"marker": "|", "color": INK}, 8, "± 1 standard error"))
    if any(first.shows(point) for one in slices for point in one.ends):
        handles.append(_mark(CROSS, 5, "next one diverged"))
    if not all(first.shows(point) for point in cells):
        what = f"{'higher' if first.metric.sign > 0 else 'lower'} {first.metric.noun}"
        handles.append(_mark(_beyond(first) | {"color": "0.6"}, 5, what))
    return handles


def _mark(style: dict[str, Any], size: float, label: str) -> Line2D:
    return Line2D([], [], **style, linestyle="none", markersize=size, label=label)
