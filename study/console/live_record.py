"""What the live view shows of a running study; `live` draws it.

Shapes: A values of α (rows, upwards), L values of λ (columns), both ascending. A cell is
(row, column).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape_study.study.spec.cell_numbers import LAMBDA, common, symbols
from landscape_study.study.spec.grid import Axis, Grid
from landscape_study.study.spec.metric import MATTERS, SPAN, TEST_ERROR, Metric

if TYPE_CHECKING:
    from landscape_study.study.spec.study import Panel, Study
    from landscape_study.study.store import CellMean, PanelProgress

WIDE = 1.2  # times the spread of the better half of the cells: the same where nobody said

USUAL = 9  # values of an axis

RowCol = tuple[int, int]


@dataclass(frozen=True)
class LivePanel:
    """What the view shows of one panel."""

    name: str
    shape: RowCol  # (A, L)
    zero_apart: bool  # whether λ = 0 is the first of several columns
    error: tuple[tuple[RowCol, float], ...]  # of the metric, mean over the seeds finished so far
    diverged: tuple[RowCol, ...]  # any seed diverged
    best: RowCol | None  # the best value where no seed diverged
    news: tuple[str, str]  # under the name
    done: int  # cells over all seeds, as `total`
    total: int
    running: bool


@dataclass(frozen=True)
class LiveRecord:
    """What the view shows: all panels, on one colour scale."""

    panels: tuple[LivePanel, ...]
    scale: tuple[float, float]  # best and worst value of the colours; clipped beyond
    metric: Metric = TEST_ERROR
    symbols: tuple[str, str] = ("α", "λ")  # of what goes upwards, and to the right


def live_record(
    study: Study, progress: Sequence[PanelProgress], means: Sequence[CellMean]
) -> LiveRecord:
    """Say what the view shows of the study.

    What lies between the values of an axis is shown at the nearest one: the best of what is there.
    Where a sampler asks for cells anywhere, the axes are as those of a usual grid.
    """
    states = {p.panel: p for p in progress}
    panels = tuple(
        _panel(
            panel,
            states.get(panel.name),
            [m for m in means if m.panel == panel.name],
            study.metric,
        )
        for panel in study.panels
    )
    axes = symbols(common(panel.grid.names for panel in study.panels))
    return LiveRecord(panels, _scale(panels, study.metric), study.metric, axes)


def _scale(panels: Sequence[LivePanel], metric: Metric) -> tuple[float, float]:
    """Values at the ends of the colours: the best one so far, and one that is far worse."""
    costs = sorted(
        metric.sign * value
        for panel in panels
        for cell, value in panel.error
        if cell not in panel.diverged and math.isfinite(value)
    )
    costs = costs or [0.0]
    best, median, last = costs[0], costs[(len(costs) - 1) // 2], costs[-1]
    span = WIDE * (median - best or last - best) or 1.0
    if metric.matters is not None:
        span = SPAN / MATTERS * metric.matters
    return metric.sign * best, metric.sign * (best + span)


def _panel(
    panel: Panel, state: PanelProgress | None, means: list[CellMean], metric: Metric
) -> LivePanel:
    is_range = panel.sampled is not None and not panel.sampled.keeps_to_grid
    grid = panel.grid
    rows, columns = (_lines(one, is_range) for one in (grid.rows, grid.columns))
    places = {
        m.cell: (
            _nearest(grid.place(m.cell)[0], rows),
            _nearest(grid.place(m.cell)[1], columns),
        )
        for m in means
        if grid.spans(m.cell)
    }
    shown = [m for m in means if m.cell in places]
    shown.sort(key=lambda m: (bool(m.diverged), metric.sign * m.error), reverse=True)
    placed = {places[m.cell]: m for m in shown}  # the best one comes last
    best = places[shown[-1].cell] if shown and not shown[-1].diverged else None
    return LivePanel(
        name=panel.name,
        shape=(len(rows), len(columns)),
        zero_apart=grid.names[1] == LAMBDA and columns[0] == 0 and len(columns) > 1,
        error=tuple(sorted((cell, m.error) for cell, m in placed.items())),
        diverged=tuple(sorted(cell for cell, m in placed.items() if m.diverged)),
        best=best,
        news=_news(placed[best] if best else None, grid, metric, any_finished=bool(placed)),
        done=state.ended if state else 0,
        total=state.total if state else 0,
        running=bool(state and state.running),
    )


def _lines(axis: Axis, is_range: bool) -> tuple[float, ...]:
    """The values of an axis; of a range those of a usual grid."""
    low, high = axis.positive[:1], axis.positive[-1:]
    if not is_range or low == high:
        return axis.values
    ratio = high[0] / low[0]
    zero = axis.values[: len(axis.values) - len(axis.positive)]
    return (*zero, *(low[0] * ratio ** (i / (USUAL - 1)) for i in range(USUAL)))


def _nearest(value: float, values: Sequence[float]) -> int:
    """Index of the value that is nearest in log; 0 is near to none but 0."""
    if value == 0 or value in values:
        return values.index(value) if value in values else 0
    return min(
        (i for i, one in enumerate(values) if one > 0),
        key=lambda i: abs(math.log(values[i] / value)),
    )


def _news(
    best: CellMean | None, grid: Grid, metric: Metric, *, any_finished: bool
) -> tuple[str, str]:
    if best is None:
        return ("all diverged so far" if any_finished else "nothing finished", "")
    places = zip(symbols(grid.names), grid.place(best.cell), strict=True)
    where = " ".join(f"{symbol} {_few(value)}" for symbol, value in places)
    return f"best {metric.told(best.error)} at", where


def _few(value: float) -> str:
    """A value in two digits, or in as many as tell 0.999 from 1."""
    return f"{value:.2g}" if float(f"{value:.2g}") != 1 else f"{value:.6g}"
