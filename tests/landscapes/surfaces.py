"""Surfaces with known answers, and each statistic once more: plain, slow, in loops.

`plain_*` follow the words of the docstrings of `statistics.coupling`, not their code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

OCTAVES = np.arange(-5.0, 6.0)  # the axes of an 11 × 11 grid
nan, inf = math.nan, math.inf
Table = Sequence[Sequence[float]]  # errors [A, L]


def quadratic(a: float, b: float, c: float, x=OCTAVES, y=OCTAVES, off=(0.0, 0.0)) -> np.ndarray:
    """5 + a·x² + 2b·x·y + c·y², its minimum moved by `off`; tilt −b/√(ac), drift −b/c."""
    dx, dy = x[:, None] - off[0], y[None, :] - off[1]
    return 5 + a * dx**2 + 2 * b * dx * dy + c * dy**2


def valley(degrees: float, *, long: float = 0.03, steep: float = 0.6, **rest) -> np.ndarray:
    """A quadratic valley: 0° upright (any α, one λ), 45° a falling diagonal, 90° lying flat."""
    return quadratic(*valley_form(degrees, long, steep), **rest)


def valley_form(degrees: float, long: float = 0.03, steep: float = 0.6) -> tuple[float, ...]:
    """The a, b, c of a valley."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    form = np.array([[cos, -sin], [sin, cos]])
    form = form.T @ np.diag([long, steep]) @ form
    return form[0, 0], form[0, 1], form[1, 1]


def frame_of(runs: np.ndarray, x=OCTAVES, y=OCTAVES, **columns) -> pd.DataFrame:
    """A landscape frame of errors [A, L] or [S, A, L]."""
    runs = np.array(runs, dtype=float)
    runs = runs[None] if runs.ndim == 2 else runs
    seed, row, col = (one.ravel() for one in np.indices(runs.shape))
    return pd.DataFrame(
        {
            "alpha": 2.0 ** np.asarray(x)[row],
            "lambda": 2.0 ** np.asarray(y)[col],
            "seed": seed,
            "test_error": runs.ravel(),
            **columns,
        }
    )


def plain_best(error: Table) -> float:
    known = [cell for _, _, cell in cells(error) if math.isfinite(cell)]
    return min(known, default=nan)


def cells(error: Table) -> Iterator[tuple[int, int, float]]:
    """Row, column and error of the cells that are not missing."""
    for i, row in enumerate(error):
        for j, cell in enumerate(row):
            if not math.isnan(cell):
                yield i, j, float(cell)


def plain_width(axis: Sequence[float], k: int) -> float:
    if len(axis) == 1:
        return 1.0
    before = axis[k] - axis[k - 1] if k > 0 else axis[1] - axis[0]
    after = axis[k + 1] - axis[k] if k + 1 < len(axis) else axis[-1] - axis[-2]
    return (before + after) / 2


def plain_member(excess: float, span: float, tau: float) -> float:
    return 0.0 if excess >= span else math.exp(-excess / tau) - math.exp(-span / tau)


def plain_tilt(error: Table, x, y, span: float, tau: float) -> float:
    best = plain_best(error)
    if math.isnan(best):
        return nan
    weighed = [
        (plain_member(e - best, span, tau) * plain_width(x, i) * plain_width(y, j), x[i], y[j])
        for i, j, e in cells(error)
    ]
    total = sum(w for w, _, _ in weighed)
    mean_x, mean_y = (sum(one[0] * one[k] for one in weighed) / total for k in (1, 2))
    xx = sum(w * (u - mean_x) ** 2 for w, u, _ in weighed) / total
    yy = sum(w * (v - mean_y) ** 2 for w, _, v in weighed) / total
    xy = sum(w * (u - mean_x) * (v - mean_y) for w, u, v in weighed) / total
    return xy / math.sqrt(xx * yy) if min(xx, yy) > 1e-9 else nan


def plain_drift(error: Table, x, y, span: float, tau: float) -> float:
    best = plain_best(error)
    found = []  # α, the best λ there, how much the row counts
    for i, row in enumerate(error):
        lowest = plain_best([row])
        if math.isnan(lowest) or lowest >= best + 1:
            continue
        weighed = [
            (plain_member(e - lowest, span, tau) * plain_width(y, j), y[j])
            for _, j, e in cells([row])
        ]
        place = sum(w * v for w, v in weighed) / sum(w for w, _ in weighed)
        found.append((x[i], place, plain_width(x, i)))
    if len(found) < 3:
        return nan
    mean = sum(u * k for u, _, k in found) / sum(k for _, _, k in found)
    rise = sum(k * (u - mean) * v for u, v, k in found)
    return rise / sum(k * (u - mean) ** 2 for u, _, k in found)


def plain_interaction(error: Table, span: float) -> float:
    """By least squares on one column for every α and every λ."""
    best = plain_best(error)
    kept = [(i, j, e - best) for i, j, e in cells(error) if e - best < span]
    if not kept:
        return nan
    design = np.zeros((len(kept), len(error) + len(error[0])))
    for k, (i, j, _) in enumerate(kept):
        design[k, i] = design[k, len(error) + j] = 1
    z = np.array([z for _, _, z in kept])
    left = z - design @ np.linalg.lstsq(design, z, rcond=None)[0]
    total = sum((one - z.mean()) ** 2 for one in z)
    effects = len({i for i, _, _ in kept}) + len({j for _, j, _ in kept}) - 1
    if effects >= len(kept):
        return nan
    return float(sum(left**2) / total) if total > 1e-12 else nan


def plain_regrets(error: Table) -> list[float]:
    """Excess over the best error for every α from which one can start; ties: the smaller λ."""
    costs = []
    for row in error:
        known = [(e, j) for _, j, e in cells([row]) if math.isfinite(e)]
        if known:
            _, chosen = min(known)
            column = [[line[chosen]] for line in error]
            costs.append(plain_best(column) - plain_best(error))
    return costs
