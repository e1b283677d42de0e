"""What curves count: epochs from 1, or what a file counts, by its own name and numbers.

Curves are stored as values from the first point on. What a file counted, unless that is epochs
1, 2, 3, …, is stored beside them as one more curve, called COUNTED and its name: counted_step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

COUNTED = "counted_"  # begins the name of such a curve
EPOCH = "epoch"
BEFORE = "lambda"  # the column before it, in frames of curves


def counter(curves: pd.DataFrame) -> str:
    """The column of a frame of curves that says what they count: epoch, or as a file calls it."""
    if EPOCH in curves or BEFORE not in curves:  # or there are none
        return EPOCH
    return str(curves.columns[list(curves.columns).index(BEFORE) + 1])


def counter_title(curves: pd.DataFrame) -> str:
    """What curves count, on axes and in sentences: "epoch", "step", "training iteration"."""
    return counter(curves).replace("_", " ")


def with_counter(curves: pd.DataFrame) -> pd.DataFrame:
    """Curves that count as their file does; from epochs, and a column of COUNTED if it does so."""
    kept = next((str(name) for name in curves if str(name).startswith(COUNTED)), None)
    if kept is None:
        return curves
    counted = curves.assign(**{EPOCH: _numbers(curves[kept])}).drop(columns=kept)
    return counted.rename(columns={EPOCH: kept.removeprefix(COUNTED)})


def _numbers(stored: pd.Series) -> npt.NDArray[np.generic]:
    """Numbers that were kept in single precision: whole, or as short as they were written."""
    if (stored == stored.round()).all():
        return stored.to_numpy(dtype=np.int64)
    return stored.to_numpy(dtype=np.float32).astype(str).astype(float)
