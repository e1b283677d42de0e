"""What was measured by epoch of studies that were trained elsewhere, besides the usual."""

from __future__ import annotations

import pandas as pd

from landscape_study.landscapes.reading.curve_counter import counter
from landscape_study.landscapes.reading.foreign.metric_column import guessed_goal
from landscape_study.landscapes.reading.frames import CURVE_COLUMNS
from landscape_study.study.spec.metric import Metric


def measured_elsewhere(curves: pd.DataFrame) -> dict[str, Metric]:
    """What a frame of curves has besides the usual, by name; its direction as the name says."""
    return {
        name: Metric(name, name, goal=guessed_goal(name) or "minimize")
        for name in map(str, curves.columns)
        if name not in (*CURVE_COLUMNS, counter(curves))
    }
