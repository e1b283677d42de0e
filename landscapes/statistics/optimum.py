"""Where a panel's basin lies, and how far it moves over budgets and schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.bootstrap import REPLICATES, Estimate, Sample, draw
from landscape_study.landscapes.statistics.separability import TAU, checked_surface, used
from landscape_study.landscapes.statistics.surface import Floats
from landscape_study.study.pairs.schedules import WarmRestarts
from landscape_study.study.spec.metric import SPAN, TEST_ERROR, Metric
from landscape_study.study.spec.study import Panel


@dataclass(frozen=True)
class Optimum:
    """The middle of a panel's basin: the mean of log2 α and log2 λ under its weights."""

    alpha: Sample  # log2
    lambda_: Sample  # log2


@dataclass(frozen=True)
class Move:
    """How far the basin of a panel lies from that of the first panel of its pair, in octaves.

    1 means twice the value. Raw and normalized λ move apart with the budget T, since
    λ = λ_norm·√(b/(B·T)); NaN where that does not apply (warm restarts: T changes within a run).
    """

    origin: str  # label of the panel from which it moves
    panel: str  # likewise
    alpha: Estimate
    raw_lambda: Estimate
    normalized_lambda: Estimate


def optimum(
    frame: pd.DataFrame,
    metric: Metric = TEST_ERROR,
    *,
    span: float = SPAN,
    tau: float = TAU,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Optimum:
    """Find the middle of a basin; steadier than the single best cell, which noise moves.

    Raises:
        UsageError: as `separability`.
    """
    seen = checked_surface(frame, metric, span=span, tau=tau)
    if not np.isfinite(seen.error).any():
        return Optimum(Sample(math.nan, np.empty(0)), Sample(math.nan, np.empty(0)))
    (span, tau), x, y = used(seen, span, tau), seen.rows, seen.columns
    noisy = draw(seen, replicates, seed)

    def centre(error: Floats) -> tuple[Floats, Floats]:
        w = coupling.weights(error, x, y, span=span, tau=tau)
        total = w.sum(axis=(-2, -1))
        return (w.sum(axis=-1) * x).sum(axis=-1) / total, (w.sum(axis=-2) * y).sum(axis=-1) / total

    values, draws = centre(seen.error), centre(noisy)
    return Optimum(*(Sample(float(v), d) for v, d in zip(values, draws, strict=True)))


def moves(panels: Sequence[PanelData]) -> list[Move]:
    """How the basin moves from the first panel of each pair to its others, of one study."""
    found = []
    origins: dict[tuple[str, bool], PanelData] = {}
    for one in panels:
        if one.panel is not None and one.landscape.is_usual:
            origin = origins.setdefault((one.panel.pair, one.panel.normalized), one)
            if origin is not one:
                found.append(_move(origin, one))
    return found


def _move(origin: PanelData, end: PanelData) -> Move:
    # Their noise is independent: so are the seeds of their replicates.
    first, second = (
        optimum(one.cells, one.metric, seed=seed) for seed, one in enumerate((origin, end))
    )
    moved = second.lambda_ - first.lambda_
    octaves = _octaves(origin.panel, end.panel)
    if end.panel is not None and end.panel.normalized:
        raw, normalized = _shifted(moved, -octaves), moved
    else:
        raw, normalized = moved, _shifted(moved, octaves)
    return Move(
        origin=origin.label,
        panel=end.label,
        alpha=(second.alpha - first.alpha).estimate(),
        raw_lambda=raw.estimate(),
        normalized_lambda=normalized.estimate(),
    )


def _shifted(one: Sample, octaves: float) -> Sample:
    return Sample(one.value + octaves, one.draws + octaves)


def _octaves(origin: Panel | None, end: Panel | None) -> float:
    """By how many octaves λ_norm/λ = √(B·T/b) is larger at the end; NaN where that is not known.

    That is under warm restarts, and where one batch size b is the study's, the other its own.
    """
    if origin is None or end is None or origin.epochs is None or end.epochs is None:
        return math.nan
    if any(isinstance(panel.schedule, WarmRestarts) for panel in (origin, end)):
        return math.nan
    ratio = end.epochs / origin.epochs
    if end.batch_size != origin.batch_size:
        if end.batch_size is None or origin.batch_size is None:
            return math.nan
        ratio *= origin.batch_size / end.batch_size
    return math.log2(ratio) / 2
