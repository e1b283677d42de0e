"""Frames and landscapes to draw."""

from collections.abc import Callable

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.study.spec.study import Axis, Grid, Panel

nan = float("nan")


@pytest.fixture
def panel() -> Panel:
    """AdamW on 2 × 3 cells: α = 0.1·{1/2, 1}, λ = 0.001·{0, 1/2, 1}."""
    grid = Grid(alpha=Axis.log2(0.1, -1, 0), lambda_=Axis.log2(0.001, -1, 0, zero=True))
    return Panel(name="adamw", pair="adamw", grid=grid)


@pytest.fixture
def frame() -> Callable[..., pd.DataFrame]:
    """Make a frame of cells from (alpha, lambda, seed, test_error[, diverged[, state]])."""

    def make(*rows: tuple, panel: str = "adamw", study: str = "mine") -> pd.DataFrame:
        full = [(*row, *(False, "finished")[len(row) - 4 :]) for row in rows]
        columns = ["alpha", "lambda", "seed", "test_error", "diverged", "state"]
        return pd.DataFrame(full, columns=columns).assign(panel=panel, study=study)

    return make


@pytest.fixture
def make() -> Callable[..., Landscape]:
    """Make a landscape from its errors; see `landscape_of`."""
    return landscape_of


def landscape_of(
    error, *, diverged=None, seeds=1, stderr=None, alpha=None, lambda_=None, **rest
) -> Landscape:
    """A landscape of these errors; diverged where told, missing where NaN."""
    error = np.array(error, dtype=float)
    rows, columns = error.shape
    stats = {
        "error": error,
        "stderr": np.full(error.shape, nan) if stderr is None else stderr,
        "n": np.where(np.isnan(error), 0, seeds),
        "diverged": np.zeros(error.shape, int) if diverged is None else np.array(diverged),
    }
    axes = {
        "rows": alpha or Axis.log2(0.1, 1 - rows, 0),
        "columns": lambda_ or Axis.log2(0.001, 2 - columns, 0, zero=True),
    }
    return Landscape(**{"title": "AdamW", "pair": "adamw"} | axes | stats | rest)
