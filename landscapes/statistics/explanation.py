"""Which of λ, α·λ and the timescale of the decay explains where a pair's good cells lie.

What explains it has one best value: at every α, and in every panel of other batch sizes, budgets
or options. So, over the α of the panels of one pair whose best error is good (see
`coupling.drift`), with λ* the best λ of each:

    within   root mean square deviation of log2 of the candidate at (α, λ*) from its panel's mean
    between  that of the panels' means from the mean of them
    spread   √(within² + between²)

all in octaves. The candidates are log2 λ*, log2 α + log2 λ*, and the logarithm of the timescale
(`pairs.timescale`), which within a panel is one of the other two but for a constant, where λ is
not multiplied by α².

Noise moves λ* and so raises every candidate's spread alike; so candidates are told apart by the
differences of the squares of their spreads, whose intervals come from the bootstrap.

Letters: A values of α of a panel, B replicates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics.bootstrap import REPLICATES, Estimate, Sample, draw
from landscape_study.landscapes.statistics.coupling import LEAST_ROWS, row_middles, widths
from landscape_study.landscapes.statistics.edges import edges
from landscape_study.landscapes.statistics.separability import (
    TAU,
    checked_surface,
    is_lambda_idle,
    used,
)
from landscape_study.landscapes.statistics.surface import Floats
from landscape_study.study.pairs.registry import pair_called
from landscape_study.study.pairs.timescale import Timescale
from landscape_study.study.spec.metric import SPAN

TIMESCALE = "the timescale"
TELLING = 0.25  # octaves: candidates whose spreads differ by less explain alike
SAME = 1e-9  # octaves


@dataclass(frozen=True)
class Candidate:
    """What may explain a landscape, and how far its best value moves, in octaves."""

    name: str
    within: Estimate  # from α to α
    between: Estimate  # from panel to panel; NaN of one panel
    spread: Estimate  # of both


@dataclass(frozen=True)
class Explanation:
    """What explains the landscapes of a pair's panels.

    Attributes:
        title: of the pair.
        panels: names of those that were looked at.
        candidates: the steadiest first.
        best: of the candidates, those that none other explains better than; one, if that is told.
        same: those that are one but for a constant in these panels, which cannot tell them apart.
        left_out: names of panels that say nothing of it, and why.
    """

    title: str
    panels: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    best: tuple[str, ...]
    same: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the candidates, in the order in which they are explained."""
        known = [one.name for one in self.candidates]
        return tuple(name for name in ("λ", "α·λ", TIMESCALE) if name in known)

    @property
    def is_told(self) -> bool:
        """Whether one explains best, or several that are the same here."""
        return bool(self.best) and (len(self.best) == 1 or set(self.best) == set(self.same))


@dataclass(frozen=True)
class _Rows:
    """The good rows of a panel, of the landscape and of its replicates."""

    octaves: Floats  # [A] log2 α
    places: Floats  # [1 + B, A] log2 λ*
    weights: Floats  # [1 + B, A]
    timescale: Timescale | None

    def moments(self, of_alpha: float, shift: float) -> tuple[Floats, Floats]:
        """Mean and variance over the rows of log2 λ* + of_alpha·log2 α + shift, each [1 + B]."""
        values = self.places + of_alpha * self.octaves + shift
        with np.errstate(invalid="ignore", divide="ignore"):
            total = self.weights.sum(axis=-1)
            mean = (self.weights * values).sum(axis=-1) / total
            variance = (self.weights * (values - mean[:, None]) ** 2).sum(axis=-1) / total
        return mean, variance


def explanations(panels: Sequence[PanelData], replicates: int = REPLICATES) -> list[Explanation]:
    """What explains the landscapes of each pair of a study, in its order.

    Panels go together that have pair, schedule and kind of λ in common. Pairs of which no panel
    says anything are left out.

    Args:
        panels: of one study.
        replicates: B.
    """
    families: dict[tuple[object, ...], list[PanelData]] = {}
    for one in panels:
        if one.panel is not None and not one.panel.is_labelled and one.landscape.is_usual:
            own = one.panel
            key = own.pair, own.schedule.label, own.normalized
            families.setdefault(key, []).append(one)
    found = (_explanation(family, replicates) for family in families.values())
    return [one for one in found if one is not None]


