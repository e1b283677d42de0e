"""Landscapes over other numbers than α and λ: figures, verdicts, reports and tables name them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from landscape_study.landscapes.figures.curves import cell_label
from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.figures.slices_record import slices_record
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.growing.refining import cells_to_refine
from landscape_study.landscapes.reading.exports import write_export
from landscape_study.landscapes.reading.frames import cells_frame, curves_frame
from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.landscapes.reading.panels import study_panels
from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.page import write_report
from landscape_study.landscapes.reporting.report_record import study_report
from landscape_study.landscapes.reporting.verdict_frame import verdict_frame
from landscape_study.landscapes.statistics.comparison import compare_panels
from landscape_study.landscapes.statistics.edges import edges
from landscape_study.landscapes.statistics.separability import separability
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.extension import refined_study
from landscape_study.study.spec.study import Cell, Study
from landscape_study.study.store import Store
from landscape_study.study.store.checking import check
from tests.valleys import EPOCHS, fill, valley_study

pytestmark = pytest.mark.slow

BETAS = [round(1 - 0.1 * 2.0**-k, 9) for k in range(7)]  # 0.9, 0.95, 0.975, …
LAMBDA = {"base": 0.001, "log2": [-4, 4], "zero": True}


def over_beta2(**changes: object) -> Study:
    """A panel of AdamW over β2 and λ, at one α."""
    panel = {"pair": "adamw", "alpha": 0.01, "beta2": BETAS, "lambda": LAMBDA, "epochs": EPOCHS}
    table = {"name": "valley", "task": "digits", "seeds": 2, "batch_size": 50}
    return Study.from_dict(table | {"panel": [panel | changes]}, "test")


def diagonal(panel: str, cell: Cell) -> float:
    """A basin along which λ is halved where 1/(1 − β2) doubles, about β2 = 0.9875."""
    x = math.log2(1 / (1 - cell.value("beta2"))) - math.log2(80)
    y = math.log2(cell.lambda_ / 0.001) if cell.lambda_ else -6.0
    return 2.0 + 0.2 * x * x + 0.34 * x * y + 0.2 * y * y


@pytest.fixture
def filled(store: Store) -> Store:
    fill(store, over_beta2(), diagonal)
    return store


def the_landscape(store: Store) -> Landscape:
    (one,) = study_panels(store, "valley")
    return one.landscape


def test_tables_have_a_column_of_its_name(filled: Store, tmp_path: Path):
    cells = cells_frame(filled, "valley")
    assert set(cells["beta2"]) == set(BETAS)
    assert set(cells["alpha"]) == {0.01}
    assert cells["timescale"].isna().all()
    assert list(cells.columns)[6:10] == ["seed", "alpha", "lambda", "beta2"]
    assert set(curves_frame(filled, "valley")["beta2"]) == set(BETAS)
    write_export(filled, "valley", tmp_path / "runs.csv", "wandb")
    assert "beta2" in (tmp_path / "runs.csv").read_text().splitlines()[0].split(",")
    with pytest.raises(UsageError, match="a cube has the axes α and λ, and this study beta2"):
        write_export(filled, "valley", tmp_path / "cells.nc")


def test_a_heatmap_has_its_titles_and_ticks(filled: Store):
    field = the_landscape(filled)
    record = heatmap_record(field)
    assert (record.y_title, record.x_title) == ("β2", "weight decay λ (× 0.001)")
    assert record.y_labels == (
        "0.9",
        "0.95",
        "0.975",
        "0.9875",
        "0.99375",
        "0.996875",
        "0.9984375",
    )
    assert record.title == "AdamW, α = 0.01"
    assert record.zero_apart
    at = next(line for line in record.summary if line.startswith("at"))
    assert re.fullmatch(r"at β2 = 0\.9[\d.]*,", at)
    assert slices_record(field).legend_title == "β2"
    with pytest.raises(UsageError, match="slices go by beta2 or lambda"):
        slices_record(field, by="alpha")
    with pytest.raises(UsageError, match="its axes are β2 and λ, not α and λ"):
        heatmap_record(field, over="timescale")


def test_the_verdict_is_that_of_what_a_beta_remembers(filled: Store):
    (one,) = study_panels(filled, "valley")
    found = separability(one.cells, one.metric, names=one.landscape.names)
    assert found.verdict == "coupled"
    assert found.drift.low < -0.85 < found.drift.high  # 0.34 / (2 · 0.2) octaves
    assert math.isnan(found.product.value)
    assert phrases.advice(found).startswith("Tune β2 and λ together: a λ found at one β2")
    (law,) = phrases.how_lambda_goes(found)
    assert law.startswith("Double 1/(1 − β2): ")
    assert "α" not in law + phrases.cost(found) + phrases.described(found)
    frame = verdict_frame([one])
    assert frame["axes"].tolist() == ["beta2 × lambda"]


def test_the_report_names_the_axes_and_no_other(filled: Store, tmp_path: Path):
    report = study_report(filled, "valley")
    assert (report.moves, report.explanations, report.budgets) == ((), (), ())
    for path in (tmp_path / "report.html", tmp_path / "report.md"):
        write_report(filled, "valley", path)
        text = re.sub(r"data:[^\"]+", "", path.read_text())
        assert "how do β2 and λ interact?" in text
        assert "1/(1 − β2)" in text
        # The one α of all cells is told, and nothing else is said of it.
        assert set(re.findall(r"α[^αβ]{0,5}", text)) <= {"α = 0."}


@pytest.mark.parametrize("kind", ["heatmaps", "slices", "anytime", "mechanism"])
def test_figures_are_drawn(filled: Store, kind: str):
    figure = study_figure(filled, "valley", kind=kind)
    words = [text.get_text() for ax in figure.axes for text in ax.texts] + [
        ax.get_ylabel() for ax in figure.axes
    ]
    assert any("β2" in word for word in words) or kind in ("slices", "anytime")
    with pytest.raises(UsageError, match="generalization is shown over λ at the best α"):
        study_figure(filled, "valley", kind="generalization")


def test_edges_and_refining_know_the_axes(store: Store):
    study = over_beta2(beta2=[0.9, 0.95, 0.975])  # the best ones lie beyond
    fill(store, study, diagonal)
    names = [edge.name for edge in edges(the_landscape(store))]
    assert names[0] == "beta2-high"
    cells = cells_to_refine(store, "valley")["adamw"]
    assert {cell.value("beta2") for cell in cells} & {0.9647, 0.96464, 0.964645}
    assert all(cell.alpha == 0.01 for cell in cells)
    fill(store, refined_study(study, {"adamw": cells}), diagonal)
    assert list(check(store, ["valley"])) == []
    record = heatmap_record(the_landscape(store))
    assert record.refinement is not None
    assert record.y_labels == ("0.9", "0.95", "0.975")


def test_a_cell_is_named_by_the_axes():
    grid = over_beta2().panels[0].grid
    cell = grid.cell(0.99375, 0.002)
    assert cell_label(cell, grid) == "β2 = 0.99375, λ = 2 × 0.001"


def test_what_has_other_axes_is_not_compared(filled: Store):
    usual = valley_study(pairs=("adamw",)).change(name="usual")
    fill(filled, usual)
    (one,), (other,) = study_panels(filled, "valley"), study_panels(filled, "usual")
    with pytest.raises(UsageError, match="is over β2 × λ, AdamW over α × λ"):
        compare_panels(one, other)


def test_scattered_cells_are_drawn_over_what_a_beta_remembers(store: Store):
    design = {"sampler": "qmc", "trials": 60}
    fill(store, over_beta2(beta2=[0.9, 0.9984375], design=design), diagonal)
    field = the_landscape(store)
    assert field.is_scattered
    record = heatmap_record(field)
    assert record.between is not None
    assert {"0.9", "0.99", "0.997"} <= set(record.y_labels)
    ticks = dict(zip(record.y_labels, record.between.y.ticks, strict=True))
    assert ticks["0.9"] < ticks["0.99"] < ticks["0.997"] < record.size[1]
    (one,) = study_panels(store, "valley")
    found = separability(one.cells, one.metric, names=field.names)
    assert found.tilt.value < -0.5
