"""Generalization figures, the paper's Figure 3: does equal training loss mean equal test error?

    plot_generalization = generalization_record, draw_generalization

The records are those of `figures.generalization_record`.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from landscape_study.landscapes.figures.curves import Curve
from landscape_study.landscapes.figures.generalization_record import (
    AXES,
    NO_LOSS,
    Family,
    Final,
    GeneralizationRecord,
    Member,
    generalization_record,
)
from landscape_study.landscapes.figures.sizes import (
    add_words,
    fit_height,
    make_layout,
    paper_fonts,
    subplots,
)
from landscape_study.landscapes.figures.style import (
    INK,
    SHADES,
    TEXT,
    TICK,
    alarm,
    line_width,
    log_axis,
    points,
    value_axis,
)
from landscape_study.landscapes.reading.panels import PanelData

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
MARKERS = "os^D"
EDGE: dict[str, Any] = {"markeredgecolor": INK, "markeredgewidth": 0.4}
NO_CURVES = "nothing recorded by epoch"
LIGHTEST, DARKEST = 0.35, 0.95  # of a map of shades, that show on white and differ


def plot_generalization(
    panels: Sequence[PanelData],
    curves: pd.DataFrame,
    *,
    columns: int | None = None,
    width: float | str | None = None,
) -> Figure:
    """Draw training loss and error by epoch, final error against λ and against training loss.

    Of each panel the cells of one α are drawn, that of its best cell, means over seeds. A panel
    has a family of colours, a line style and a marker, and λ has a shade, explained in strips
    below; λ = 0 is left out of the axis of λ. Bars are ± one standard error of final errors.
    Diverged cells have curves up to the epoch of divergence, and no final error.

    Args:
        panels: of one study (`reading.panels.study_panels`).
        curves: one row per panel, alpha, lambda, seed and epoch (`reading.frames`).
        columns: axes in a row; chosen by the width if None.
        width: inches of the figure, or "column" or "page" of a paper; for the screen if None.

    Raises:
        UsageError: an impossible width.
    """
    return draw_generalization(generalization_record(panels, curves, columns=columns, width=width))


def draw_generalization(record: GeneralizationRecord) -> Figure:
    """Draw `record` into a figure of its own: axes with gids, and a strip per family.

    The gids: training, test, factor, loss.
    """
    rows = -(-AXES // record.columns)
    layout = make_layout(rows, record.columns, screen=3.8, aspect=0.7, width=record.width)
    with paper_fonts(record.width):
        figure, axes = subplots(layout, AXES, strips=len(record.families))
        training, test, factor, loss = axes[:AXES]
        for i, family in enumerate(record.families):
            look = _look(i)
            for member in family.members:
                _draw_curve(member.loss, member, look, training)
                _draw_curve(member.error, member, look, test)
            ended = [(one, one.final) for one in family.members if one.final is not None]
            by_factor = [(one.lambda_, one, final) for one, final in ended if one.lambda_ > 0]
            by_loss = [(final.loss, one, final) for one, final in ended]
            if record.log:
                by_loss = [(x, one, final) for x, one, final in by_loss if x > 0]
            _draw_finals(by_factor, look, factor, record)
            _draw_finals(by_loss, look, loss, record)
            _draw_strip(family, look, axes[AXES + i])
        _finish(record, axes[:AXES])
        add_words(figure, record.headline, _legend(record))
        fit_height(figure, axes[:AXES], layout)
    return figure


def _look(i: int) -> dict[str, Any]:
    """Line style, marker and shades of the i-th family."""
    return {
        "linestyle": DASHES[i % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
        "shades": mpl.colormaps[SHADES[i % len(SHADES)]],
    }


def _color(member: Member, look: dict[str, Any]) -> Any:
    return look["shades"](LIGHTEST + (DARKEST - LIGHTEST) * member.shade)


def _draw_curve(curve: Curve, member: Member, look: dict[str, Any], ax: Axes) -> None:
    style = {"color": _color(member, look), "linestyle": look["linestyle"]}
    epochs = len(curve.epochs)
    marker = "." if epochs == 1 else ""  # a line of one point would not be seen
    ax.plot(
        curve.epochs, curve.mean, **style, marker=marker, linewidth=line_width(epochs), gid="curve"
    )


def _legend(record: GeneralizationRecord) -> list[Line2D]:
    """What triangles mean, where there are any."""
    finals = [member.final for member in record.members if member.final is not None]
    if not any(map(record.is_beyond, finals)):
        return []
    style = _beyond(record) | {"color": "0.6", "linestyle": "none"}
    return [Line2D([], [], **style, **EDGE, label="beyond the axis")]


def _beyond(record: GeneralizationRecord) -> dict[str, Any]:
    """The triangle of a final value that is worse than what the axis shows."""
    return {"marker": "^" if record.metric.sign > 0 else "v", "markersize": 0.6 * points(TICK)}


def _draw_finals(
    finals: Sequence[tuple[float, Member, Final]],
    look: dict[str, Any],
    ax: Axes,
    record: GeneralizationRecord,
) -> None:
    """Final values over x, joined in order of λ, with standard errors; triangles beyond."""
    x, y = [x for x, _, _ in finals], [final.error for _, _, final in finals]
    middle = look["shades"](0.6)
    ax.plot(x, y, color=middle, linestyle=look["linestyle"], linewidth=0.9, gid="joined")
    for place, member, final in finals:
        if record.is_beyond(final):
            style = _beyond(record) | {"color": _color(member, look)}
            ax.plot([place], [record.worst], **style, **EDGE, clip_on=False, gid="beyond")
            continue
        bars = ax.errorbar(
            [place],
            [final.error],
            yerr=[final.stderr] if final.stderr else None,
            color=_color(member, look),
            marker=look["marker"],
            markersize=0.6 * points(TICK),
            **EDGE,
            elinewidth=0.8,
            zorder=3,
        )
        bars.lines[0].set_gid("final")


def _draw_strip(family: Family, look: dict[str, Any], ax: Axes) -> None:
    """Each λ in its shade, line style and marker."""
    for i, member in enumerate(family.members):
        style = {"color": _color(member, look), "linestyle": look["linestyle"]}
        ax.plot([i - 0.38, i + 0.38], [0, 0], **style, linewidth=1.6)
        ax.plot(
            [i],
            [0],
            color=style["color"],
            marker=look["marker"],
            markersize=0.7 * points(TICK),
            **EDGE,
        )
    count = max(len(family.members), 1)
    labels = [member.name for member in family.members]
    room = ax.get_window_extent().width / ax.figure.dpi * 72
    upright = 0.62 * points(TICK) * max(map(len, labels), default=0) * count > 0.9 * room
    ax.set_xticks(range(len(labels)), labels, rotation=90 if upright else 0)
    ax.set(xlim=(-0.5, max(count, 7) - 0.5), ylim=(-1, 1), yticks=[])
    ax.tick_params(labelsize=TICK, length=0, pad=1)
    ax.spines[:].set_visible(False)
    title = textwrap.fill(f"{family.title}; {family.lambda_title}", int(room / 4.5))
    alarm([ax.set_title(title, loc="left", fontsize=TEXT, pad=2)])
    ax.set_gid("strip")


def _say_empty(ax: Axes, why: str) -> None:
    """Where nothing can be drawn, as on a logarithmic axis."""
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", fontsize=TEXT)
    ax.set(xticks=[], yticks=[])


def _finish(record: GeneralizationRecord, axes: Sequence[Axes]) -> None:
    """Titles, limits and scales."""
    training, test, factor, loss = axes
    for ax, gid in zip(axes, ("training", "test", "factor", "loss"), strict=True):
        ax.set_gid(gid)
        ax.tick_params(which="both", labelsize=TICK)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in (training, test):
        ax.set_xlabel(record.x_title, fontsize=TEXT)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    factor.set_xlabel(record.factor_title, fontsize=TEXT)
    loss.set_xlabel("final training loss", fontsize=TEXT)
    training.set_ylabel("training loss", fontsize=TEXT)
    test.set_ylabel(record.error_title, fontsize=TEXT)
    if record.error_range is None and record.families:
        _say_empty(test, NO_CURVES)
    final = f"final {re.sub('^final[ _]', '', record.error_title)}"
    for ax in (factor, loss):
        ax.set_ylabel(final, fontsize=TEXT)
    limits = (record.loss_range, record.error_range, record.final_range, record.final_range)
    for ax, limit in zip(axes, limits, strict=True):
        if limit is not None:
            ax.set_ylim(*limit)
            value_axis(ax.yaxis)
    _say_hidden([one.loss for one in record.members], training, record.loss_range)
    _say_hidden([one.error for one in record.members], test, record.error_range)
    _finish_scales(record, training, factor, loss)


def _finish_scales(record: GeneralizationRecord, training: Axes, factor: Axes, loss: Axes) -> None:
    """Make axes logarithmic, as far as they have anything to show."""
    members = record.members
    finals = [member.final.loss for member in members if member.final is not None]
    by_epoch = [value for member in members for value in member.loss.mean]
    if not members:
        return
    if any(member.lambda_ > 0 for member in members):
        log_axis(factor.xaxis)
    else:
        _say_empty(factor, "no λ above 0")
    for axis, values in ((training.yaxis, by_epoch), (loss.xaxis, finals)):
        known = [value for value in values if not math.isnan(value)]
        if not values and axis is loss.xaxis:  # nothing ended
            log_axis(axis)
        elif not known:
            elsewhere = any(not math.isnan(value) for value in (*by_epoch, *finals))
            _say_empty(axis.axes, NO_CURVES if elsewhere else _phrase(NO_LOSS))
        elif not record.log:
            value_axis(axis)
        elif any(value > 0 for value in known):
            log_axis(axis)
        else:
            _say_empty(axis.axes, "no training loss above 0")


def _phrase(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _say_hidden(curves: Sequence[Curve], ax: Axes, limit: tuple[float, float] | None) -> None:
    """How many curves have no point within the axis."""
    if limit is None:
        return
    low, high = limit
    hidden = sum(not any(low <= y <= high for y in curve.mean) for curve in curves if curve.mean)
    if hidden:
        told = f"{hidden} curve{'s' * (hidden != 1)} beyond the axis"
        place: dict[str, Any] = {"transform": ax.transAxes, "ha": "right", "va": "top"}
        ax.text(1, 1, told, **place, fontsize=TICK, color=INK, gid="hidden")
