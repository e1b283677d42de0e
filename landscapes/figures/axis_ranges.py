"""Which part of an axis a figure shows, and whether it is logarithmic: for any metric.

The values that figures are about lie at the better end: below, or above where more is better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from landscape_study.landscapes.statistics.units import units
from landscape_study.study.spec.metric import TEST_ERROR, Metric

START = 0.1  # share of a run whose bad values the axis need not show
SEEN = 0.6  # share of the later epochs that it shows
MARGIN = 0.05  # of the axis, below and above
LEAST = 0.1  # points that an axis has at least
FLAT = 1e-3  # times the best value: the same for values that are far from 0
LOGARITHMIC = ("loss", "perplexity", "ppl", "nll", "mse")  # ends of words in names of metrics


def is_logarithmic(metric: Metric, values: Iterable[float]) -> bool:
    """Whether these values go on a logarithmic axis: those of a loss or the like, none below 0."""
    words = re.split(r"[^a-z0-9]+", metric.name.lower())
    if metric.sign < 0 or not any(word.endswith(LOGARITHMIC) for word in words):
        return False
    known = list(values)
    return any(value > 0 for value in known) and not any(value < 0 for value in known)


def seen_range(
    means: Sequence[Sequence[float]],
    ends: Sequence[float],
    *,
    log: bool = False,
    metric: Metric = TEST_ERROR,
) -> tuple[float, float] | None:
    """Ends of an axis that shows what matters: the `ends` of curves, and most later epochs.

    The bad values of the first epochs and after restarts lie beyond it. None where nothing is.
    """
    late = [mean[int(START * len(mean)) :] for mean in means]
    values = np.array([value for mean in late for value in mean if value > 0 or not log])
    if not values.size:
        return None
    seen = metric.sign * values
    worst = max([float(np.quantile(seen, SEEN)), *(metric.sign * end for end in ends)])
    if log:
        low = float(values.min())
        margin = max(worst / low, 1.01) ** MARGIN
        return low / margin, worst * margin
    known = np.array([*values.tolist(), *ends])
    return with_margins(float(seen.min()), worst, known, metric, MARGIN)


def with_margins(
    best: float, worst: float, values: np.ndarray, metric: Metric, margin: float
) -> tuple[float, float]:
    """Ends of an axis, ascending, with some room beyond two costs.

    Args:
        best: cost at the better end.
        worst: cost at the other end.
        values: that lie on the axis; where none is below 0, nor is the end of the axis.
        metric: what they are of.
        margin: share of the axis that is left free at either end.
    """
    size = units(metric.sign * values, metric).size
    room = margin * max(worst - best, LEAST * size, FLAT * abs(best))
    low, high = sorted((metric.sign * (best - room), metric.sign * (worst + room)))
    return max(low, -math.inf if (values < 0).any() else 0.0), high


def learning_range(
    best: float, means: Sequence[Sequence[float]], *, log: bool, metric: Metric
) -> tuple[float, float] | None:
    """Ends of an axis for the learning curves of good cells; None where there is nothing to see.

    Errors in percent are seen to a multiple of the best one, other metrics as by `seen_range`.

    Args:
        best: value of the best cell.
        means: its curve, and those of other cells.
        log: whether the axis is logarithmic.
        metric: what they are of.
    """
    if metric.is_percent_error:
        return 0.8 * best, max(6 * best, best + 1)
    return seen_range(means, [mean[-1] for mean in means if mean], log=log, metric=metric)
