"""The best cell of each panel: the one of the best final value, with its curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from landscape_study.landscapes.figures.curves import Curve, curves_record, rows_of
from landscape_study.landscapes.figures.style import cell_name
from landscape_study.landscapes.reading.landscape import top_cells
from landscape_study.landscapes.reading.panels import PanelData, doubtful, unfinished
from landscape_study.landscapes.statistics.restarts import End, Run
from landscape_study.landscapes.statistics.units import PERCENT, Units, joint_units
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Cell, Panel


@dataclass(frozen=True, eq=False)
class Best:
    """The cell of a panel that has the best final value, with its curves."""

    data: PanelData
    panel: Panel
    place: tuple[int, int]  # row, column of the landscape
    cell: Cell
    curves: pd.DataFrame  # of the cell
    units: Units = PERCENT  # of all panels together

    def curve(self, metric: Metric) -> Curve:
        """A metric by epoch, mean over seeds; empty where it was not recorded."""
        if metric.name not in self.curves or self.curves[metric.name].isna().all():
            return Curve(self.name, (), (), (), diverged=False)
        return curves_record(self.curves, metric=metric, cells=[self.cell]).curves[0]

    @property
    def name(self) -> str:
        """The cell as a person says it: "α = 1/4 × 0.01, λ = 1/2 × 0.001"."""
        name = cell_name(self.data.landscape, self.place)
        return name.replace("λ =", "λ_norm =") if self.panel.normalized else name

    @property
    def run(self) -> Run:
        """Its solutions: the values at the ends of its cycles, or at its own end."""
        curve, schedule = self.curve(self.data.metric), self.panel.schedule
        last = curve.epochs[-1] if curve.epochs else self.panel.epochs or 1
        whole = (last,) if self.panel.is_labelled else schedule.ends(int(last))
        return Run(
            title=self.data.title,
            pair=self.panel.pair,
            schedule=schedule.label,
            restarts=schedule.kind == "restarts",
            seeds=self._seeds,
            ends=self._ends(curve, whole or (schedule.solution(int(last)),)),
            epochs=curve.epochs,
            curve=curve.mean,
            cut=not whole,
            units=self.units,
        )

    @property
    def _seeds(self) -> int:
        return int(self.data.landscape.n[self.place])

    def _ends(self, curve: Curve, epochs: Sequence[float]) -> tuple[End, ...]:
        """The solutions after these epochs; the final value where there is no curve of them."""
        known = dict(zip(curve.epochs, zip(curve.mean, curve.stderr, strict=True), strict=True))
        ends = [(epoch, *known[epoch]) for epoch in epochs if epoch in known]
        if not ends:
            field = self.data.landscape
            ends = [(epochs[-1], float(field.error[self.place]), float(field.stderr[self.place]))]
        return tuple(
            End(epoch, value, stderr if self._seeds > 1 else None) for epoch, value, stderr in ends
        )


def best_sentences(bests: Sequence[Best]) -> tuple[str, ...]:
    """The best final value of each panel and where: "AdamW: 2.60 ± 0.11 % at α = …"."""
    runs = [(best, best.run) for best in bests]
    return tuple(f"{run.title}: {run.told(run.final)} at {best.name}." for best, run in runs)


def curve_sentences(bests: Sequence[Best]) -> tuple[str, ...]:
    """Of which panels a figure by epoch can draw nothing, since nothing was recorded by epoch."""
    return tuple(
        f"{best.data.title}: no {best.data.metric.title} was recorded by epoch."
        for best in bests
        if not best.curve(best.data.metric).epochs
    )


def gap_sentences(panels: Sequence[PanelData]) -> tuple[str, ...]:
    """What a figure of best cells cannot show: doubtful panels, unfinished ones, those without."""
    found = []
    for one in panels:
        if one.landscape.doubtful:
            found.append(f"{doubtful(one.title)}.")
        has_ended = one.cells["state"].isin(["finished", "pruned"])
        finished, total = int(has_ended.sum()), len(one.cells)
        if not finished:
            found.append(f"{one.title}: nothing finished yet.")
            continue
        if not top_cells(one.landscape, 1):
            found.append(f"{one.title}: every finished cell diverged.")
        if finished < total:
            found.append(f"{unfinished(one.title, finished, total)}.")
    return tuple(found)


def best_runs(panels: Sequence[PanelData], curves: pd.DataFrame) -> list[Best]:
    """The best cell of each panel; panels where none has finished without diverging are left out.

    Args:
        panels: of one study.
        curves: one row per panel, alpha, lambda, seed and epoch (`reading.frames`).
    """
    found = []
    together = joint_units([one.landscape for one in panels])
    for one in panels:
        best = top_cells(one.landscape, 1)
        if one.panel is None or not best:
            continue
        cell = one.landscape.cell(best[0])
        own = rows_of(curves[curves["panel"] == one.name], cell)
        found.append(Best(one, one.panel, best[0], cell, own, together))
    return found
