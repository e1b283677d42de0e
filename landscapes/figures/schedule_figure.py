"""Schedule figures: the multiplier η by epoch, drawn from a study alone.

plot_schedules = schedules_record, draw_schedules
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape_study.landscapes.figures.heatmaps.heatmap_record import choose_columns
from landscape_study.landscapes.figures.sizes import (
    fit_height,
    make_layout,
    paper_fonts,
    paper_width,
    subplots,
)
from landscape_study.landscapes.figures.style import FAINT, HUES, TEXT, TICK, points
from landscape_study.landscapes.reading.landscape import title
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.schedules import Schedule
from landscape_study.study.spec.study import Panel

POINTS = 1000  # of a curve
LABEL = 2.6  # letters that the name of an epoch takes
ROOM = 0.7  # inches that an axes is wider than a readable heatmap


@dataclass(frozen=True)
class ScheduleRecord:
    """η of one schedule over one budget."""

    title: str
    panels: tuple[str, ...]  # titles of those that have it
    epochs: int
    eta: tuple[tuple[float, float], ...]  # (epoch, η); two at one epoch where it jumps
    ends: tuple[int, ...]  # epochs after which a cycle has ended
    ticks: tuple[float, ...]  # epochs to name: where it begins, turns and ends


@dataclass(frozen=True)
class SchedulesRecord:
    """What a schedule figure shows: one axes per distinct schedule and budget."""

    schedules: tuple[ScheduleRecord, ...]
    columns: int
    width: float | None = None  # inches of the figure

    @property
    def rows(self) -> int:
        """Rows of axes."""
        return -(-len(self.schedules) // self.columns)


def plot_schedules(
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    width: float | str | None = None,
) -> Figure:
    """Draw η by epoch for every distinct schedule and budget, with the ends of its cycles.

    Args:
        panels: of a study; they name their budgets.
        columns: axes in a row; chosen by their number if None.
        width: inches of the figure, or "column" or "page" of a paper; for the screen if None.

    Raises:
        UsageError: no panels, a panel that leaves its budget to the task, impossible sizes.
    """
    return draw_schedules(schedules_record(panels, columns=columns, width=width))


def schedules_record(
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    width: float | str | None = None,
) -> SchedulesRecord:
    """Say what `plot_schedules` draws."""
    alike: dict[tuple[Schedule, int], list[str]] = {}
    for panel in panels:
        if panel.epochs is None:
            raise UsageError(f"panel '{panel.name}' names no budget: give its epochs")
        alike.setdefault((panel.schedule, panel.epochs), []).append(title(panel))
    if not alike:
        raise UsageError("no panels to draw: name at least one")
    inches = None if width is None else paper_width(width)
    columns = columns or choose_columns(len(alike), inches, legend=ROOM)
    return SchedulesRecord(
        tuple(_record(*key, titles) for key, titles in alike.items()),
        min(columns, len(alike)),
        inches,
    )


def _record(schedule: Schedule, epochs: int, titles: Sequence[str]) -> ScheduleRecord:
    ends = schedule.ends(epochs)
    turns = schedule.turns(epochs)
    jumps = [*ends, *turns, epochs]
    before = [jump * (1 - 1e-9) for jump in jumps]
    t = sorted({*np.linspace(0, epochs, POINTS).tolist(), *jumps, *before} - {float(epochs)})
    return ScheduleRecord(
        title=f"{schedule.label}, {epochs} epochs",
        panels=tuple(titles),
        eta=tuple((one, schedule.eta(one, epochs)) for one in t if one < epochs),
        epochs=epochs,
        ends=ends,
        ticks=tuple(sorted({0.0, *map(float, ends), *turns, float(epochs)})),
    )


def schedule_sentences(panels: Sequence[Panel]) -> tuple[str, ...]:
    """Where the cycles of each schedule end: a network of such an epoch is a solution."""
    return tuple(
        f"{', '.join(one.panels)}: {one.title}"
        + (f"; cycles end at {', '.join(map(str, one.ends))}" if len(one.ends) > 1 else "")
        for one in schedules_record(panels).schedules
    )


def draw_schedules(record: SchedulesRecord) -> Figure:
    """Draw `record` into a figure of its own: per axes, a line (gid eta), and lines (end)."""
    screen = 5.5 if record.columns == 1 else 3.6
    layout = make_layout(
        record.rows, record.columns, screen=screen, aspect=0.5, width=record.width
    )
    with paper_fonts(record.width):
        figure, axes = subplots(layout, len(record.schedules))
        for i, (one, ax) in enumerate(zip(record.schedules, axes, strict=True)):
            _draw(one, ax)
            ax.set_ylabel("η" if i % record.columns == 0 else "", fontsize=TEXT)
        fit_height(figure, axes, layout)
    return figure


def _draw(record: ScheduleRecord, ax: Axes) -> None:
    x, y = zip(*record.eta, strict=True)
    ax.plot(x, y, color=HUES[1], linewidth=1.3, gid="eta")
    for end in record.ends:
        ax.axvline(end, color=FAINT, linewidth=0.6, zorder=0, gid="end")
    ticks = _apart(record.ticks, record.epochs * LABEL * points(TICK) / _room(ax))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set(xlim=(0, 1.02 * record.epochs), ylim=(0, 1.04), yticks=(0, 0.5, 1))
    ax.set_xlabel("epoch", fontsize=TEXT)
    ax.tick_params(labelsize=TICK)
    ax.spines[["top", "right"]].set_visible(False)
    letters = int(_room(ax) / (0.56 * points(TEXT)))
    lines = [textwrap.fill(line, letters) for line in (record.title, ", ".join(record.panels))]
    ax.set_title("\n".join(lines), loc="left", fontsize=TEXT)


def _apart(ticks: Sequence[float], least: float) -> list[float]:
    """Those ticks that keep a distance; of two that crowd, the later one is kept."""
    kept: list[float] = []
    for tick in sorted(ticks, reverse=True):
        if not kept or kept[-1] - tick >= least:
            kept.append(tick)
    return kept[::-1]


def _room(ax: Axes) -> float:
    """Points that an axes is wide."""
    return ax.get_window_extent().width / ax.figure.dpi * 72