def _explanation(family: Sequence[PanelData], replicates: int) -> Explanation | None:
    read: dict[str, _Rows] = {}
    left_out = []
    for seed, one in enumerate(family):
        rows = _rows(one, replicates, seed)
        if isinstance(rows, str):
            left_out.append((one.label, rows))
        else:
            read[one.label] = rows
    if not read:
        return None
    shifts = _candidates(list(read.values()))
    samples = {name: _spreads(list(read.values()), *how) for name, how in shifts.items()}
    order = sorted(samples, key=lambda name: samples[name][2].value)
    first = samples[order[0]][2]
    best = [name for name in order if not _is_worse(samples[name][2], first)]
    candidates = tuple(Candidate(name, *map(_octaves, samples[name])) for name in order)
    pair = pair_called(family[0].panel.pair)  # type: ignore[union-attr]  # `explanations` has looked
    same = _same(shifts)
    return Explanation(pair.title, tuple(read), candidates, tuple(best), same, tuple(left_out))


def _rows(one: PanelData, replicates: int, seed: int) -> _Rows | str:
    """The best λ of each α of a panel; or why it says nothing of it."""
    sides = {edge.name for edge in edges(one.landscape)}
    if sides & {"lambda-low", "lambda-high"}:
        return "best cells lie on a border of λ"
    seen = checked_surface(one.cells, one.metric, span=SPAN, tau=TAU)
    if not np.isfinite(seen.error).any() or seen.error.shape[1] < LEAST_ROWS:
        return "too few cells"
    noisy = draw(seen, replicates, seed)
    if not len(noisy):
        return "its noise is unknown"
    span, tau = used(seen, SPAN, TAU)
    if is_lambda_idle(seen, span):
        return "in its basin λ changes nothing"
    every = np.concatenate([seen.error[None], noisy])
    places, good = row_middles(every, seen.columns, span=span, tau=tau)
    if good[0].sum() < LEAST_ROWS:
        return f"fewer than {LEAST_ROWS} α are good"
    return _Rows(seen.rows, places, good * widths(seen.rows), one.landscape.timescale)


def _candidates(rows: Sequence[_Rows]) -> dict[str, tuple[float, tuple[float, ...]]]:
    """Of each candidate what log2 α is multiplied by, and what is added in each panel."""
    none = (0.0,) * len(rows)
    found: dict[str, tuple[float, tuple[float, ...]]] = {"λ": (0.0, none), "α·λ": (1.0, none)}
    timescales = [one.timescale for one in rows]
    known = [one for one in timescales if one is not None]
    if len(known) == len(rows):
        # Less its sign, which moves nothing: log2 λ + power·log2 α − log2 scale.
        shifts = tuple(-math.log2(one.scale) for one in known)
        found[TIMESCALE] = known[0].power, shifts
    return found


def _same(candidates: dict[str, tuple[float, tuple[float, ...]]]) -> tuple[str, ...]:
    """The timescale, and what differs from it by a constant only; nothing where that is none."""
    if TIMESCALE not in candidates:
        return ()
    power, shifts = candidates[TIMESCALE]
    if np.ptp(shifts) > SAME:
        return ()
    return tuple(name for name, (own, _) in candidates.items() if abs(own - power) < SAME)


def _spreads(
    rows: Sequence[_Rows], of_alpha: float, shifts: Sequence[float]
) -> tuple[Sample, Sample, Sample]:
    """Squares of what a candidate spreads: within panels, between them, both."""
    found = [one.moments(of_alpha, shift) for one, shift in zip(rows, shifts, strict=True)]
    means, variances = (np.array([moments[i] for moments in found]) for i in (0, 1))
    within, between = variances.mean(axis=0), means.var(axis=0)
    known = math.nan if len(rows) == 1 else 1.0  # one panel says nothing of it
    return _sample(within), _sample(known * between), _sample(within + between)


def _sample(values: Floats) -> Sample:
    return Sample(float(values[0]), values[1:], (0.0, math.inf))


def _octaves(square: Sample) -> Estimate:
    """A spread with its interval, of its square."""
    found = square.estimate()
    return Estimate(*(math.sqrt(end) for end in (found.value, found.low, found.high)))


def _is_worse(one: Sample, best: Sample) -> bool:
    """Whether a candidate spreads further than the best one, by more than noise and TELLING."""
    # Replicates of both are of the same draws: what noise adds to one, it adds to the other.
    apart = Sample(one.value - best.value, one.draws - best.draws).estimate()
    further = math.sqrt(one.value) - math.sqrt(best.value)
    return apart.has_interval and apart.low > 0 and further > TELLING
