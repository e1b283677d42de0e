"""Laws over a third axis: how the best α and λ go with a batch size, a budget or a width.

Of each panel of a family (`statistics.panel_families`) the best α and λ are the middle of its
basin: the mean of log2 α and of log2 λ under `coupling.weights`, with one span and one τ for all
panels, so that their basins mean the same. From these follow α^p·λ, which is the decay
(`pairs.published_laws`), α·λ, and the timescale of the decay in epochs. Then

    log2 y* = a + b·log2 x

by least squares with weights 1/(variance of y* + GRAIN²); x is known without error. The interval
of b is that of the bootstrap's draws, whose panels are independent. It is wider where

- a grid is coarse: if the basin is narrower than a step, its middle is known to a step only. Each
  draw is moved by up to ±step/2 · exp(−2π²·s²/step²), s² being the basin's variance: what sampling
  a bell at distance `step` does to its mean;
- the points lie farther from the line than their errors: by √(χ²/(n − 2)), as Birge did.

Where a basin is cut by the border of what was trained, its middle is a bound: the truth lies
beyond. Bounds are left out of the line. With fewer than LEAST values of x left there is no
exponent; but where all bounds push the slope the same way, one end of its interval is known.

Shapes: A values of α, L values of λ, B replicates, N panels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.bootstrap import REPLICATES, Estimate, Sample, draw
from landscape_study.landscapes.statistics.panel_families import LEAST, Family
from landscape_study.landscapes.statistics.separability import (
    TAU,
    checked_surface,
    is_alpha_idle,
    is_lambda_idle,
    used,
)
from landscape_study.landscapes.statistics.surface import Floats, Surface
from landscape_study.landscapes.statistics.units import joint_units
from landscape_study.study.pairs.normalization import normalizer
from landscape_study.study.pairs.published_laws import PUBLISHED_LAWS, PublishedLaw, decay_power
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.spec.metric import SPAN

WIDE = 1.0  # width of an interval that holds all from "stays" to "in proportion"
GRAIN = 0.1  # octaves, below which one point is no better known than another
CUT = 0.25  # of the basin's density at its middle: what reaches the border with more is cut
NEGLIGIBLE = 1e-9
ROUNDING = 0.005  # of exponents, which are told in two digits

Side = Literal["", "below", "above", "anywhere"]
Verdict = Literal["allowed", "contradicted", "cannot tell"]

ALPHA, LAMBDA, PRODUCT, SQUARE, TIMESCALE = "α", "λ", "α·λ", "α²·λ", "timescale"
DECAYS = {0: LAMBDA, 1: PRODUCT, 2: SQUARE}  # by the power of α in it


@dataclass(frozen=True)
class Place:
    """The best value of a quantity in one panel.

    Attributes:
        panel: its name.
        x: its batch size, budget or width.
        value: log2 of the quantity.
        side: where the truth lies if the value is a bound: "below" it, "above" it, or "anywhere".
    """

    panel: str
    x: float
    value: Estimate
    side: Side = ""


@dataclass(frozen=True, eq=False)
class Line:
    """log2 y* = middle + slope·(log2 x − at), with what is known of both.

    Attributes:
        at: log2 of the middle x, where slope and middle are independent.
        middle: log2 y* there.
        slope: b.
        stretch: by how much intervals are wider, since the points do not lie on a line.
    """

    at: float
    middle: Sample
    slope: Sample
    stretch: float = 1.0

    @property
    def exponent(self) -> Estimate:
        """B with its interval."""
        return _stretched(self.slope.estimate(), self.stretch)

    def y(self, x: float) -> Estimate:
        """log2 y* at a value of x, with its interval."""
        away = math.log2(x) - self.at
        value = self.middle.value + away * self.slope.value
        found = Sample(value, self.middle.draws + away * self.slope.draws)
        return _stretched(found.estimate(), self.stretch)


@dataclass(frozen=True, eq=False)
class Exponent:
    """How the best value of a quantity goes with x.

    Attributes:
        quantity: α, λ, α·λ, α²·λ or the timescale.
        places: of each panel.
        exponent: b; without a value where it has one end only, NaN where nothing is known.
        line: that was drawn; None where there are too few values of x.
        why: why there is none, or why it tells little; "" if it does tell.
    """

    quantity: str
    places: tuple[Place, ...]
    exponent: Estimate
    line: Line | None = None
    why: str = ""

    @property
    def tells(self) -> bool:
        """Whether the exponent is known well enough to allow a law, not only to refute some."""
        return self.exponent.has_interval and not self.why


@dataclass(frozen=True)
class Comparison:
    """A published law, held against an exponent that was measured.

    Attributes:
        law: the law.
        quantity: what it is of, in this pair.
        says: its exponent.
        verdict: whether the interval allows it.
        of_lambda: the exponent of λ that follows in this placement, with α as it was measured;
            NaN where that is not known, or of a law of α.
    """

    law: PublishedLaw
    quantity: str
    says: float
    verdict: Verdict
    of_lambda: float = math.nan


@dataclass(frozen=True, eq=False)
class ScalingLaw:
    """What the panels of a family say of the best α and λ."""

    family: Family
    power: int | None  # of α in the decay; None where the placement is not known
    exponents: tuple[Exponent, ...]
    published: tuple[Comparison, ...]

    @property
    def decay(self) -> str | None:
        """The quantity that is the decay."""
        return None if self.power is None else DECAYS[self.power]

    def exponent(self, quantity: str) -> Exponent:
        """That of a quantity."""
        (found,) = (one for one in self.exponents if one.quantity == quantity)
        return found


def scaling_law(family: Family, replicates: int = REPLICATES) -> ScalingLaw:
    """How the best α and λ of a family's panels go with the number that these differ in.

    Args:
        family: the panels.
        replicates: B.

    Raises:
        UsageError: as `separability`.
    """
    power = _power(family)
    basins = _basins(family.panels, replicates)
    quantities = [ALPHA, LAMBDA, PRODUCT, *([SQUARE] if power == 2 else [])]
    if power is not None and all(one.landscape.timescale for one in family.panels):
        quantities.append(TIMESCALE)
    exponents = tuple(_exponent(one, power or 0, family, basins) for one in quantities)
    return ScalingLaw(family, power, exponents, _published(family, power, exponents))


def _power(family: Family) -> int | None:
    """The power of α in the decay of a pair; None of a label."""
    if not family.pair:
        return None
    return decay_power(pair_called(family.pair))


@dataclass(frozen=True, eq=False)
class _Basin:
    """The basin of a panel: its middle on the surface and on each replicate, and what cuts it.

    Attributes:
        panel: whose it is.
        surface: counted in the units of the family.
        weights: [A, L] of its cells, without their share of the axes.
        alpha, lambda_: [1 + B] log2 of its middle, first of the surface itself; λ, not λ_norm.
        shift: log2 λ/λ_norm.
        idle_alpha, idle_lambda: whether it changes nothing by more than noise.
    """

    panel: PanelData
    surface: Surface
    weights: Floats
    alpha: Floats
    lambda_: Floats
    shift: float
    idle_alpha: bool
    idle_lambda: bool


def _basins(panels: Sequence[PanelData], replicates: int) -> list[_Basin | None]:
    """The basin of each panel; None where nothing finished without diverging."""
    units = joint_units([one.landscape for one in panels])
    seen = [
        checked_surface(one.cells, one.metric, span=SPAN, tau=TAU).counted_in(units)
        for one in panels
    ]
    # One τ for all: a basin that is wider because of its noise has its middle elsewhere.
    span, tau = max(used(one, SPAN, TAU) for one in seen)
    return [
        _basin(one, own, span, tau, replicates, seed) if np.isfinite(own.error).any() else None
        for seed, (one, own) in enumerate(zip(panels, seen, strict=True))
    ]


def _basin(
    panel: PanelData, seen: Surface, span: float, tau: float, replicates: int, seed: int
) -> _Basin:
    every = np.concatenate([seen.error[None], draw(seen, replicates, seed)])
    w = coupling.weights(every, seen.rows, seen.columns, span=span, tau=tau)
    total = w.sum(axis=(-2, -1))
    shift = _shift(panel)
    return _Basin(
        panel=panel,
        surface=seen,
        weights=coupling.membership(seen.error - seen.best, span, tau),
        alpha=(w.sum(axis=-1) * seen.rows).sum(axis=-1) / total,
        lambda_=(w.sum(axis=-2) * seen.columns).sum(axis=-1) / total + shift,
        shift=shift,
        idle_alpha=is_alpha_idle(seen, span),
        idle_lambda=is_lambda_idle(seen, span),
    )


def _shift(one: PanelData) -> float:
    """log2 λ/λ_norm; 0 where λ is not normalized.

    NaN under restarts, whose cycles differ. Where the size of the training set is not known it is
    left out, which moves all panels alike.
    """
    panel = one.panel
    if panel is None or not panel.normalized:
        return 0.0
    if panel.schedule.kind == "restarts" or panel.epochs is None or one.batch_size is None:
        return math.nan
    return math.log2(normalizer(one.batch_size, one.examples or 1, panel.epochs))


def _exponent(
    quantity: str, power: int, family: Family, basins: Sequence[_Basin | None]
) -> Exponent:
    """How a quantity goes with x."""
    if any(basin and math.isnan(basin.shift) for basin in basins) and quantity != ALPHA:
        places = [Place(one.name, x, Estimate()) for one, x in _members(family)]
        why = "of restarts, λ_norm is another each cycle"
        return Exponent(quantity, tuple(places), Estimate(), why=why)
    dice = np.random.default_rng(len(basins))
    samples = [_sample(quantity, power, basin, dice) for basin in basins]
    places = [
        Place(one.name, x, sample.estimate(), _side(quantity, power, basin))
        for (one, x), sample, basin in zip(_members(family), samples, basins, strict=True)
    ]
    return _fitted(quantity, places, samples)


def _members(family: Family) -> list[tuple[PanelData, float]]:
    return list(zip(family.panels, family.values, strict=True))


def _powers(quantity: str, power: int) -> tuple[float, float]:
    """Those of α and λ in a quantity."""
    known = {ALPHA: (1.0, 0.0), LAMBDA: (0.0, 1.0), PRODUCT: (1.0, 1.0), SQUARE: (2.0, 1.0)}
    return known.get(quantity, (-float(power), -1.0))


def _sample(quantity: str, power: int, basin: _Basin | None, dice: np.random.Generator) -> Sample:
    """log2 of a quantity at the middle of a basin, with its noise and the grain of its grid."""
    if basin is None:
        return Sample(math.nan, np.empty(0))
    of_alpha, of_lambda = _powers(quantity, power)
    values = of_alpha * basin.alpha + of_lambda * basin.lambda_
    if quantity == TIMESCALE and (own := basin.panel.landscape.timescale) is not None:
        # Its scale is that of λ as the grid has it.
        values = values + math.log2(own.scale) + basin.shift
    grain = _grain(basin, of_alpha, of_lambda)
    draws = values[1:] + grain * dice.uniform(-0.5, 0.5, values.size - 1)
    return Sample(float(values[0]), draws)


def _grain(basin: _Basin, of_alpha: float, of_lambda: float) -> float:
    """By how much the step of a grid may move the middle of a basin: octaves, end to end.

    Of a product it is that of what is narrowest: itself on a diagonal, α or λ elsewhere.
    """
    found = abs(of_alpha) * _axis_grain(basin, 1.0, 0.0)
    found = max(found, abs(of_lambda) * _axis_grain(basin, 0.0, 1.0))
    return max(found, _axis_grain(basin, of_alpha, of_lambda)) if of_alpha and of_lambda else found


def _axis_grain(basin: _Basin, of_alpha: float, of_lambda: float) -> float:
    axis = basin.surface.columns if of_lambda else basin.surface.rows
    if axis.size < 2:
        return 0.0
    step, places = _step(axis), _places(basin, of_alpha, of_lambda)
    share = basin.weights / basin.weights.sum()
    variance = float((share * (places - (share * places).sum()) ** 2).sum())
    return step * math.exp(-2 * math.pi**2 * variance / step**2)


def _side(quantity: str, power: int, basin: _Basin | None) -> Side:
    """Where the truth lies, if the border cuts the basin, or nothing moves it; "" if neither."""
    if basin is None:
        return "anywhere"
    of_alpha, of_lambda = _powers(quantity, power)
    if (of_alpha and basin.idle_alpha) or (of_lambda and basin.idle_lambda):
        return "anywhere"
    if of_alpha and of_lambda:
        cut = partial(_is_product_cut, basin, of_alpha, of_lambda)
    elif of_alpha:
        cut = partial(_is_cut, basin, 0)
    else:
        cut = partial(_is_cut, basin, 1)
    below, above = cut(low=True), cut(low=False)
    if below and above:
        return "anywhere"
    if not below and not above:
        return ""
    return "below" if below == (of_alpha + of_lambda > 0) else "above"


def _is_cut(basin: _Basin, axis: int, *, low: bool) -> bool:
    """Whether the basin is cut at an end of an axis, 0 (α) or 1 (λ)."""
    lines = _along(basin.weights, axis, low=low)  # [lines, places]
    is_known = ~np.isnan(_along(basin.surface.error, axis, low=low))
    # Where cells are missing, the border is that of what there is.
    ends = np.take_along_axis(lines, is_known.argmax(axis=1)[:, None], axis=1)
    return bool(ends.sum() > CUT * lines.sum(axis=0).max(initial=NEGLIGIBLE))


def _is_product_cut(basin: _Basin, of_alpha: float, of_lambda: float, *, low: bool) -> bool:
    """Whether the border cuts a basin far from the middle of α^p·λ, at one of its sides.

    A diagonal that runs out of the grid at its two ends is not cut: there the product is that of
    its middle, and so it is beyond.
    """
    w = basin.weights / basin.weights.sum()
    places = _places(basin, of_alpha, of_lambda) * math.copysign(
        1, -of_lambda if low else of_lambda
    )
    middle = float((w * places).sum())
    spread = math.sqrt(float((w * (places - middle) ** 2).sum()))
    is_far = places >= middle + spread - NEGLIGIBLE
    bins = np.unique(np.round(places / _step(basin.surface.columns)), return_inverse=True)[1]
    cut = w * is_far * _border(basin.surface, low=low)
    density, at_border = (np.bincount(bins.ravel(), cells.ravel()) for cells in (w, cut))
    return bool(at_border.max() > CUT * density.max())


def _places(basin: _Basin, of_alpha: float, of_lambda: float) -> Floats:
    """log2 of a quantity at each cell, [A, L]."""
    return of_alpha * basin.surface.rows[:, None] + of_lambda * basin.surface.columns


def _border(seen: Surface, *, low: bool) -> Floats:
    """Which cells lack the next lower (or higher) neighbour in α or in λ, [A, L]: 1 or 0."""
    known = np.pad(~np.isnan(seen.error), 1)
    beside = (known[:-2, 1:-1], known[1:-1, :-2]) if low else (known[2:, 1:-1], known[1:-1, 2:])
    return 1.0 - (beside[0] & beside[1])


def _step(axis: Floats) -> float:
    """A usual step of an axis, octaves."""
    return float(np.median(np.diff(axis))) if axis.size > 1 else 1.0


def _along(cells: Floats, axis: int, *, low: bool) -> Floats:
    """Cells as lines along an axis, one of its ends first."""
    lines = np.moveaxis(cells, axis, 1)
    return lines if low else lines[:, ::-1]


def _fitted(quantity: str, places: Sequence[Place], samples: Sequence[Sample]) -> Exponent:
    """The line through the places that are no bounds."""
    own = tuple(places)
    known = [
        (place, sample)
        for place, sample in zip(places, samples, strict=True)
        if not place.side and place.value.has_interval
    ]
    if len({place.x for place, _ in known}) >= LEAST:
        line = _line(known)
        why = _too_wide(line.exponent)
        return Exponent(quantity, own, line.exponent, line, why)
    return Exponent(quantity, own, _one_end(places, samples), None, _too_few(places, len(known)))


def _line(known: Sequence[tuple[Place, Sample]]) -> Line:
    """Weighted least squares on [N] values and on each of their draws."""
    x = np.log2([place.x for place, _ in known])
    y = np.array([sample.value for _, sample in known])
    draws = _draws([sample for _, sample in known])  # [B, N]
    variance = np.nanvar(draws, axis=0) + GRAIN**2
    pull, weight, at = _pull(x, variance)
    slope = Sample(float(pull @ y), draws @ pull)
    middle = Sample(float(weight @ y), draws @ weight)
    left = y - middle.value - slope.value * (x - at)
    chi = float((left**2 / variance).sum())
    return Line(at, middle, slope, max(1.0, math.sqrt(chi / max(len(x) - 2, 1))))


def _pull(x: Floats, variance: Floats) -> tuple[Floats, Floats, float]:
    """What each y adds to the slope and to the middle of a line, [N] each; and where that is."""
    weight = 1 / variance
    weight = weight / weight.sum()
    at = float(weight @ x)
    pull = weight * (x - at)
    return pull / (pull @ (x - at)), weight, at


def _draws(samples: Sequence[Sample]) -> Floats:
    """Draws of independent samples side by side, [B, N].

    Replicates of one seed share random numbers, so that each panel has a seed of its own.
    """
    count = min(sample.draws.size for sample in samples)
    return np.stack([sample.draws[:count] for sample in samples], axis=-1)


def _one_end(places: Sequence[Place], samples: Sequence[Sample]) -> Estimate:
    """The end of the slope's interval that bounds leave, if all push it the same way."""
    told = [
        (place, sample)
        for place, sample in zip(places, samples, strict=True)
        if place.side != "anywhere" and place.value.has_interval
    ]
    if len({place.x for place, _ in told}) < LEAST:
        return Estimate()
    line = _line(told)
    x = np.log2([place.x for place, _ in told])
    pull = _pull(x, np.nanvar(_draws([sample for _, sample in told]), axis=0) + GRAIN**2)[0]
    signs = {"below": -1, "above": 1, "": 0}
    pushes = {
        np.sign(own) * signs[place.side]
        for own, (place, _) in zip(pull, told, strict=True)
        if abs(own) > NEGLIGIBLE and place.side
    }
    found = line.exponent
    if pushes == {1.0}:
        return Estimate(math.nan, found.low, math.inf)
    return Estimate(math.nan, -math.inf, found.high) if pushes == {-1.0} else Estimate()


