"""The benchmark of the commands that look at results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from benchmarks import analysis

from landscape_study.landscapes.reading.frames import cells_frame
from landscape_study.study.store import Store


def test_the_database_holds_the_cells_of_the_reference_study(tmp_path: Path):
    analysis.make_store(tmp_path / "cells.db")
    made = cells_frame(Store(str(tmp_path / "cells.db")), analysis.PRESET)
    expected = pd.read_csv(analysis.CELLS)
    keys = ["panel", "seed", "alpha", "lambda"]
    both = made.merge(expected, on=keys, suffixes=("", "_expected"))
    assert len(both) == len(expected) == 1584
    pd.testing.assert_series_equal(
        both["test_error"], both["test_error_expected"], check_names=False, rtol=1e-6
    )
