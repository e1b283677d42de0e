"""Verdicts on grids of which cells were pruned: only those that do not hang on these cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.statistics.separability import separability
from tests.landscapes.surfaces import frame_of, quadratic

pytestmark = pytest.mark.slow


def pruned(frame: pd.DataFrame, which: pd.Series) -> pd.DataFrame:
    """The frame with some cells given up: a value of their first epoch is all that is known."""
    value = frame["test_error"].mask(which, 60.0)
    return frame.assign(
        test_error=value, clipped=which, state=np.where(which, "pruned", "finished")
    )


@pytest.fixture
def upright() -> pd.DataFrame:
    """Three seeds of a basin that is upright and shallow: tuning one at a time costs nothing."""
    noise = 0.02 * np.random.default_rng(0).normal(size=(3, 11, 11))
    return frame_of(quadratic(0.06, 0.0, 0.06) + noise)


def test_what_is_far_from_the_best_changes_no_verdict(upright):
    found = separability(upright)
    far = (np.log2(upright["alpha"]).abs() > 3.5) & (np.log2(upright["lambda"]).abs() > 3.5)
    assert separability(pruned(upright, far)).verdict == found.verdict == "separable"


def test_a_verdict_that_hangs_on_them_is_none(upright):
    """A diagonal was left: as bad as can be, the rest makes a valley of it."""
    x, y = np.log2(upright["alpha"]), np.log2(upright["lambda"])
    given_up = (x + y).abs() > 1
    found = separability(pruned(upright, given_up))
    assert found.verdict == "cannot tell"
    assert "the verdict hangs on the" in found.reason
    assert "cells that were pruned" in found.reason
