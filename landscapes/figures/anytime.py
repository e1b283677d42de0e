"""Anytime figures: what the best run of each panel has after so many epochs.

    plot_anytime = anytime_record, draw_anytime

The records are those of `figures.anytime_record`, the sentences those of `statistics.restarts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from landscape_study.landscapes.figures.anytime_record import (
    AnytimeAxes,
    AnytimeRecord,
    Line,
    anytime_record,
)
from landscape_study.landscapes.figures.sizes import (
    add_words,
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
    alarm,
    line_width,
    log_axis,
    points,
    value_axis,
)
from landscape_study.landscapes.reading.panels import PanelData

MARKERS = "os^Dvp"  # of the pairs
NARROW = 4.5  # inches below which a label takes two lines


def plot_anytime(
    panels: Sequence[PanelData],
    curves: pd.DataFrame,
    *,
    metrics: Sequence[str] | None = None,
    columns: int | None = None,
    width: float | str | None = None,
) -> Figure:
    """Draw the best cell of each panel by epoch, mean over seeds ± one standard error.

    Of each panel the cell of the best final value is taken. Pairs have a colour and a marker;
    runs with restarts are solid, others dashed. Markers are the solutions: the ends of cycles,
    or of a run; faint lines are restarts. The axis shows the solutions and most of the later
    epochs, not all of the first ones.

    Args:
        panels: of one study (`reading.panels.study_panels`).
        curves: one row per panel, alpha, lambda, seed and epoch (`reading.frames`).
        metrics: names, one axes each: test_error, top5_error (percent), train_loss, test_loss, or
            the panels' own; that alone if None.
        columns: axes in a row; chosen by their number if None.
        width: inches of the figure, or "column" or "page" of a paper; for the screen if None.

    Raises:
        UsageError: metrics that are unknown or that the task does not have, or an impossible
            width.
    """
    record = anytime_record(panels, curves, metrics=metrics, columns=columns, width=width)
    return draw_anytime(record)


def draw_anytime(record: AnytimeRecord) -> Figure:
    """Draw `record` into a figure of its own: per axes, gids restart, line, band and end."""
    screen = 5.5 if len(record.axes) == 1 else 4.2
    layout = make_layout(
        record.rows, record.columns, screen=screen, aspect=0.62, width=record.width
    )
    with paper_fonts(record.width):
        figure, axes = subplots(layout, len(record.axes))
        for one, ax in zip(record.axes, axes, strict=True):
            _draw_axes(one, record.restarts, record.x_title, ax)
        add_words(figure, record.headline, _legend(record))
        alarm(label for legend in figure.legends for label in legend.get_texts())
        fit_height(figure, axes, layout)
    return figure


def _draw_axes(record: AnytimeAxes, restarts: Sequence[float], x_title: str, ax: Axes) -> None:
    for epoch in restarts:
        ax.axvline(epoch, color=FAINT, linewidth=0.6, zorder=0, gid="restart")
    pairs = _pairs(record.lines)
    for line in record.lines:
        _draw_line(line, _style(line, pairs), ax)
    if record.y_range is None:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "nothing recorded", transform=ax.transAxes, ha="center", color=INK)
    else:
        ax.set_ylim(*record.y_range)
    (log_axis if record.log else value_axis)(ax.yaxis)
    ax.set_xlim(left=0)
    ax.set_xlabel(x_title, fontsize=TEXT)
    ax.set_ylabel(record.y_title, fontsize=TEXT)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.tick_params(which="both", labelsize=TICK)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_line(line: Line, style: dict[str, Any], ax: Axes) -> None:
    epochs, mean, stderr = np.array(line.epochs), np.array(line.mean), np.array(line.stderr)
    marker, color = style["marker"], style["color"]
    plain = style | {"marker": None}
    ax.plot(epochs, mean, **plain, linewidth=line_width(epochs.size), gid="line")
    if stderr.any():
        low, high = mean - stderr, mean + stderr
        ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0, gid="band")
    ax.plot(
        [end for end, _ in line.solutions],
        [value for _, value in line.solutions],
        linestyle="none",
        marker=marker,
        markersize=0.7 * points(TICK),
        color=color,
        markeredgecolor=INK,
        markeredgewidth=0.5,
        zorder=3,
        clip_on=False,
        gid="end",
    )


def _pairs(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line.pair for line in lines))


def _style(line: Line, pairs: Sequence[str]) -> dict[str, Any]:
    """Colour and marker of the pair, and whether the line is solid."""
    i = pairs.index(line.pair)
    return {
        "color": HUES[i % len(HUES)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": "-" if line.restarts else (0, (4, 1.5)),
    }


def _legend(record: AnytimeRecord) -> list[Artist]:
    """A line for each panel, and what markers and faint lines are."""
    lines = record.axes[0].lines
    pairs = _pairs(lines)
    edge: dict[str, Any] = {
        "markeredgecolor": INK,
        "markeredgewidth": 0.5,
        "markersize": 0.7 * points(TICK),
    }
    narrow = record.width is not None and record.width < NARROW
    handles: list[Artist] = []
    for line in lines:
        label = line.label.replace(" at ", "\nat ") if narrow else line.label
        handles.append(Line2D([], [], **edge | _style(line, pairs), label=label))
    if record.restarts:
        handles.append(Line2D([], [], color=FAINT, linewidth=0.6, label="restart"))
    return handles
