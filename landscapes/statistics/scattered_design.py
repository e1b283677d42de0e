"""Which designs cannot tell whether α and λ are coupled, whatever the results: said before.

Shapes: N trials that have a result.
"""

from __future__ import annotations

import numpy as np

from landscape_study.landscapes.statistics.surface import Floats
from landscape_study.study.spec.cell_numbers import (
    LAMBDA,
    USUAL,
    Names,
    positive_symbol,
    symbols,
)
from landscape_study.study.spec.design import FEWEST_VALUES

FEWEST_TRIALS = 12
LINE = 0.97  # |correlation| of log2 α and log2 λ from which trials lie on a line
OFF_IT = "try others off it"
OFF_CROSS = 4  # trials off the two arms of a cross that make it more than one
DIGITS = 6  # of octaves; values that differ by less are the same


def design_obstacle(x: Floats, y: Floats, names: Names = USUAL) -> str | None:
    """Say why trials at log2 α [N] and log2 λ [N], or of other axes, cannot tell, if so."""
    (first, second), positive = symbols(names), positive_symbol(names[1])
    x, y = x.round(DIGITS), y.round(DIGITS)
    for name, values in ((first, x), (positive, y)):
        count = len(np.unique(values))
        if count < FEWEST_VALUES:
            return (
                f"{count} value{'' if count == 1 else 's'} of {name} with a result, at least "
                f"{FEWEST_VALUES} are needed"
            )
    correlation = float(np.corrcoef(x, y)[0, 1])
    if abs(correlation) >= LINE:
        kept = f" ({'α·λ' if correlation < 0 else 'λ/α'} hardly changes)" * (names == USUAL)
        return f"the trials lie on a diagonal{kept}: {OFF_IT}"
    off = _off_cross(x, y)
    if off == 0 or (off < OFF_CROSS and x.size >= FEWEST_TRIALS):
        return (
            f"the trials are a cross, {first} and {second} changed one at a time: it does not "
            "show what they do together"
        )
    if x.size < FEWEST_TRIALS:
        some = f"{x.size} cells of {positive}" if names[1] == LAMBDA else f"{x.size} cells"
        return f"{some} with a result, at least {FEWEST_TRIALS} are needed"
    return None


def _off_cross(x: Floats, y: Floats) -> int:
    """How many trials lie on neither arm of the cross with the most trials on it."""
    counts = []
    for one, other in ((x, y), (y, x)):
        rest = one != _most_frequent(one)
        counts.append(int(np.sum(other[rest] != _most_frequent(other[rest]))))
    return min(counts)


def _most_frequent(values: Floats) -> float:
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[counts.argmax()]) if values.size else float("nan")
