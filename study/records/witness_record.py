"""The witness of a panel: a cell trained again by the plain loop, beside what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from landscape_study.study.spec.cell_numbers import Own
from landscape_study.study.spec.metric import TEST_ERROR, Metric
from landscape_study.study.spec.study import Cell

DOUBT = "not what a plain loop gives"  # what is said of a panel whose witness disagrees
MARK = "⚠"  # of it, in figures and tables


def marked(name: str, doubtful: bool) -> str:
    """How figures and tables call a panel: with the mark where its witness disagrees."""
    return f"{name} {MARK}" if doubtful else name


@dataclass(frozen=True)
class Witness:
    """One cell trained again by the plain loop, beside what was recorded of it."""

    panel: str
    seed: int
    alpha: float
    lambda_: float
    epochs: int  # that were trained again: the panel's, or only the first ones
    recorded: float  # the study's metric after them, as recorded; NaN if it diverged
    found: float  # the same by the plain loop
    rounding: float  # what one rounding unit in the start weights changes; NaN: it matters not
    agrees: bool  # whether all curves agree, up to what rounding does to this cell
    why: str = ""  # the first thing that differs; "" where it agrees
    own: Own = ()  # the cell's other numbers

    @property
    def cell(self) -> Cell:
        """The one that was trained again."""
        return Cell(self.alpha, self.lambda_, self.own)

    @property
    def distance(self) -> float:
        """Between the recorded value and that of the plain loop; NaN if one diverged."""
        return abs(self.recorded - self.found)

    def deviations(self, noise: float | None) -> float:
        """The distance in standard deviations of the seeds' noise; NaN where that is unknown.

        Args:
            noise: standard deviation between seeds, in the metric's unit; None with one seed.
        """
        return self.distance / noise if noise else math.nan

    def apart(self, noise: float | None, metric: Metric = TEST_ERROR) -> str:
        """The distance for people: "0.3 sd", or "0.25 points" where the noise is not known."""
        if math.isnan(self.distance):
            return "distance unknown"
        deviations = self.deviations(noise)
        return metric.apart(self.distance) if math.isnan(deviations) else f"{deviations:.1f} sd"

    def line(self, noise: float | None, epochs: int | None, metric: Metric = TEST_ERROR) -> str:
        """How the witness lies, for a terminal: "agrees, 0.0 sd (60 of 60 epochs)".

        Args:
            noise: as of `deviations`.
            epochs: the panel's budget.
            metric: the study's.
        """
        how = f"({self.epochs} of {epochs} epochs)"
        if self.agrees:
            return f"agrees, {self.apart(noise, metric)} {how}"
        unknown = math.isnan(self.distance)
        far = "" if unknown else f"; the {metric.noun} lies {self.apart(noise, metric)} apart"
        return f"DISAGREES: {self.why}{far} {how}"
