"""The units of a metric: statistics count in points, whatever is measured.

A point is four times the difference that matters (`Metric.matters`). Of errors in percent a
quarter of a percent matters, so that a point is a percent. All bounds of the statistics, how far
a basin reaches, say, are points: multiplied by a positive number or shifted by another, a metric
gives the same verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.study.errors import UsageError
from landscape_study.study.quantities import format_number
from landscape_study.study.spec.metric import MATTERS, TEST_ERROR, Metric, telling_digits

Floats = npt.NDArray[np.float64]

SHARE = 0.1  # of the spread of the better half of the cells: what matters where nobody said
NOISES = 2.0  # standard errors of a cell: less matters to nobody


@dataclass(frozen=True)
class Units:
    """How many points the values of a metric are.

    Attributes:
        metric: what is measured.
        matters: the difference below which a user would not care, in the metric's unit.
        derived: whether it was read off the landscape, since nobody said.
    """

    metric: Metric
    matters: float = MATTERS
    derived: bool = False

    @property
    def size(self) -> float:
        """A point in the metric's unit."""
        return self.matters / MATTERS

    @property
    def digits(self) -> int:
        """Digits after the point that say what matters: 2 for errors in percent."""
        return telling_digits(self.matters)

    def number(self, value: float) -> str:
        """A value or a cost without its unit: "2.31", "−0.534"."""
        return format_number(value, self.digits)

    def told(self, value: float, stderr: float | None = None) -> str:
        """A value for people, with its standard error if known: "2.31 ± 0.12 %", "0.534 nats"."""
        return f"{self._spread(value, stderr)} {self.metric.unit}".rstrip()

    def apart(self, distance: float, stderr: float | None = None) -> str:
        """How far two values lie from each other: "0.18 ± 0.06 points", "0.012 nats"."""
        return f"{self._spread(distance, stderr)} {self.metric.differences}".rstrip()

    def _spread(self, value: float, stderr: float | None) -> str:
        known = stderr is not None and not math.isnan(stderr)
        return self.number(value) + (f" ± {self.number(stderr or 0.0)}" if known else "")

    def above(self, noise: float) -> Units:
        """With a derived difference no less than twice the noise, in points; NaN raises none."""
        if self.derived and noise * NOISES > MATTERS:
            return replace(self, matters=noise * NOISES * self.size)
        return self

    def constant(self, costs: Floats) -> str | None:
        """That all cells have one value, which tells nothing; None where they differ.

        Args:
            costs: of the cells, in points.
        """
        if costs.size < 2 or np.ptp(costs) > 0:
            return None
        told = self.told(self.value(float(costs[0])))
        return f"all cells have the same {self.metric.noun}, {told}, which tells nothing"

    def points(self, costs: Floats) -> Floats:
        """Costs, values so that less is better (see `Landscape.cost`), as points."""
        return costs / self.size

    def value(self, points: float) -> float:
        """A cost in points as a value of the metric."""
        return self.metric.sign * points * self.size


PERCENT = Units(TEST_ERROR)


def units(values: Floats, metric: Metric) -> Units:
    """The units of a landscape, before its noise is known (see `Units.above`).

    Where nobody said what matters, it is a tenth of the spread of the better half of the cells,
    and never less than twice the noise of a cell. On the 30 landscapes of errors in percent that
    come with the tool (the paper's Figure 2 among them) this is 0.16 to 0.77 points, mostly 0.23
    to 0.32, where 0.25 are meant; one verdict differs, from "cannot tell" to "coupled" (tests).

    Args:
        values: costs of the cells, in the metric's unit; what is not finite is left out.
        metric: what they are of.

    Raises:
        UsageError: a difference that matters of 0 or less, or that is no number.
    """
    if metric.matters is not None:
        if not 0 < metric.matters < math.inf:
            raise UsageError(
                f"matters = {metric.matters:g}: give a positive difference of {metric.title}"
            )
        return Units(metric, metric.matters)
    known = np.sort(values[np.isfinite(values)])
    better = known[: (known.size + 1) // 2]
    for spread in (np.ptp(better) if better.size else 0.0, np.ptp(known) if known.size else 0.0):
        if 0 < spread < math.inf:
            return Units(metric, float(spread) * SHARE, derived=True)
    # All are equal, so that nothing follows: digits that show the value.
    return Units(metric, SHARE * float(abs(known[0])) if known.size and known[0] else MATTERS)


def joint_units(landscapes: Sequence[Landscape]) -> Units:
    """The units that landscapes of one metric have together, for figures and sentences."""
    if not landscapes:
        return PERCENT
    # Around the best, refined cells are many: by number they would make the better half of all.
    values = np.concatenate([one.cost[one.on_grid] for one in landscapes])
    return units(values, landscapes[0].metric)
