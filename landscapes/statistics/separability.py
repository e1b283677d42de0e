"""How coupled are α and λ, and what does it cost? Numbers with intervals, and a verdict.

The numbers are those of `statistics.coupling`, their 95 % intervals those of
`statistics.bootstrap`. The verdict follows from them:

    coupled      the whole interval of the tilt lies beyond ±0.5 (a diagonal); or that of the
                 regret above τ; or that of the interaction above 0.5 and that of the regret
                 above 0 (a bend, which has no tilt); or, on a grid whose basin cannot show any of
                 this (too narrow, mostly on the border, its noise unknown or no less than what it
                 changes), the best λ moves with α and never back (`statistics.steady_move`)
    separable    none of these; the whole interval of the tilt lies within ±0.5, and both α and
                 λ change the error by more than noise would
    cannot tell  neither, or the landscape does not allow a verdict; the reason says why

Of a refined grid, tilt and drift are read off all cells (see `statistics.filling`). The others
compare single cells with the best one, which is the luckier the more there are around it: they are
read off the grid alone.

Of cells that lie scattered, the same is read off the surface between them, see
`statistics.interpolation`; a design that cannot tell (`statistics.scattered_design`) says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.bootstrap import (
    LEVEL,
    REPLICATES,
    Estimate,
    Sample,
    Statistic,
    draw,
    sample,
)
from landscape_study.landscapes.statistics.interpolation import Interpolation, panel_surface
from landscape_study.landscapes.statistics.law import Law, law
from landscape_study.landscapes.statistics.scattered_design import OFF_IT
from landscape_study.landscapes.statistics.steady_move import steady_move
from landscape_study.landscapes.statistics.surface import BASIN, Mask, Surface
from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.errors import UsageError
from landscape_study.study.quantities import format_roughly
from landscape_study.study.spec.cell_numbers import (
    LAMBDA,
    USUAL,
    Names,
    positive_symbol,
    symbols,
)
from landscape_study.study.spec.design import FEWEST_VALUES
from landscape_study.study.spec.metric import MATTERS, SPAN, TEST_ERROR, Metric

TAU = MATTERS  # points of error over which a cell's weight falls by a factor e
TILTED = 0.5  # |tilt| from which a basin counts as diagonal
BENT = 0.5  # interaction from which a basin that costs regret counts as bent
UNFINISHED = 0.5  # share of the cells from which a study has too many open ones
CUT = 0.5  # share of the basin on the border of what was trained
NARROW = 3.0  # cells: a smaller basin has no shape
FLAT = 2.5  # standard errors of a cell: pure noise spreads by 1, one time in twenty by 1.8
OTHER_MATTERS = (0.5, 2.0)  # times what matters, where nobody said: is the verdict another?
FEW_REPLICATES = 250
IDLE = 1.1  # the same for the cells of a few lines, about each line's mean

TOO_NARROW = (
    "the basin is no wider than a step of the grid: refine it around the best cell",
    "the basin is a single line of cells: refine the grid around it",
)

# What to do where whoever asks chooses the cells, at the end of a reason.
EXTEND, VALUES, BEYOND = "extend the grid", "extend its values", "try values beyond it"
MORE = "run more trials"
NEEDED = "are needed"  # ends the reason where cells are too few

STATISTICS: dict[str, tuple[float, float]] = {  # and the bounds that they cannot leave
    "tilt": (-1, 1),
    "drift": (-np.inf, np.inf),
    "interaction": (0, 1),
    "product": (-1, 1),
    "regret": (0, np.inf),
    "worst_regret": (0, np.inf),
}

JUDGED = ("tilt", "interaction", "regret")  # what verdicts follow from
COSTS = ("regret", "worst_regret")  # in points; the others have no unit

Verdict = Literal["coupled", "separable", "cannot tell"]
Rule = Literal["tilt", "regret", "interaction", "order"]  # what decided: a statistic, or the order


@dataclass(frozen=True)
class _Judgement:
    """A verdict and what it follows from."""

    verdict: Verdict
    reason: str  # a clause
    rule: Rule | None = None  # None where there is no verdict
    slope: float | None = None  # of the best cells, where their order decided


_cannot_tell = partial(_Judgement, "cannot tell")


@dataclass(frozen=True)
class Separability:
    """What `separability` finds out about one panel."""

    verdict: Verdict
    reason: str  # a clause: "the basin is a diagonal"
    tilt: Estimate  # −1 diagonal … 0 upright … 1
    drift: Estimate  # octaves of λ per octave of α
    interaction: Estimate  # share of the sum of squares, 0 to 1
    product: Estimate  # −1: λ describes the surface better, 1: α·λ does
    regret: Estimate  # in the metric's unit, mean over the starting α
    worst_regret: Estimate  # likewise, over the starting α
    best: float  # value of the metric
    cells: int  # with λ > 0 that finished and did not diverge
    seeds: int  # most of any cell
    noise: float  # in the metric's unit, standard error of a cell's mean; NaN where unknown
    tau: float  # likewise, as used: what matters, or the noise where that is larger
    units: Units = PERCENT
    rule: Rule | None = None
    """What decided: the interval of a statistic, or the order of the best λ; None: nothing."""
    slope: float | None = None
    """Octaves of λ per octave of α, of the best cells alone, where their order decided.

    It has no interval: only its sign is told by the order.
    """
    names: Names = USUAL  # of the axes; what is said of α and λ holds of these
    otherwise: tuple[tuple[float, Verdict], ...] = ()
    """Half and double of what matters, where it was derived, and the verdict is another then."""

    @property
    def law(self) -> Law:
        """How the best λ goes with α."""
        return law(self.drift)

    @property
    def is_too_narrow(self) -> bool:
        """Whether more cells around the best one would tell."""
        return self.reason in TOO_NARROW

    @property
    def is_shown(self) -> bool:
        """Whether "separable" is shown, not only not refuted.

        Then tuning one at a time costs less than what matters: the whole interval of the regret
        lies below it. That is an equivalence test with this margin, see Schuirmann, "A Comparison
        of the Two One-Sided Tests Procedure and the Power Approach" (1987).
        """
        return self.verdict == "separable" and self.regret.high < self.units.matters

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}"


def separability(
    frame: pd.DataFrame,
    metric: Metric = TEST_ERROR,
    *,
    names: Names = USUAL,
    span: float = SPAN,
    tau: float = TAU,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = LEVEL,
) -> Separability:
    """Measure how coupled α and λ, or two other numbers, are in one panel's landscape frame.

    A share such as β2 is measured by log2 of 1/(1 − β2), the steps that it remembers: its octave
    is from 0.9 to 0.95.

    On a grid, cells that were pruned count as bad as the span, which makes a basin steeper than
    it is: so a verdict that would be another without them is none.

    Args:
        frame: one row per cell and seed of one panel: alpha, lambda (or what its axes are), a
            column of the metric's name, and where they are there seed, state, diverged, clipped;
            see `surface`.
        metric: what was measured.
        names: of the axes.
        span: points (see `statistics.units`) above the best beyond which all cells count as
            equally bad.
        tau: points over which a cell's weight falls by e.
        replicates: of the bootstrap.
        seed: of the bootstrap: the same gives the same intervals.
        level: of the intervals that the verdict follows from, 0 to 1.

    Raises:
        UsageError: a frame of several panels or without the columns; an impossible span or tau.
    """
    seen = checked_surface(frame, metric, names=names, span=span, tau=tau)
    found = _measured(seen, span, tau, replicates, seed, level)
    if seen.is_interpolated or found.verdict == "cannot tell" or "clipped" not in frame:
        return found
    is_clipped = frame["clipped"].isin([True])
    if not is_clipped.any():
        return found
    rest = checked_surface(frame[~is_clipped], metric, names=names, span=span, tau=tau)
    without = _measured(rest, span, tau, replicates, seed, level).verdict
    if without == found.verdict:
        return found
    reason = (
        f"the verdict hangs on the {int(is_clipped.sum())} cells that were pruned: "
        f"{found.verdict} if they are as bad as can be, {without} if nothing is known of them"
    )
    return replace(found, verdict="cannot tell", reason=reason, otherwise=())


def _measured(
    seen: Surface, span: float, tau: float, replicates: int, seed: int, level: float
) -> Separability:
    """What a surface says, see `separability`."""
    drawn = samples(seen, span, tau, replicates, seed)
    found = {name: one.estimate(level) for name, one in drawn.items()}
    judgement = _judge(seen, found, *used(seen, span, tau))
    size, (cells, seeds, best) = seen.units.size, seen.observed
    judged = partial(_verdict, seen, span, tau, seed, level)
    return Separability(
        verdict=judgement.verdict,
        reason=judgement.reason,
        **{name: one.times(size if name in COSTS else 1) for name, one in found.items()},
        best=seen.units.value(best),
        cells=cells,
        seeds=seeds,
        noise=seen.noise * size,
        tau=used(seen, span, tau)[1] * size,
        units=seen.units,
        rule=judgement.rule,
        slope=judgement.slope,
        names=seen.names,
        otherwise=tuple(_otherwise(seen.units, judgement.verdict, judged, replicates)),
    )


def _otherwise(
    units: Units, verdict: Verdict, judged: Callable[[Units, int], Verdict], replicates: int
) -> Iterator[tuple[float, Verdict]]:
    """Half and double of a derived difference that matters, where the verdict is another."""
    for factor in OTHER_MATTERS if units.derived else ():
        other = replace(units, matters=factor * units.matters, derived=False)
        # Few replicates first: they mostly agree.
        for count in (min(FEW_REPLICATES, replicates), replicates):
            found = judged(other, count)
            if found == verdict:
                break
        else:
            yield other.matters, found


def _verdict(
    seen: Surface,
    span: float,
    tau: float,
    seed: int,
    level: float,
    units: Units,
    replicates: int,
) -> Verdict:
    """The verdict on a surface if points were those of `units`."""
    seen = seen.counted_in(units)
    drawn = samples(seen, span, tau, replicates, seed, JUDGED)
    found = {name: one.estimate(level) for name, one in drawn.items()}
    return _judge(seen, found, *used(seen, span, tau)).verdict


def panel_separability(panel: PanelData) -> Separability:
    """Measure how coupled the two axes of a panel are.

    One that has the best cells of another can be told more by a larger share of these.
    """
    found = separability(panel.cells, panel.metric, names=panel.landscape.names)
    promoted = panel.panel.promoted if panel.panel else None
    if promoted is None or promoted.share == 1 or found.verdict != "cannot tell":
        return found
    told, _, remedy = found.reason.rpartition(": ")
    if remedy in (EXTEND, VALUES, BEYOND, MORE, OFF_IT):
        found = replace(found, reason=f"{told}: a larger share of {promoted.best_of} would tell")
    elif remedy.endswith(NEEDED) and found.cells:
        more = f"take a larger share of {promoted.best_of}"
        found = replace(found, reason=f"{found.reason}: {more}")
    return found


def checked_surface(
    frame: pd.DataFrame,
    metric: Metric = TEST_ERROR,
    *,
    names: Names = USUAL,
    span: float,
    tau: float,
) -> Surface:
    """The surface of a frame, for a span and tau that make sense.

    Raises:
        UsageError: as `separability`.
    """
    for name, value, example in (("span", span, SPAN), ("tau", tau, TAU)):
        if not 0 < value < float("inf"):
            raise UsageError(
                f"{name} = {value}: give a positive number of points, such as {example}"
            )
    return panel_surface(frame, span=span, metric=metric, names=names)


def samples(
    seen: Surface,
    span: float,
    tau: float,
    replicates: int,
    seed: int,
    names: Sequence[str] = tuple(STATISTICS),
) -> dict[str, Sample]:
    """The statistics of a surface and of its replicates; NaN where it has too few cells."""
    if _too_small(seen):
        return {name: Sample(float("nan"), np.empty(0)) for name in names}
    noisy, alone = draw(seen, replicates, seed), seen.of_grid
    on_grid = noisy if seen.filling is None else seen.filling.of_grid(noisy)
    span, tau = used(seen, span, tau)
    (x, y), (of_grid_x, of_grid_y) = ((one.rows, one.columns) for one in (seen, alone))
    basin: dict[str, Statistic] = {
        "tilt": partial(coupling.tilt, x=x, y=y, span=span, tau=tau),
        "drift": partial(coupling.drift, x=x, y=y, span=span, tau=tau),
    }
    cells: dict[str, Statistic] = {
        "interaction": partial(coupling.interaction, span=span),
        "product": partial(coupling.product, x=of_grid_x, y=of_grid_y, span=span),
        "regret": coupling.regret,
        "worst_regret": coupling.worst_regret,
    }
    read = {name: (one, seen, noisy) for name, one in basin.items()}
    read |= {name: (one, alone, on_grid) for name, one in cells.items()}
    found = {name: sample(*read[name], STATISTICS[name]) for name in names}
    if "product" in found and seen.names != USUAL:  # no name for it
        found["product"] = Sample(float("nan"), np.empty(0))
    return found


def used(seen: Surface, span: float, tau: float) -> tuple[float, float]:
    """Span and τ as the statistics take them, both larger where the noise is larger than τ.

    Cells that differ by less than the noise shall weigh the same; and under much noise a span of
    a few standard errors would leave nothing but noise within it.
    """
    raised = float(np.fmax(tau, seen.noise))
    return span * raised / tau, raised


def _judge(seen: Surface, found: dict[str, Estimate], span: float, tau: float) -> _Judgement:
    """The verdict and what it follows from.

    A flat surface is no obstacle to "coupled": noise alone hardly ever puts the whole interval
    of a tilt beyond the bound, and so diagonals under much noise are told far more often.
    """
    tilt, regret = found["tilt"], found["regret"]
    if obstacle := _too_small(seen) or _unfinished(seen):
        return _cannot_tell(obstacle)
    obstacle = _obstacle(seen, tilt, span, tau)
    if not obstacle:
        if tilt.lies_beyond(TILTED):
            way = "falling" if tilt.value < 0 else "rising"
            return _Judgement("coupled", f"the good cells lie on a {way} diagonal", "tilt")
        if regret.low > tau:
            told = f"{format_roughly(tau * seen.units.size)} {seen.units.metric.differences}"
            why = f"tuning one at a time costs more than {told.strip()} on average"
            return _Judgement("coupled", why, "regret")
        obstacle = _unmoved(seen, span)
    if obstacle:
        slope = math.nan if seen.is_interpolated else steady_move(seen.of_grid)
        if abs(slope) >= TILTED:
            way = "falls" if slope < 0 else "rises"
            first, second = symbols(seen.names)
            why = f"as {first} grows, the best {second} {way} and never moves back"
            return _Judgement("coupled", why, "order", slope)
        return _cannot_tell(obstacle)
    if found["interaction"].low > BENT and regret.low > 0:
        first, second = symbols(seen.names)
        why = f"the best {second} changes with {first}, though along no straight line"
        return _Judgement("coupled", why, "interaction")
    if tilt.lies_within(TILTED):
        first, second = symbols(seen.names)
        why = f"in the basin the best {second} hardly depends on {first}"
        return _Judgement("separable", why, "tilt")
    if seen.is_interpolated:
        return _cannot_tell(f"what was tried allows a diagonal as well as none: {MORE}")
    return _cannot_tell("the noise allows a diagonal as well as none: more seeds would tell")


def _too_small(seen: Surface) -> str | None:
    """Say why no number can be given, if so."""
    if isinstance(seen, Interpolation) and seen.obstacle:
        return seen.obstacle
    finite = np.isfinite(seen.error)
    if not (seen.n > 0).any():
        with_decay = " with λ > 0" if seen.names[1] == LAMBDA else ""
        return f"no cell{with_decay} has finished"
    if not finite.any():
        return "every finished cell diverged"
    if constant := seen.units.constant(seen.error[finite]):
        return constant
    values = symbols(seen.names)[0], positive_symbol(seen.names[1])
    for name, along in zip(values, (1, 0), strict=True):
        count = finite.any(axis=along).sum()
        if count < FEWEST_VALUES:
            return (
                f"{count} value{'' if count == 1 else 's'} of {name} with a result, "
                f"at least {FEWEST_VALUES} are needed"
            )
    if finite.sum() < FEWEST_VALUES**2:
        return f"{finite.sum()} cells with a result, at least {FEWEST_VALUES**2} are needed"
    return None


def _unfinished(seen: Surface) -> str | None:
    missing = np.isnan(seen.error)
    if missing.mean() > UNFINISHED:
        return f"{missing.sum()} of {missing.size} cells have not finished"
    return None


def _obstacle(seen: Surface, tilt: Estimate, span: float, tau: float) -> str | None:
    """Say why the cells of the basin do not show whether it is a diagonal, if so."""
    missing = np.isnan(seen.error)
    w = coupling.weights(seen.error, seen.rows, seen.columns, span=span, tau=tau)
    if w[_border(missing, seen.border)].sum() > CUT * w.sum():
        wider = BEYOND if seen.is_interpolated else EXTEND
        return f"most of the basin lies on the border of what was trained: {wider}"
    if w.sum() ** 2 / (w**2).sum() < NARROW:
        return TOO_NARROW[0]
    if not seen.residuals.size:
        return "one seed and too few good cells to know the noise: more seeds would tell"
    if not tilt.has_interval:
        return TOO_NARROW[1]
    return None


def _unmoved(seen: Surface, span: float) -> str | None:
    """Say that noise alone could look like this surface, if so."""
    if _flat(seen, span):
        what = seen.units.metric.title
        where = "from trial to trial" if seen.is_interpolated else "over the grid"
        return f"the {what} does not change {where} by more than its noise"
    for name, along in zip(symbols(seen.names)[::-1], (1, 0), strict=True):
        if _idle(seen, span, along):
            return f"in the basin {name} changes nothing: {VALUES}"
    return None


def is_lambda_idle(seen: Surface, span: float) -> bool:
    """Whether λ changes nothing by more than noise where the good cells lie.

    Then the best λ of each α is the middle of what was tried, whatever α is.
    """
    return _flat(seen, span) or _idle(seen, span, along=1)


def is_alpha_idle(seen: Surface, span: float) -> bool:
    """Whether α changes nothing by more than noise where the good cells lie."""
    return _flat(seen, span) or _idle(seen, span, along=0)


def _flat(seen: Surface, span: float) -> bool:
    """Whether noise alone could look like this surface; its tilt would be near 0."""
    excess = seen.error[np.isfinite(seen.error)] - seen.best
    return bool(np.minimum(excess, span).std() <= FLAT * seen.noise)


def _idle(seen: Surface, span: float, along: int) -> bool:
    """Whether the errors of no good row (along = 1) or column (0) change by more than noise."""
    excess = np.where(np.isfinite(seen.error), np.minimum(seen.error - seen.best, span), np.nan)
    lines = np.moveaxis(excess, along, 1)
    lines = lines[np.where(np.isnan(lines), np.inf, lines).min(axis=1) < BASIN]
    within = lines - np.nanmean(lines, axis=1, keepdims=True)
    return bool(np.nanstd(within) <= IDLE * seen.noise)


def _border(missing: Mask, wide: int) -> Mask:
    """Which cells have no cell so many steps beyond them in some direction, [A, L]."""
    beyond = np.pad(missing, wide, constant_values=True)
    rows, cols = (slice(wide, wide + size) for size in missing.shape)
    after, before = slice(2 * wide, None), slice(None, -2 * wide)
    return beyond[after, cols] | beyond[before, cols] | beyond[rows, after] | beyond[rows, before]
