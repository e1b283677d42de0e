"""What the live view shows of a running study; `live` draws it.

Shapes: A values of α (rows, upwards), L values of λ (columns), both ascending. A cell is
(row, column).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape_study.study.spec.metric import MATTERS, SPAN, TEST_ERROR, Metric

if TYPE_CHECKING:
    from landscape_study.study.spec.study import Panel, Study
    from landscape_study.study.store import CellMean, PanelProgress

WIDE = 1.2  # times the spread of the better half of the cells: the same where nobody said

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


def live_record(
    study: Study, progress: Sequence[PanelProgress], means: Sequence[CellMean]
) -> LiveRecord:
    """Say what the view shows of the study; what lies off its grids is left out."""
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
    return LiveRecord(panels, _scale(panels, study.metric), study.metric)


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
    alphas, lambdas = panel.grid.alpha.values, panel.grid.lambda_.values
    rows, cols = ({v: i for i, v in enumerate(values)} for values in (alphas, lambdas))
    placed = {
        (rows[m.alpha], cols[m.lambda_]): m for m in means if m.alpha in rows and m.lambda_ in cols
    }
    ranked = sorted((metric.sign * m.error, cell) for cell, m in placed.items() if not m.diverged)
    best = ranked[0][1] if ranked else None
    return LivePanel(
        name=panel.name,
        shape=(len(alphas), len(lambdas)),
        zero_apart=lambdas[0] == 0 and len(lambdas) > 1,
        error=tuple(sorted((cell, m.error) for cell, m in placed.items())),
        diverged=tuple(sorted(cell for cell, m in placed.items() if m.diverged)),
        best=best,
        news=_news(placed[best] if best else None, metric, any_finished=bool(placed)),
        done=state.ended if state else 0,
        total=state.total if state else 0,
        running=bool(state and state.running),
    )


def _news(best: CellMean | None, metric: Metric, *, any_finished: bool) -> tuple[str, str]:
    if best is None:
        return ("all diverged so far" if any_finished else "nothing finished", "")
    return f"best {metric.told(best.error)} at", f"α {best.alpha:.2g} λ {best.lambda_:.2g}"
