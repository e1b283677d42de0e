"""The words of heatmaps: ticks, titles, the colour bar, sized by the room that an axes has."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from landscape_study.landscapes.figures.heatmaps.heatmap_record import HeatmapRecord
from landscape_study.landscapes.figures.style import (
    ALARM,
    INK,
    TEXT,
    TICK,
    TITLE,
    alarm,
    log_ticks,
    points,
)
from landscape_study.study.spec.metric import TEST_ERROR, Metric

OVERHANG = 1.4  # lengths of a colour bar that a line of its title may have: it may stand over


class Titled(Protocol):
    """What the record of any figure of one landscape says above and beside it."""

    @property
    def title(self) -> str:
        """The main title."""

    @property
    def summary(self) -> tuple[str, ...]:
        """Phrases under it; lines break between them only."""

    @property
    def x_title(self) -> str:
        """Of the axis to the right."""

    @property
    def y_title(self) -> str:
        """Of the axis upwards."""

    @property
    def doubtful(self) -> bool:
        """Whether the panel's witness disagrees."""


def cell_size(ax: Axes) -> tuple[float, float]:
    """Width and height of a cell in points, as the axes stands now."""
    box = ax.get_window_extent()
    inch = ax.figure.dpi / 72
    return box.width / ax.get_xlim()[1] / inch, box.height / ax.get_ylim()[1] / inch


def make_room(record: HeatmapRecord, ax: Axes) -> None:
    """Let a figure's layout make room for the words, so that what remains of the axes is known."""
    if ax.figure.get_layout_engine() is not None:  # it works only when a figure is drawn
        draw_ticks(record, ax)
        draw_titles(record, ax)
        ax.figure.canvas.figure.draw_without_rendering()


def draw_ticks(record: HeatmapRecord, ax: Axes) -> None:
    """Draw a tick per value; labels turn, and then thin out, where they would overlap."""
    x_ticks, y_ticks = record.ticks
    is_continuous = record.between is not None or record.slant is not None
    width, height = (
        size * float(np.diff(places).min(initial=np.inf if is_continuous else 1.0))
        for size, places in zip(cell_size(ax), record.ticks, strict=True)
    )
    letter = points(TICK)
    longest = 0.62 * letter * max(map(len, record.x_labels))
    upright = longest > 0.95 * width
    every_x = math.ceil(1.1 * letter / width) if upright else 1
    every_y = math.ceil(1.1 * letter / height)
    columns, rows = range(len(record.x_labels))[::every_x], range(len(record.y_labels))[::every_y]
    ax.set_xticks(
        [x_ticks[col] for col in columns],
        [record.x_labels[col] for col in columns],
        rotation=90 if upright else 0,
    )
    ax.set_yticks([y_ticks[row] for row in rows], [record.y_labels[row] for row in rows])
    ax.tick_params(labelsize=points(TICK), length=2, width=0.6, pad=2)
    ax.spines[:].set_visible(False)


def draw_titles(record: Titled, ax: Axes) -> None:
    """Draw the titles, or draw them anew; under the main one the summary, in several lines."""
    for old in [text for text in ax.texts if text.get_gid() == "summary"]:
        old.remove()
    room = ax.get_window_extent().height / ax.figure.dpi
    ax.set_ylabel(_broken(record.y_title, room), fontsize=TEXT)
    room = ax.get_window_extent().width / ax.figure.dpi * 72
    letters = max(int(1.15 * room / (0.55 * points(TEXT))), 1)  # it may stand out a little
    ax.set_xlabel(_wrapped(record.x_title, letters), fontsize=TEXT)
    phrases = [phrase.replace(" ", "\xa0") for phrase in record.summary]
    letters = max(int(room / (0.52 * points(TEXT))), 1)
    lines = textwrap.wrap(" ".join(phrases), letters, break_long_words=False)
    summary = ax.annotate(
        "\n".join(lines).replace("\xa0", " "),
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        va="bottom",
        fontsize=TEXT,
        color=ALARM if record.doubtful else INK,
        gid="summary",
    )
    # The title's pad keeps its height free. Its width must not count: a layout would make axes
    # narrower by what stands out, of which then more stands out, at every drawing.
    summary.set_in_layout(False)
    letters = max(int(room / (0.66 * points(TITLE))), 1)  # bold ones
    _set_title(ax, _balanced(record.title, letters), len(lines))


