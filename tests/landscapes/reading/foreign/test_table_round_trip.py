"""A table of a study of files, as of Weights & Biases, keeps what the files call things."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from landscape_study.landscapes.reading.exports import write_export
from landscape_study.landscapes.reading.foreign.foreign_study import read_foreign
from landscape_study.landscapes.reading.foreign.tables.foreign_table import FORMULAS
from tests.landscapes.reading.foreign.conftest import loss


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
