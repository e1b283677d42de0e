"""What anytime figures show: the best run of each panel by epoch; drawn by `figures.anytime`.

Shapes: E epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from landscape_study.landscapes.figures.axis_ranges import is_logarithmic, seen_range
from landscape_study.landscapes.figures.best_runs import (
    Best,
    best_runs,
    curve_sentences,
    gap_sentences,
)
from landscape_study.landscapes.figures.curves import require_recorded
from landscape_study.landscapes.figures.heatmaps.heatmap_record import choose_columns
from landscape_study.landscapes.figures.sizes import paper_width
from landscape_study.landscapes.reading.curve_counter import EPOCH, counter, counter_title
from landscape_study.landscapes.reading.curve_metrics import measured_elsewhere
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.restarts import Run, anytime_sentences
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import METRICS, TEST_ERROR, Metric

ROOM = 0.7  # inches that an axes is wider than a readable heatmap


@dataclass(frozen=True)
class Line:
    """The best cell of a panel by epoch: mean over seeds."""

    label: str  # the panel, its final value and where
    pair: str
    restarts: bool
    epochs: tuple[float, ...]  # [E] or what else the curves count
    mean: tuple[float, ...]  # [E]
    stderr: tuple[float, ...]  # [E] standard error over seeds; 0 for one seed
    ends: tuple[float, ...]  # epochs of the solutions: ends of cycles, or of the run

    @property
    def solutions(self) -> list[tuple[float, float]]:
        """Epochs of the solutions that have a value, with their values."""
        known = dict(zip(self.epochs, self.mean, strict=True))
        return [(end, known[end]) for end in self.ends if end in known]


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
    restarts: tuple[float, ...]  # epochs after which some run restarts
    headline: tuple[str, ...]  # what is missing, and what restarts gain
    columns: int
    width: float | None = None  # inches of the figure
    x_title: str = EPOCH  # what the curves count

    @property
    def rows(self) -> int:
        """Rows of axes."""
        return -(-len(self.axes) // self.columns)


def anytime_record(
    panels: Sequence[PanelData],
    curves: pd.DataFrame,
    *,
    metrics: Sequence[str] | None = None,
    columns: int | None = None,
    width: float | str | None = None,
) -> AnytimeRecord:
    """Say what `plot_anytime` draws."""
    shown = _metrics(panels, curves, metrics)
    for metric in shown:
        if metrics is not None or metric.name in METRICS:
            require_recorded(curves, metric)  # else the headline says so
    inches = None if width is None else paper_width(width)
    found = [(best, best.run) for best in best_runs(panels, curves)]
    restarts = {end.epoch for _, run in found if run.restarts for end in run.ends}
    last = max((best.curves[counter(curves)].max() for best, _ in found), default=0)
    return AnytimeRecord(
        axes=tuple(_axes(metric, found) for metric in shown),
        restarts=tuple(sorted(epoch for epoch in restarts if epoch < last)),
        headline=(
            *gap_sentences(panels),
            *curve_sentences([best for best, _ in found]),
            *anytime_sentences([run for _, run in found]),
        ),
        columns=min(columns or choose_columns(len(shown), inches, legend=ROOM), len(shown)),
        width=inches,
        x_title=counter_title(curves),
    )


def _metrics(
    panels: Sequence[PanelData], curves: pd.DataFrame, names: Sequence[str] | None
) -> list[Metric]:
    """The metrics of these names; what the panels are about where none are named.

    Raises:
        UsageError: none, or one of which there are no curves.
    """
    own = {one.metric.name: one.metric for one in panels}
    if names is None:
        return list(own.values()) or [TEST_ERROR]
    known = METRICS | measured_elsewhere(curves) | own
    if not names or not set(names) <= known.keys():
        there = [name for name in known if name in curves and curves[name].notna().any()]
        raise UsageError(f"metrics = {list(names)}: give some of {', '.join(there or known)}")
    return [known[name] for name in names]


def _axes(metric: Metric, found: Sequence[tuple[Best, Run]]) -> AnytimeAxes:
    lines = tuple(_line(best, run, metric) for best, run in found)
    log = is_logarithmic(metric, (value for line in lines for value in line.mean))
    ends = [value for line in lines for _, value in line.solutions]
    seen = seen_range([line.mean for line in lines], ends, log=log, metric=metric)
    return AnytimeAxes(metric.label, log, seen, lines)


def _line(best: Best, run: Run, metric: Metric) -> Line:
    curve = best.curve(metric)
    return Line(
        label=f"{run.title}: {run.told(run.final)} at {best.name}",
        pair=run.pair,
        restarts=run.restarts,
        epochs=curve.epochs,
        mean=curve.mean,
        stderr=curve.stderr,
        ends=tuple(end.epoch for end in run.ends),
    )