def _stretched(found: Estimate, by: float) -> Estimate:
    return replace(
        found,
        low=found.value - by * (found.value - found.low),
        high=found.value + by * (found.high - found.value),
    )


def _too_wide(found: Estimate) -> str:
    if not found.has_interval:
        return "the noise is unknown"
    if found.high - found.low > WIDE:
        return "the interval is too wide"
    return ""


def _too_few(places: Sequence[Place], known: int) -> str:
    bounds = sum(1 for place in places if place.side)
    if any(not place.side and not place.value.has_interval for place in places):
        return "the noise is unknown"
    if bounds:
        return f"{bounds} of {len(places)} best values lie on a border, or move nothing"
    return f"{known} values are too few: {LEAST} are needed"


def _published(
    family: Family, power: int | None, exponents: Sequence[Exponent]
) -> tuple[Comparison, ...]:
    """The published laws that say something of this pair and this number."""
    if power is None:
        return ()
    own = {one.quantity: one for one in exponents}
    pair, found = pair_called(family.pair), []
    for law in PUBLISHED_LAWS:
        says = law.exponent(family.over, steps_held=family.steps_held)
        if says is None or not law.holds_for(pair):
            continue
        quantity = ALPHA if law.of == "alpha" else DECAYS[power]
        of_lambda = math.nan
        if law.of == "decay":
            moved = power * own[ALPHA].exponent.value if power else 0.0
            of_lambda = says - moved
        verdict = _verdict(own[quantity], says)
        found.append(Comparison(law, quantity, says, verdict, of_lambda))
    return tuple(found)


def _verdict(found: Exponent, says: float) -> Verdict:
    b = found.exponent
    if b.has_interval and not b.low - ROUNDING <= says <= b.high + ROUNDING:
        return "contradicted"
    return "allowed" if found.tells else "cannot tell"
