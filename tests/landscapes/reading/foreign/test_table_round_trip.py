"""A table of a study of files, as of Weights & Biases, keeps what the files call things."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.reading.exports import What, write_export
from landscape_study.landscapes.reading.foreign.foreign_study import read_foreign
from landscape_study.landscapes.reading.foreign.tables.foreign_table import FORMULAS
from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.study.store import Store
from tests.landscapes.reading.foreign.conftest import loss
from tests.landscapes.refined import GRID, refined_frame, refined_grid
from tests.valleys import fill, valley_study


def sweep(path: Path, metric: str, optimizers: list[str]) -> Path:
    rows = [
        {"lr": a, "wd": b, "optimizer": name, metric: 5 + loss(a, b)}
        for name in optimizers
        for a in (0.01, 0.02, 0.04)
        for b in (1e-4, 2e-4, 4e-4)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("metric", "optimizers"),
    [
        ("val/acc", ["=HYPERLINK(1)", "AdamW"]),
        ("val/acc", ["=a", "a"]),  # of one plain name
        ("val loss", ["@SUM(A1)", "+x", "-y", "'quoted'"]),
        ("Val Error (%)", ["AdamW, tuned"]),
    ],
)
def test_names_are_kept_and_nothing_in_it_is_a_formula(
    tmp_path: Path, metric: str, optimizers: list[str]
):
    first = read_foreign([str(sweep(tmp_path / "far.csv", metric, optimizers))])
    write_export(first, "far", tmp_path / "out.csv", "wandb")
    with (tmp_path / "out.csv").open() as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(FORMULAS) for cell in cells)
    again = read_foreign([str(tmp_path / "out.csv")], name="far")
    assert again.spec == first.spec
    assert [panel.pair for panel in again.spec.panels] == optimizers


def test_labels_that_would_be_read_as_other_panels_are_left_out(tmp_path: Path):
    first = read_foreign([str(sweep(tmp_path / "far.csv", "val/loss", ["a b", "c"]))])
    panels = [one.model_copy(update={"pair": "same"}) for one in first.spec.panels]
    alike = replace(first, spec=first.spec.model_copy(update={"panels": tuple(panels)}))
    write_export(alike, "far", tmp_path / "out.csv", "wandb")
    assert set(pd.read_csv(tmp_path / "out.csv")["optimizer"]) == {"a-b", "c"}


REFINED = refined_grid(refined_grid(GRID, 0.5), 0.25)  # more lines than their cells fill


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "what"), [(".csv", "cells"), (".parquet", "cells"), (".csv", "wandb")]
)
def test_a_refined_grid_is_one_still(store: Store, tmp_path: Path, suffix: str, what: What):
    study = valley_study(seeds=2, pairs=("adam", "adamw"))
    adam, adamw = study.panels
    fill(store, study.change(panels=[adam, adamw.model_copy(update={"grid": REFINED})]))
    path = tmp_path / f"out{suffix}"
    write_export(store, "valley", path, what)
    read = read_foreign([str(path)], name="valley")
    for panel, grid in zip(read.spec.panels, (adam.grid, REFINED), strict=True):
        assert panel.grid.extra == grid.extra
        assert panel.grid.alpha.values == grid.alpha.values
        assert panel.grid.lambda_.values == grid.lambda_.values
    for here, there in zip(
        study_landscapes(store, "valley"), study_landscapes(read, "valley"), strict=True
    ):
        assert not there.is_scattered
        assert np.array_equal(there.error, here.error, equal_nan=True)
        assert np.array_equal(there.on_grid, here.on_grid)
    assert not any("extra" in line for line in read.said)


def test_cells_beside_a_grid_that_is_not_there_are_cells_of_one(tmp_path: Path):
    """As where --where or a hand left out the rows at the ends of the axes."""
    frame = refined_frame(REFINED)
    inner = frame[frame["alpha"].between(0.02, 0.03) | ~frame["extra"]]
    kept = inner[inner["extra"] | (inner["alpha"] > 0.05)]
    kept.to_csv(tmp_path / "inner.csv", index=False)
    (panel,) = read_foreign([str(tmp_path / "inner.csv")]).spec.panels
    assert panel.grid.extra == ()
    assert set(panel.grid.alpha.values) == set(kept["alpha"])


def test_a_column_extra_of_anything_else_is_another_setting(tmp_path: Path):
    rows = refined_frame(GRID).assign(extra=lambda frame: (frame["alpha"] > 0.02) * 7)
    rows.to_csv(tmp_path / "other.csv", index=False)
    read = read_foreign([str(tmp_path / "other.csv")])
    assert read.spec.panels[0].grid.extra == ()
    assert "not looked at, though they vary: extra" in read.said[0]
