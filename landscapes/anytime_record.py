"""What anytime figures show: the best run of each panel by epoch; drawn by `landscapes.anytime`.

Shapes: E epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscapes.curves import Curve, curves_record
from landscapes.earlier import End, Run, anytime_sentences
from landscapes.heatmap_record import choose_columns
from landscapes.landscape import top_cells
from landscapes.layout import paper_width
from landscapes.panels import PanelData
from landscapes.style import METRICS, ticks
from study.errors import UsageError
from study.spec import Cell, Panel

START = 0.1  # share of a run whose high errors the axis need not show
SEEN = 0.75  # share of the later epochs that it shows
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
    headline: tuple[str, ...]  # what restarts gain
    columns: int
    width: float | None = None  # inches of the figure

    @property
    def rows(self) -> int:
        """Rows of axes."""
        return -(-len(self.axes) // self.columns)


@dataclass(frozen=True, eq=False)
class Best:
    """The cell of a panel that has the lowest final error, with its curves."""

    data: PanelData
    panel: Panel
    place: tuple[int, int]  # row, column of the landscape
    curves: pd.DataFrame  # of the panel

    def curve(self, metric: str) -> Curve:
        """A metric by epoch, mean over seeds."""
        row, col = self.place
        grid = self.panel.grid
        cell = Cell(grid.alpha.values[row], grid.lambda_.values[col])
        return curves_record(self.curves, metric=metric, cells=[cell]).curves[0]

    @property
    def name(self) -> str:
        """The cell as a person says it: "α = 1/4 × 0.01, λ = 1/2 × 0.001"."""
        row, col = self.place
        norm = "λ_norm" if self.panel.normalized else "λ"
        alpha, lambda_ = ticks(self.panel.grid.alpha), ticks(self.panel.grid.lambda_)
        return f"α = {alpha.names[row]}, {norm} = {lambda_.names[col]}"

    @property
    def run(self) -> Run:
        """Its solutions: the errors at the ends of its cycles, or at its own end."""
        curve, schedule = self.curve(self.data.landscape.metric), self.panel.schedule
        seeds, last = int(self.data.landscape.n[self.place]), curve.epochs[-1]
        ends = schedule.ends(last) or (schedule.solution(last),)
        return Run(
            title=self.data.title,
            pair=self.panel.pair,
            schedule=schedule.label,
            restarts=schedule.kind == "restarts",
            seeds=seeds,
            ends=tuple(
                End(end, curve.mean[end - 1], curve.stderr[end - 1] if seeds > 1 else None)
                for end in ends
            ),
        )


def best_runs(panels: Sequence[PanelData], curves: pd.DataFrame) -> list[Best]:
    """The best cell of each panel; panels where none has finished without diverging are left out.

    Args:
        panels: of one study.
        curves: one row per panel, alpha, lambda, seed and epoch (`landscapes.table`).
    """
    return [
        Best(one, one.panel, best[0], curves[curves["panel"] == one.name])
        for one in panels
        if one.panel is not None and (best := top_cells(one.landscape, 1))
    ]


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
    inches = None if width is None else paper_width(width)
    found = [(best, best.run) for best in best_runs(panels, curves)]
    restarts = {end.epoch for _, run in found if run.restarts for end in run.ends}
    last = max((best.curves["epoch"].max() for best, _ in found), default=0)
    return AnytimeRecord(
        axes=tuple(_axes(metric, found) for metric in metrics),
        restarts=tuple(sorted(epoch for epoch in restarts if epoch < last)),
        headline=anytime_sentences([run for _, run in found]),
        columns=min(columns or choose_columns(len(metrics), inches, legend=ROOM), len(metrics)),
        width=inches,
    )


def _axes(metric: str, found: Sequence[tuple[Best, Run]]) -> AnytimeAxes:
    lines = tuple(_line(best, run, metric) for best, run in found)
    log = metric.endswith("loss") and any(value > 0 for line in lines for value in line.mean)
    return AnytimeAxes(METRICS[metric], log, seen_range(lines, log=log), lines)


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


def seen_range(lines: Sequence[Line], *, log: bool = False) -> tuple[float, float] | None:
    """Ends of an axis that shows what matters: all solutions, and most of the later epochs.

    The high errors of the first epochs and after restarts lie beyond it.
    """
    means = [np.array(line.mean) for line in lines if line.mean]
    if not means:
        return None
    late = np.concatenate([mean[int(START * mean.size) :] for mean in means])
    ends = [line.mean[end - 1] for line in lines for end in line.ends if end <= len(line.mean)]
    low, high = float(late.min()), max([float(np.quantile(late, SEEN)), *ends])
    if log:
        low = min(value for mean in means for value in mean.tolist() if value > 0)
        margin = max(high / low, 1.01) ** MARGIN
        return low / margin, high * margin
    margin = MARGIN * max(high - low, 0.1)
    return max(low - margin, 0.0), high + margin
