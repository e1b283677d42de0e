"""Scattered landscapes for tests."""

from __future__ import annotations

import pandas as pd

from landscape_study.landscapes.reading.landscape import (
    Landscape,
    are_scattered,
    grid_landscape,
    pruned_cells,
)
from landscape_study.study.spec.grid import Axis, Grid
from tests.landscapes.statistics.scattered_coverage import LOSS, Design, frame_of_design


def scattered_landscape(design: Design, *, zeros: int = 0, diverged: int = 0):
    """The landscape of a design and its frame; the first trials are without λ or diverged."""
    frame = frame_of_design(design).assign(seed=0, state="finished", diverged=False)
    frame.loc[frame.index[:zeros], "lambda"] = 0.0
    frame.loc[frame.index[zeros : zeros + diverged], "diverged"] = True
    return landscape_of(frame), frame


def landscape_of(frame: pd.DataFrame, title: str = "random search") -> Landscape:
    """The landscape of all cells of a frame."""
    axes = {
        name: Axis(values=tuple(sorted(set(frame[column]))))
        for name, column in (("alpha", "alpha"), ("lambda_", "lambda"))
    }
    grid = Grid(**axes)
    has_states = "state" in frame
    finished = frame[frame["state"] == "finished"] if has_states else frame
    return grid_landscape(
        finished,
        grid,
        LOSS,
        title=title,
        is_scattered=are_scattered(frame["alpha"], frame["lambda"]),
        pruned=pruned_cells(frame, grid, LOSS) if has_states else (),
    )
