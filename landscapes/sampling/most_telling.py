"""Which trainings tell most of some numbers, by draws of the surface on which these depend.

Shapes: B draws, M places, T numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from landscape_study.landscapes.statistics.surface import Floats

Counts = npt.NDArray[np.intp]


def most_telling(
    heights: Floats,
    targets: Floats,
    noises: Floats,
    left: Counts,
    count: int,
    under_way: Counts | None = None,
) -> list[int]:
    """Choose places one after the other, each as if the former ones were known.

    What a run at a place tells of a number is the square of their covariance over the variance of
    the run's result: the share of the number's variance that a line through the draws explains.
    After each choice the draws are moved to what they would be under its result, on average: the
    deterministic update of Whitaker & Hamill, "Ensemble Data Assimilation without Perturbed
    Observations" (2002).

    Args:
        heights: draws of the surface, [B, M].
        targets: the numbers of each draw, [B, T], in units in which all matter as much.
        noises: standard deviation of a run at each place, [M].
        left: how many runs there may still be at each place, [M].
        count: of the runs to choose.
        under_way: places of runs whose results are not known yet.

    Returns:
        The places, best first; fewer where no run is left.
    """
    surface, numbers = (one - one.mean(axis=0) for one in (heights, targets))
    variances, left = noises**2, left.copy()
    for place in under_way if under_way is not None else ():
        surface, numbers = _told(surface, numbers, int(place), variances[place])
    chosen: list[int] = []
    while len(chosen) < count and (left > 0).any():
        covariance = numbers.T @ surface / len(surface)
        gain = (covariance**2).sum(axis=0) / ((surface**2).mean(axis=0) + variances)
        place = int(np.where(left > 0, gain, -1.0).argmax())
        chosen.append(place)
        left[place] -= 1
        surface, numbers = _told(surface, numbers, place, variances[place])
    return chosen


def _told(surface: Floats, numbers: Floats, place: int, noise: float) -> tuple[Floats, Floats]:
    """The deviations from the mean, after a run at a place with noise of this variance."""
    own = surface[:, place].copy()
    total = float((own**2).mean()) + noise
    part = 1 / (1 + np.sqrt(noise / total)) / total
    moved, other = (one - part * np.outer(own, own @ one / len(own)) for one in (surface, numbers))
    return moved, other
