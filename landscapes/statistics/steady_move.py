"""Whether the best λ moves with α and never back: told by order alone.

A valley narrower than a step of the grid has too few good cells for a tilt, and with one seed its
roughness looks like noise. But if λ* were the same for all α, noise would hardly put the best
cells of the rows into ascending or descending order: an exact test, which needs no noise. One
lucky or broken cell can only spoil the order.

Shapes: A values of α (rows), L of λ, both ascending.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from landscape_study.landscapes.statistics.surface import Surface

FEWEST_ROWS = 4
FEWEST_LAMBDAS = 3  # different best ones
CHANCE = 0.025  # of such an order where the best λ does not depend on α, at most


def steady_move(seen: Surface) -> float:
    """Slope of the best log2 λ against log2 α where it moves steadily; else NaN.

    It does so where it never moves back (it may stay from one α to the next), takes three values
    or more over four α or more, and where chance would hardly order it so. Rows with a missing
    cell or without a finite one are left out, and those at the ends whose best λ is an outermost
    one, but one at each end.
    """
    error, x, y = seen.error, seen.rows, seen.columns
    rows = np.flatnonzero(~np.isnan(error).any(axis=1) & np.isfinite(error).any(axis=1))
    best = error[rows].argmin(axis=1) if rows.size else np.empty(0, dtype=np.intp)
    kept = _within_the_grid(best, y.size)
    rows, best = rows[kept], best[kept]
    moves = np.diff(best)
    if rows.size < FEWEST_ROWS or np.unique(best).size < FEWEST_LAMBDAS:
        return math.nan
    if not ((moves <= 0).all() or (moves >= 0).all()) or _chance(best, y.size) > CHANCE:
        return math.nan
    return float(np.polyfit(x[rows], y[best], 1)[0])


def _within_the_grid(best: npt.NDArray[np.intp], count: int) -> slice:
    """Which rows to keep: those within, and one more at each end.

    Where the best λ is an outermost one, the true one may lie beyond the grid.
    """
    inner = np.flatnonzero((best > 0) & (best < count - 1))
    if not inner.size:
        return slice(0)
    return slice(max(inner[0] - 1, 0), inner[-1] + 2)


def _chance(best: npt.NDArray[np.intp], count: int) -> float:
    """How probable an ascending or descending order of rows is that are alike, at most.

    Of R rows with R different λ among L it is 2·C(L, R)/L^R, whatever the probability of each λ
    (it is largest where all are equal, by Maclaurin's inequality); of others, the share of the
    orders of these very λ.
    """
    times = np.unique(best, return_counts=True)[1]
    if times.max() == 1:
        return 2 * math.comb(count, best.size) / count**best.size
    return 2 * math.prod(map(math.factorial, times.tolist())) / math.factorial(best.size)