def align_titles(axes: Sequence[Axes], columns: int) -> None:
    """Let the titles of a row stand at one height, each with its summary right below it."""
    for start in range(0, len(axes), columns):
        row = axes[start : start + columns]
        summaries = [text for ax in row for text in ax.texts if text.get_gid() == "summary"]
        most = max((text.get_text().count("\n") for text in summaries), default=0)
        for ax, text in zip(row, summaries, strict=True):
            missing = most - text.get_text().count("\n")
            text.set_text(text.get_text() + "\n " * missing)
            _set_title(ax, ax.get_title(loc="left"), most + 1)


def _set_title(ax: Axes, title: str, lines: int) -> None:
    """Set the main title, above a summary of so many lines."""
    pad = 6 + 1.4 * points(TEXT) * lines
    alarm([ax.set_title(title, loc="left", fontsize=TITLE, fontweight="bold", pad=pad)])


def _balanced(title: str, letters: int) -> str:
    """Break a panel's title into lines of at most so many letters, all about as long."""

    def wrapped(width: int) -> list[str]:
        return textwrap.wrap(title, width, break_long_words=False, break_on_hyphens=False)

    fewest = len(wrapped(letters))
    return "\n".join(
        next(lines for w in range(1, letters + 1) if len(lines := wrapped(w)) <= fewest)
    )


def _wrapped(title: str, letters: int) -> str:
    """Break an axis title into lines of so many letters, never within "(× 0.001)"."""
    lines = textwrap.wrap(title.replace("(× ", "(×\xa0"), letters, break_long_words=False)
    return "\n".join(lines).replace("\xa0", " ")


def draw_colorbar(
    errors: ScalarMappable,
    axes: Sequence[Axes],
    label: str,
    metric: Metric = TEST_ERROR,
    *,
    open_end: bool = True,
) -> None:
    """Draw a colour bar whose arrows say where values go on beyond it; errors do so above.

    Args:
        errors: what has the colours.
        axes: beside which it stands.
        label: its title.
        metric: what it is of.
        open_end: whether an error may always be larger.
    """
    low, high = errors.get_clim()
    values = [np.asarray(ax.collections[0].get_array()) for ax in axes]
    below = any(np.min(value, initial=np.inf) < low for value in values)
    beyond = any(np.max(value, initial=-np.inf) > high for value in values)
    above = beyond or (open_end and metric.sign > 0)
    ends = "both" if below and above else "max" if above else "min" if below else "neither"
    bar = axes[0].figure.colorbar(
        errors,
        ax=axes if len(axes) > 1 else axes[0],  # beside a list of axes, tight_layout cannot work
        extend=ends,
        aspect=40,
        fraction=0.05,
        pad=0.02,
    )
    boxes = [ax.get_window_extent() for ax in axes]
    inches = (max(box.y1 for box in boxes) - min(box.y0 for box in boxes)) / axes[0].figure.dpi
    bar.set_label(_broken(label, inches), fontsize=TEXT)
    if isinstance(errors.norm, LogNorm):
        log_ticks(bar.ax.yaxis)
    bar.ax.tick_params(which="both", labelsize=points(TICK), length=2, width=0.6)
    bar.outline.set_visible(False)


def _broken(title: str, inches: float) -> str:
    """Break "test error (%), mean over 3 seeds" where so many inches are too short for it.

    What is far too long even so has its unit in a line of its own.
    """

    def inches_of(line: str) -> float:
        return 0.55 * points(TEXT) * len(line) / 72

    if inches_of(title) <= inches:
        return title
    lines = title.split(", ")
    if max(map(inches_of, lines)) > OVERHANG * inches:
        lines = [line.replace(" (", "\n(") for line in lines]
    return "\n".join(lines)
