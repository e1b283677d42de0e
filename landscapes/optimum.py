"""Where a panel's basin lies, and how far it moves over budgets and schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from landscapes import statistics
from landscapes.bootstrap import REPLICATES, Estimate, Sample, draw
from landscapes.separability import SPAN, TAU, checked_surface, used_tau
from landscapes.surface import Floats
from study.schedules import WarmRestarts
from study.spec import Panel, Study


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

    panel: str
    origin: str  # the panel from which it moves
    alpha: Estimate
    raw_lambda: Estimate
    normalized_lambda: Estimate


def optimum(
    frame: pd.DataFrame,
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
    seen = checked_surface(frame, span=span, tau=tau)
    if not np.isfinite(seen.error).any():
        return Optimum(Sample(math.nan, np.empty(0)), Sample(math.nan, np.empty(0)))
    x, y = seen.alpha, seen.lambda_
    noisy = draw(seen, replicates, seed)

    def centre(error: Floats) -> tuple[Floats, Floats]:
        w = statistics.weights(error, x, y, span=span, tau=used_tau(seen, tau))
        total = w.sum(axis=(-2, -1))
        return (w.sum(axis=-1) * x).sum(axis=-1) / total, (w.sum(axis=-2) * y).sum(axis=-1) / total

    values, draws = centre(seen.error), centre(noisy)
    return Optimum(*(Sample(float(v), d) for v, d in zip(values, draws, strict=True)))


def moves(study: Study, cells: pd.DataFrame) -> list[Move]:
    """How the basin moves from the first panel of each pair to its others.

    Args:
        study: as stored, with the budget of every panel.
        cells: of `cells_frame`.
    """
    found = []
    origins: dict[tuple[str, bool], Panel] = {}
    for panel in study.panels:
        origin = origins.setdefault((panel.pair, panel.normalized), panel)
        if origin is not panel:
            found.append(_move(origin, panel, cells))
    return found


def _move(origin: Panel, panel: Panel, cells: pd.DataFrame) -> Move:
    start = optimum(cells[cells["panel"] == origin.name], seed=0)
    end = optimum(cells[cells["panel"] == panel.name], seed=1)
    moved = end.lambda_ - start.lambda_
    octaves = _normalization(panel) - _normalization(origin)  # of λ_norm over raw λ
    if panel.normalized:
        raw, normalized = _shifted(moved, -octaves), moved
    else:
        raw, normalized = moved, _shifted(moved, octaves)
    return Move(
        panel=panel.name,
        origin=origin.name,
        alpha=(end.alpha - start.alpha).estimate(),
        raw_lambda=raw.estimate(),
        normalized_lambda=normalized.estimate(),
    )


def _shifted(one: Sample, octaves: float) -> Sample:
    return Sample(one.value + octaves, one.draws + octaves)


def _normalization(panel: Panel) -> float:
    """log2(λ_norm/λ) but for a constant of the study: ½·log2 T; NaN under warm restarts."""
    if isinstance(panel.schedule, WarmRestarts) or panel.epochs is None:
        return math.nan
    return math.log2(panel.epochs) / 2
