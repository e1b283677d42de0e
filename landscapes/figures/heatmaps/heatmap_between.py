"""What a heatmap shows between the trials of a scattered landscape: a frozen record.

α and λ are continuous in log2; both sides are as long as those of a usual grid, in columns and
rows of one cell. Shapes: A values of α, L of λ, both ascending, that trials have; the surface is
on a regular grid of its own, A' × L'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from landscape_study.landscapes.figures.style import decimal
from landscape_study.landscapes.reading.landscape import Floats, Landscape
from landscape_study.landscapes.reading.panel_axes import octaves
from landscape_study.landscapes.statistics.interpolation import Interpolation, interpolated
from landscape_study.study.spec.cell_numbers import Number, number_called
from landscape_study.study.spec.grid import Axis

SIDE = 10.0  # columns and rows between the outermost trials
MARGIN = 0.5  # of them beyond
ZERO = 1.35  # columns that λ = 0 takes, with the gap beside it
FEWEST_TICKS = 4
STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))  # ticks in a decade, if enough

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Scale:
    """Where values lie on an axis, in columns or rows, and its ticks."""

    places: tuple[float, ...]  # of each value
    ticks: tuple[float, ...]
    labels: tuple[str, ...]  # at the ticks
    length: float

    def place(self, index: float) -> float:
        """Where a value lies, or what is between two values."""
        return float(np.interp(index, np.arange(len(self.places)), self.places))


@dataclass(frozen=True)
class Between:
    """The interpolated surface, and where trials lie on it."""

    x: Scale  # of λ
    y: Scale  # of α
    box: tuple[float, float, float, float]  # of the surface: left, right, bottom, top
    values: Table  # [A', L'] of the metric; () where the trials are too few
    sure: Table  # [A', L'] 1 where the surface is known, 0 where its deviation is a point or more
    point: float  # the standard deviation from which nothing is shown, in the metric's unit

    @property
    def bare(self) -> Between:
        """Without the surface, which is that of the metric: for what else trials may show."""
        return replace(self, values=(), sure=())


def between(landscape: Landscape) -> Between:
    """Say what lies between the cells of a landscape."""
    seen, within = interpolated(landscape), landscape.panel_grid or landscape.grid
    up_name, across_name = landscape.names
    left = ZERO if landscape.has_zero and landscape.columns.positive else 0.0
    columns = across_name, landscape.columns
    known = len(seen.draws) > 0
    sure = 1 - np.clip(_deviations(seen), 0, 1) if known else np.empty((0, 0))
    across = _Range(_finite(across_name, within.columns) or _finite(*columns), left)
    up = _Range(_finite(up_name, within.rows), 0.0)
    return Between(
        x=_scale(*columns, across),
        y=_scale(up_name, landscape.rows, up),
        box=(*across.ends(seen.columns), *up.ends(seen.rows)),
        values=_table(seen.units.value(1.0) * seen.error) if known else (),
        sure=_table(sure),
        point=seen.units.size,
    )


def _deviations(seen: Interpolation) -> Floats:
    """Standard deviations of the surface in points, [A', L']; what is beyond the span is at it."""
    finite = np.isfinite(seen.draws)
    span = seen.draws[finite].max(initial=seen.lowest)
    return np.asarray(np.where(finite, seen.draws, span).std(axis=0))


def _table(array: Floats) -> Table:
    return tuple(map(tuple, array.tolist()))


class _Range:
    """What lies between the ends of an axis: of a sampler's, or the outermost trials.

    Args:
        values: ascending, log2 of what is measured.
        left: where it begins, in columns or rows.
    """

    def __init__(self, values: Sequence[float], left: float) -> None:
        self.values, self.left = values, left
        self.low, self.high = (values[i] for i in (0, -1)) if values else (0.0, 0.0)

    def place(self, octave: float) -> float:
        """Where log2 of a value lies."""
        high, low = self.high, self.low
        share = (octave - low) / (high - low) if high > low else 0.5
        return self.left + MARGIN + SIDE * share

    def ends(self, octaves: Floats) -> tuple[float, float]:
        """Where the first and the last of ascending ones lie."""
        places = [self.place(float(one)) for one in octaves[[0, -1]]] if octaves.size else (0, 0)
        return places[0], places[1]


def _finite(name: str, axis: Axis) -> list[float]:
    """log2 of what is measured of an axis, without λ = 0."""
    places = octaves(name, axis.values)
    return [float(place) for place in places if math.isfinite(place)]


def _scale(name: str, axis: Axis, within: _Range) -> Scale:
    """Place the values of an axis, λ = 0 apart from the others."""
    places = _finite(name, axis)
    zeros = len(axis.values) - len(places)
    ticks = _ticks(number_called(name), 2.0**within.low, 2.0**within.high) if within.values else {}
    return Scale(
        places=(0.5,) * zeros + tuple(map(within.place, places)),
        ticks=(0.5,) * zeros + tuple(within.place(math.log2(value)) for value in ticks),
        labels=("0",) * zeros + tuple(ticks.values()),
        length=within.left + SIDE + 2 * MARGIN,
    )


def _ticks(number: Number, low: float, high: float) -> dict[float, str]:
    """How round values between two that are measured are written."""
    if number.scale == "log":
        return {value: decimal(value) for value in _round_values(low, high)}
    left = _round_values(1 / high, 1 / low)[::-1]  # 1 − β
    return {1 / value: f"{1 - value:.6g}" for value in left}


def _round_values(low: float, high: float) -> tuple[float, ...]:
    """Round values from `low` to `high`: powers of ten, or more if these are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: tuple[float, ...] = ()
    for steps in STEPS:
        values = [float(f"{step}e{decade}") for decade in decades for step in steps]
        found = tuple(v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9))
        if len(found) >= FEWEST_TICKS:
            return found
    return found or (low,)
