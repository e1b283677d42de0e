"""What anytime figures show: the best run of each panel by epoch; drawn by `figures.anytime`.

Shapes: E epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscape_study.landscapes.figures.best_runs import Best, best_runs, gap_sentences
from landscape_study.landscapes.figures.curves import require_recorded
from landscape_study.landscapes.figures.heatmap_record import choose_columns
from landscape_study.landscapes.figures.sizes import paper_width
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.restarts import Run, anytime_sentences
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import METRICS

START = 0.1  # share of a run whose high errors the axis need not show
SEEN = 0.6  # share of the later epochs that it shows
ROOM = 0.7  # inches that an axes is wider than a readable heatmap
MARGIN = 0.05  # of the axis, below and above


@dataclass(frozen=True)
class Line:
    """The best cell of a panel by epoch: mean over seeds."""

    label: str  # the panel, its final error and where
    pair: str
    restarts: bool
    epochs: tuple[int, ...]  # [E]
    mean: tuple[float, ...]  # [E]
    stderr: tuple[float, ...]  # [E] standard error over seeds; 0 for one seed
    ends: tuple[int, ...]  # epochs of the solutions: ends of cycles, or of the run


@dataclass(frozen=True)
class AnytimeAxes:
    """One metric of all panels."""

    y_title: str
    log: bool
    y_range: tuple[float, float] | None  # None where there is nothing to see
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class AnytimeRecord:
    """What an anytime figure shows: one axes per metric, side by side."""

    axes: tuple[AnytimeAxes, ...]
    restarts: tuple[int, ...]  # epochs after which some run restarts
    headline: tuple[str, ...]  # what is missing, and what restarts gain
    columns: int
    width: float | None = None  # inches of the figure

    @property
    def rows(self) -> int:
        """Rows of axes."""
        return -(-len(self.axes) // self.columns)


def anytime_record(
    panels: Sequence[PanelData],
    curves: pd.DataFrame,
    *,
    metrics: Sequence[str] = ("test_error",),
    columns: int | None = None,
    width: float | str | None = None,
) -> AnytimeRecord:
    """Say what `plot_anytime` draws."""
    if not metrics or not set(metrics) <= METRICS.keys():
        raise UsageError(f"metrics = {list(metrics)}: give some of {', '.join(METRICS)}")
    for metric in metrics:
        require_recorded(curves, metric)
    inches = None if width is None else paper_width(width)
    found = [(best, best.run) for best in best_runs(panels, curves)]
    restarts = {end.epoch for _, run in found if run.restarts for end in run.ends}
    last = max((best.curves["epoch"].max() for best, _ in found), default=0)
    return AnytimeRecord(
        axes=tuple(_axes(metric, found) for metric in metrics),
        restarts=tuple(sorted(epoch for epoch in restarts if epoch < last)),
        headline=(*gap_sentences(panels), *anytime_sentences([run for _, run in found])),
        columns=min(columns or choose_columns(len(metrics), inches, legend=ROOM), len(metrics)),
        width=inches,
    )


def _axes(metric: str, found: Sequence[tuple[Best, Run]]) -> AnytimeAxes:
    lines = tuple(_line(best, run, metric) for best, run in found)
    log = metric.endswith("loss") and any(value > 0 for line in lines for value in line.mean)
    ends = [line.mean[end - 1] for line in lines for end in line.ends if end <= len(line.mean)]
    seen = seen_range([line.mean for line in lines], ends, log=log)
    return AnytimeAxes(METRICS[metric].label, log, seen, lines)


def _line(best: Best, run: Run, metric: str) -> Line:
    curve = best.curve(metric)
    return Line(
        label=f"{run.title}: {run.final.percent} at {best.name}",
        pair=run.pair,
        restarts=run.restarts,
        epochs=curve.epochs,
        mean=curve.mean,
        stderr=curve.stderr,
        ends=tuple(end.epoch for end in run.ends),
    )


def seen_range(
    means: Sequence[Sequence[float]], ends: Sequence[float], *, log: bool = False
) -> tuple[float, float] | None:
    """Ends of an axis that shows what matters: the `ends` of curves, and most later epochs.

    The high values of the first epochs and after restarts lie beyond it. None where nothing is.
    """
    late = [mean[int(START * len(mean)) :] for mean in means]
    values = np.array([value for mean in late for value in mean if value > 0 or not log])
    if not values.size:
        return None
    low, high = float(values.min()), max([float(np.quantile(values, SEEN)), *ends])
    if log:
        margin = max(high / low, 1.01) ** MARGIN
        return low / margin, high * margin
    margin = MARGIN * max(high - low, 0.1)
    return max(low - margin, 0.0), high + margin
