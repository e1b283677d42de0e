"""How coupled a surface is: tilt, drift, interaction, product, regret.

Pure functions on errors [..., A, L] (points; NaN where missing, inf where diverged), so that
one call does all replicates of a bootstrap; they return [...]. `x` [A] and `y` [L] are log2 α
and log2 λ. E is the best error of a surface, and its excess z = min(error − E, span).

A α values, L λ values, both ascending.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from landscape_study.landscapes.statistics.surface import BASIN, Floats, Mask

LEAST_ROWS = 3  # good ones, that a line is drawn through
ONE_LINE = 1e-9  # square octaves: a basin with less spread along an axis is a line


def tilt(error: Floats, x: Floats, y: Floats, *, span: float, tau: float) -> Floats:
    """Correlation ρ of log2 α and log2 λ over the basin, see `weights`.

    −1: the basin is a diagonal, α·λ is what matters; 0: it stands upright or lies flat. NaN
    where the basin is a single row or column.
    """
    w = weights(error, x, y, span=span, tau=tau)
    x, y = x[:, None], y[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        w = w / _wide(_sum(w))
        dx, dy = x - _wide(_sum(w * x)), y - _wide(_sum(w * y))
        of_x, of_y = _sum(w * dx * dx), _sum(w * dy * dy)
        rho = _sum(w * dx * dy) / np.sqrt(of_x * of_y)
    return np.where(np.minimum(of_x, of_y) > ONE_LINE, np.clip(rho, -1, 1), np.nan)


def weights(error: Floats, x: Floats, y: Floats, *, span: float, tau: float) -> Floats:
    """How much each cell belongs to the basin, [..., A, L]; 0 where missing or at the span.

    exp(−z/τ), less what it is at the span: many bad cells would otherwise outweigh few good
    ones under a large τ, and noisy diagonals looked upright. Times the cell's share of the
    axes, so that a grid that is finer in one corner gives the same numbers.
    """
    return membership(error - _best(error), span, tau) * widths(x)[:, None] * widths(y)


def membership(excess: Floats, span: float, tau: float) -> Floats:
    """How much cells of such an excess belong to the basin, whatever they have of the axes."""
    z = np.where(np.isnan(excess), span, np.minimum(excess, span))
    return np.asarray(np.exp(-z / tau) - np.exp(-span / tau))


def widths(axis: Floats) -> Floats:
    """How much of its axis each value stands for: half the way to either neighbour."""
    if axis.size < 2:
        return np.ones_like(axis)
    gaps = np.diff(axis)
    return (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2


def drift(error: Floats, x: Floats, y: Floats, *, span: float, tau: float) -> Floats:
    """Slope of the best log2 λ against log2 α: −1 means "double α, halve λ", 0 separable.

    Least squares over the rows whose best error is within BASIN of E. The best λ of a row is
    the mean of log2 λ under the `weights` of its own basin: the row's single lowest cell makes
    intervals twice as wide, since noise moves it by whole cells. NaN where fewer than three
    rows are good enough.
    """
    place, good = row_middles(error, y, span=span, tau=tau)
    k = good * widths(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx = x - ((k * x).sum(axis=-1) / k.sum(axis=-1))[..., None]
        slope = (k * dx * place).sum(axis=-1) / (k * dx * dx).sum(axis=-1)
    return np.where(good.sum(axis=-1) >= LEAST_ROWS, slope, np.nan)


def row_middles(error: Floats, y: Floats, *, span: float, tau: float) -> tuple[Floats, Mask]:
    """The best log2 λ of each row, [..., A], 0 where the row is bad; and which are good, [..., A].

    See `drift`.
    """
    lowest = _min(error, axis=-1)  # [..., A]
    excess = error - np.where(np.isfinite(lowest), lowest, 0.0)[..., None]
    w = membership(excess, span, tau) * widths(y)
    good = lowest < _best(error)[..., 0] + BASIN
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(good, (w * y).sum(axis=-1) / w.sum(axis=-1), 0.0)
    return place, good


def interaction(error: Floats, *, span: float) -> Floats:
    """Share, 0 to 1, of the sum of squares of z that rows and columns cannot explain.

    0 for an additive surface f(α) + g(λ). Two-way analysis of variance, unbalanced: cells that
    reach the span are left out rather than counted as span, since that clipping is itself an
    interaction and gave additive bowls a share of up to 0.2. Where the basin is narrow, few
    cells are left for the fit, and the share is a low estimate; NaN where too few.
    """
    z = error - _best(error)
    kept = z < span  # False for NaN
    z = np.where(kept, z, 0.0)
    fitted = _additive_fit(z, kept.astype(np.float64))
    count = _sum(kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _sum(z) / count
        total = _sum(np.where(kept, z - _wide(mean), 0.0) ** 2)
        share = _sum(np.where(kept, z - fitted, 0.0) ** 2) / total
    # As many effects as cells fit anything.
    free = count - kept.any(axis=-1).sum(axis=-1) - kept.any(axis=-2).sum(axis=-1) + 1
    return np.where((total > 1e-12) & (free > 0), np.clip(share, 0, 1), np.nan)


def product(error: Floats, x: Floats, y: Floats, *, span: float) -> Floats:
    """Whether λ or the product α·λ describes the surface better, −1 (λ) to 1 (α·λ).

    Two additive fits of z over the cells within the span, each on rows (α) and besides on columns
    (λ) or on diagonals (α·λ, in steps of λ); (s²_λ − s²_αλ) / (s²_λ + s²_αλ), where s² is what a
    fit leaves unexplained per degree of freedom. 0 where both leave as much. NaN where either fit
    has as many effects as cells.
    """
    z = error - _best(error)
    kept = z < span
    z = np.where(kept, z, 0.0)
    columns = np.broadcast_to(np.arange(y.size), (x.size, y.size))
    step = np.diff(y).min() if y.size > 1 else 1.0
    sums = np.round((x[:, None] + y) / step)
    diagonals = np.unique(sums, return_inverse=True)[1].reshape(sums.shape)
    by_lambda, by_product = (_unexplained(z, kept, levels) for levels in (columns, diagonals))
    with np.errstate(invalid="ignore", divide="ignore"):
        both = by_lambda + by_product
        return np.where(both > 1e-12, (by_lambda - by_product) / both, np.nan)


def _unexplained(z: Floats, kept: Mask, levels: npt.NDArray[np.intp]) -> Floats:
    """What rows and a second factor leave of z by degree of freedom, [...]; NaN if none is left.

    Args:
        z: what is to be explained, [..., A, L].
        kept: the cells that count.
        levels: the level of the second factor at each cell, [A, L].
    """
    counts, sums = (_by_level(one, levels) for one in (kept.astype(np.float64), kept * z))
    of_row, of_level = counts.sum(axis=-1), counts.sum(axis=-2)
    rows, width = counts.shape[-2], counts.shape[-2] + counts.shape[-1]
    normal = np.zeros((*z.shape[:-2], width, width))
    each = np.arange(width)
    normal[..., each, each] = np.concatenate([of_row, of_level], axis=-1)
    normal[..., :rows, rows:] = counts
    normal[..., rows:, :rows] = np.swapaxes(counts, -1, -2)
    # One direction (all rows up, all levels down) is free: a ridge far below the data pins it.
    normal += 1e-9 * np.eye(width)
    totals = np.concatenate([sums.sum(axis=-1), sums.sum(axis=-2)], axis=-1)
    effects = np.linalg.solve(normal, totals[..., None])[..., 0]
    fitted = effects[..., :rows, None] + effects[..., rows:][..., levels]
    left = _sum(kept * (z - fitted) ** 2)
    free = _sum(kept) - (of_row > 0).sum(axis=-1) - (of_level > 0).sum(axis=-1) + 1
    return np.where(free > 0, left / np.maximum(free, 1), np.nan)


def _by_level(cells: Floats, levels: npt.NDArray[np.intp]) -> Floats:
    """Sums of cells [..., A, L] by row and level, [..., A, levels]."""
    found = np.zeros((*cells.shape[:-1], levels.max(initial=0) + 1))
    rows = np.arange(cells.shape[-2])
    for column in range(cells.shape[-1]):
        found[..., rows, levels[:, column]] += cells[..., column]
    return found


def _additive_fit(z: Floats, kept: Floats) -> Floats:
    """Least squares of z on rows plus columns over kept cells, [..., A, L]: normal equations."""
    rows, cols = z.shape[-2:]
    normal = np.zeros((*z.shape[:-2], rows + cols, rows + cols))
    each_row, each_col = np.arange(rows), rows + np.arange(cols)
    normal[..., each_row, each_row] = kept.sum(axis=-1)
    normal[..., each_col, each_col] = kept.sum(axis=-2)
    normal[..., :rows, rows:] = kept
    normal[..., rows:, :rows] = np.swapaxes(kept, -1, -2)
    # One direction (rows up, columns down) is free: a ridge far below the data pins it.
    normal += 1e-9 * np.eye(rows + cols)
    sums = np.concatenate([z.sum(axis=-1), z.sum(axis=-2)], axis=-1)
    effects = np.linalg.solve(normal, sums[..., None])[..., 0]
    return effects[..., :rows, None] + effects[..., None, rows:]


def regrets(error: Floats) -> Floats:
    """Cost of tuning one at a time, from every start, [..., A]: points of error over E.

    Start at an α, take the best λ there, then the best α at that λ. NaN for an α where nothing
    was finished or all diverged: nobody could choose a λ there.
    """
    known = np.where(np.isnan(error), np.inf, error)
    chosen = known.argmin(axis=-1)  # [..., A] the λ of each start
    reached = np.take_along_axis(known.min(axis=-2), chosen, axis=-1)
    startable = np.isfinite(known.min(axis=-1))
    return np.where(startable, reached - _best(error)[..., 0], np.nan)


def regret(error: Floats) -> Floats:
    """Mean of `regrets` over the starting α."""
    costs = regrets(error)
    some = ~np.isnan(costs)
    return np.nansum(costs, axis=-1) / np.where(some.any(axis=-1), some.sum(axis=-1), np.nan)


def worst_regret(error: Floats) -> Floats:
    """Largest of `regrets` over the starting α."""
    costs = regrets(error)
    worst = np.max(np.where(np.isnan(costs), -np.inf, costs), axis=-1)
    return np.where(np.isfinite(worst), worst, np.nan)


def _sum(array: npt.NDArray[np.generic]) -> Floats:
    return np.asarray(array.sum(axis=(-2, -1)), dtype=np.float64)


def _wide(numbers: Floats) -> Floats:
    """[...] → [..., 1, 1]."""
    return numbers[..., None, None]


def _min(error: Floats, axis: int | tuple[int, int]) -> Floats:
    return np.asarray(np.where(np.isnan(error), np.inf, error).min(axis=axis))


def _best(error: Floats) -> Floats:
    """E of each surface, [..., 1, 1]; 0 where it has no finite error, which changes nothing."""
    best = _min(error, axis=(-2, -1))
    return _wide(np.where(np.isfinite(best), best, 0.0))
