"""Figures of laws: the best α and λ over a batch size, a budget or a width.

    plot_laws = law_record, draw_laws

The records are those of `figures.law_record`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from landscape_study.landscapes.figures.law_record import LawAxes, LawRecord, Point, law_record
from landscape_study.landscapes.figures.sizes import (
    add_legend,
    fit_height,
    make_layout,
    paper_fonts,
    subplots,
)
from landscape_study.landscapes.figures.style import (
    FAINT,
    HUES,
    INK,
    TEXT,
    TICK,
    log_ticks,
    points,
)
from landscape_study.landscapes.statistics.scaling_law import ScalingLaw

Style = dict[str, Any]  # of a published law's line

OURS = HUES[1]
THEIRS = (HUES[0], HUES[2], HUES[3], HUES[4], HUES[5], "0.4")
DASHES = ((0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)))
MOST_TICKS = 8
ROOM = 0.12  # of the axis, above and below: for the arrows of bounds
ARROW = 12  # points: how far the arrow of a bound reaches


def plot_laws(
    laws: Sequence[ScalingLaw], *, columns: int | None = None, width: float | str | None = None
) -> Figure:
    """Draw the best α, λ and their product over a third axis, a row for each family of panels.

    Both axes are logarithmic: a power law is a straight line. Points are the middles of basins
    with their 95 % intervals; an open one with an arrow is a bound, since the border cuts the
    basin. The band is that of the fitted line; dashed lines through its middle have the exponents
    that others published.

    Args:
        laws: of the families of a study (`statistics.scaling_law`).
        columns: axes in a row; those of a family if None.
        width: inches of the figure, or "column" or "page" of a paper; for the screen if None.

    Raises:
        UsageError: an impossible width.
    """
    return draw_laws(law_record(laws, columns=columns, width=width))


def draw_laws(record: LawRecord) -> Figure:
    """Draw `record` into a figure of its own: per axes, gids best, bound, fit, band, published."""
    columns = min(record.columns, len(record.axes))
    rows = -(-len(record.axes) // columns)
    layout = make_layout(rows, columns, screen=3.0, aspect=0.85, width=record.width)
    styles: dict[str, Style] = {
        label: {"color": THEIRS[i % len(THEIRS)], "linestyle": DASHES[i % len(DASHES)]}
        for i, label in enumerate(record.labels)
    }
    with paper_fonts(record.width):
        figure, axes = subplots(layout, len(record.axes))
        for one, ax in zip(record.axes, axes, strict=True):
            _draw_axes(one, styles, ax)
        add_legend(figure, _legend(record, styles), length=3.2)
        fit_height(figure, axes, layout)
    return figure


def _draw_axes(record: LawAxes, styles: dict[str, Style], ax: Axes) -> None:
    for one in record.published:
        style = styles[one.label]
        ax.plot(one.x, one.y, **style, linewidth=1.0, zorder=2.5, gid="published")
    if record.fit is not None:
        fit = record.fit
        ax.fill_between(
            fit.x, fit.low, fit.high, color=OURS, alpha=0.15, linewidth=0, zorder=0, gid="band"
        )
        ax.plot(fit.x, fit.y, color=OURS, linewidth=1.4, zorder=2, gid="fit")
    for point in record.points:
        _draw_point(point, ax)
    ax.set_title(f"{record.family}\n{record.title}", loc="left", fontsize=TEXT, color=INK)
    ax.set_xlabel(record.x_title, fontsize=TEXT)
    ax.set_ylabel(record.y_title, fontsize=TEXT)
    _scale(record, ax)
    ax.grid(color=FAINT, linewidth=0.3, zorder=-1)
    ax.tick_params(which="both", labelsize=TICK)
    ax.spines[["top", "right"]].set_visible(False)


def _scale(record: LawAxes, ax: Axes) -> None:
    """Logarithmic axes; to the right the values of panels, where they are few."""
    ax.set_xlim(*record.ends)
    ax.set(xscale="log", yscale="log")
    ax.margins(y=ROOM)
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)
    if not record.points:
        ax.text(0.5, 0.5, "cannot tell", transform=ax.transAxes, ha="center", color=INK)
        ax.yaxis.set_major_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
    if len(record.ticks) <= MOST_TICKS:
        ax.xaxis.set_major_locator(FixedLocator(list(record.ticks)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _draw_point(point: Point, ax: Axes) -> None:
    """A best value with its interval; a bound with an arrow to where the truth lies."""
    size = 0.8 * points(TICK)
    if not point.side:
        reach = [[point.y - point.low], [point.high - point.y]]
        ax.errorbar(
            point.x,
            point.y,
            yerr=reach,
            fmt="o",
            color=OURS,
            markersize=size,
            markeredgecolor=INK,
            markeredgewidth=0.5,
            elinewidth=1.2,
            capsize=2,
            zorder=3,
            gid="best",
        )
        return
    way = -ARROW if point.side == "below" else ARROW
    ax.plot(
        point.x,
        point.y,
        "o",
        markersize=size,
        markerfacecolor="white",
        markeredgecolor=OURS,
        zorder=3,
        gid="bound",
    )
    ax.annotate(
        "",
        xy=(point.x, point.y),
        xytext=(0, way),
        textcoords="offset points",
        arrowprops={"arrowstyle": "<-", "color": OURS, "linewidth": 1.0, "shrinkB": 2},
        gid="arrow",
    )


def _legend(record: LawRecord, styles: dict[str, Style]) -> list[Artist]:
    """What was found, bounds if there are any, and each published law."""
    handles: list[Artist] = [
        Line2D([], [], color=OURS, marker="o", markersize=4, label="found, with 95 % intervals")
    ]
    if any(point.side for axes in record.axes for point in axes.points):
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markersize=4,
                markerfacecolor="white",
                markeredgecolor=OURS,
                label="a bound: the best lies beyond the border",
            )
        )
    for label, style in styles.items():
        handles.append(Line2D([], [], label=label, **style))
    return handles
