"""What figures of laws show: best values over a third axis, their line, and published laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.figures.sizes import paper_width
from landscape_study.landscapes.statistics.panel_families import NAMES
from landscape_study.landscapes.statistics.scaling_law import (
    ALPHA,
    LAMBDA,
    PRODUCT,
    SQUARE,
    Comparison,
    Exponent,
    Place,
    ScalingLaw,
    Side,
)
from landscape_study.study.quantities import format_number

SHOWN = (ALPHA, LAMBDA)  # of every family, and the product that goes with it
CURVE = 33  # values of x that a line and its band are drawn through
BEYOND = 1.25  # times the ends of x, that lines reach
TITLES = {
    ALPHA: "best learning rate α",
    LAMBDA: "best weight decay λ",
    PRODUCT: "best α·λ",
    SQUARE: "best α²·λ",
}


@dataclass(frozen=True)
class Point:
    """A best value with the ends of its interval; a bound where the truth lies at one side."""

    x: float
    y: float
    low: float
    high: float
    side: Side = ""


@dataclass(frozen=True)
class Fit:
    """A line that was fitted, with its band."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """Published laws of one exponent, as a line."""

    label: str
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True)
class LawAxes:
    """One quantity of one family."""

    family: str  # whose it is; "" where the axes to the left say it
    title: str  # its exponent
    y_title: str
    x_title: str
    ends: tuple[float, float]  # of x
    ticks: tuple[float, ...]
    points: tuple[Point, ...]
    fit: Fit | None
    published: tuple[Published, ...]


@dataclass(frozen=True)
class LawRecord:
    """Axes for each family and quantity, row by row."""

    axes: tuple[LawAxes, ...]
    columns: int
    width: float | None  # inches of a paper

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the published laws, each once."""
        every = (one.label for axes in self.axes for one in axes.published)
        return tuple(dict.fromkeys(every))


def law_record(
    laws: Sequence[ScalingLaw], *, columns: int | None = None, width: float | str | None = None
) -> LawRecord:
    """What a figure of laws shows.

    Args:
        laws: of the families of a study.
        columns: axes in a row; those of a family if None.
        width: inches of the figure, or "column" or "page" of a paper; for the screen if None.

    Raises:
        UsageError: an impossible width.
    """
    inches = None if width is None else paper_width(width)
    axes = [one for law in laws for one in _family_axes(law)]
    usual = len(SHOWN) + 1 if inches is None or inches > 4 else 1
    return LawRecord(tuple(axes), columns or usual, inches)


def _family_axes(law: ScalingLaw) -> list[LawAxes]:
    quantities = (*SHOWN, SQUARE if law.power == 2 else PRODUCT)
    return [
        _axes(law, law.exponent(quantity), is_first=quantity == quantities[0])
        for quantity in quantities
    ]


def _axes(law: ScalingLaw, found: Exponent, *, is_first: bool) -> LawAxes:
    family = law.family
    ends = family.values[0] / BEYOND, family.values[-1] * BEYOND
    points = tuple(_point(place) for place in found.places if _is_shown(place))
    return LawAxes(
        family=f"{family.title}, {family.held.partition(',')[0]}" if is_first else "",
        title=exponent_title(found),
        y_title=TITLES[found.quantity],
        x_title=NAMES[family.over],
        ends=ends,
        ticks=tuple(dict.fromkeys(family.values)),
        points=points,
        fit=_fit(found, ends),
        published=_published(law, found, points, ends),
    )


def _is_shown(place: Place) -> bool:
    return place.side != "anywhere" and not math.isnan(place.value.value)


def _point(place: Place) -> Point:
    known = place.value
    low, high = (
        2 ** (end if known.has_interval else known.value) for end in (known.low, known.high)
    )
    return Point(place.x, 2**known.value, low, high, place.side)


def exponent_title(found: Exponent) -> str:
    """The exponent of a quantity, or that it cannot be told: "b = 0.52 (0.41 to 0.63)"."""
    b = found.exponent
    if not b.has_interval:
        return "b: cannot tell"
    if math.isinf(b.low):
        return f"b at most {format_number(b.high, 2)}"
    if math.isinf(b.high):
        return f"b at least {format_number(b.low, 2)}"
    ends = f"{format_number(b.low, 2)} to {format_number(b.high, 2)}"
    return f"b = {format_number(b.value, 2)} ({ends})"


def _fit(found: Exponent, ends: tuple[float, float]) -> Fit | None:
    if found.line is None:
        return None
    x = np.geomspace(*ends, CURVE).tolist()
    known = [found.line.y(one) for one in x]
    y, low, high = (
        tuple(2 ** getattr(one, name) for one in known) for name in ("value", "low", "high")
    )
    return Fit(tuple(x), y, low, high)


def _published(
    law: ScalingLaw, found: Exponent, points: Sequence[Point], ends: tuple[float, float]
) -> tuple[Published, ...]:
    """Lines through the middle of what was found; through the first point where there is none."""
    if found.line is not None:
        at, middle = found.line.at, found.line.middle.value
    elif points:
        first = next((point for point in points if not point.side), points[0])
        at, middle = math.log2(first.x), math.log2(first.y)
    else:
        return ()
    names: dict[float, list[str]] = {}
    for one in law.published:
        slope = _slope(law, one, found.quantity)
        if slope is not None:
            names.setdefault(round(slope, 6), []).append(_name(one))
    lines = []
    for slope, some in names.items():
        y = [2 ** (middle + slope * (math.log2(x) - at)) for x in ends]
        lines.append(Published("\n".join(dict.fromkeys(some)), ends, (y[0], y[1])))
    return tuple(lines)


def _name(one: Comparison) -> str:
    return f"{one.law.name} ({one.law.source.partition(',')[0].removeprefix('follows from ')})"


def _slope(law: ScalingLaw, one: Comparison, quantity: str) -> float | None:
    """What a law says of a quantity; None where that is nothing."""
    if one.quantity == quantity:
        return one.says
    if quantity == LAMBDA and one.law.of == "decay" and not math.isnan(one.of_lambda):
        return one.of_lambda
    return None
