"""Curves count what their file counts, by its name and numbers; epochs where nobody says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import landscape_study as ls
from landscape_study.landscapes.figures.curves import curves_record
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.reading.curve_counter import counter, counter_title
from landscape_study.landscapes.reading.exports import write_export
from landscape_study.landscapes.reading.foreign.foreign_study import read_foreign
from landscape_study.landscapes.reading.frames import curves_frame
from landscape_study.landscapes.reading.opening import read_results
from tests.landscapes.reading.foreign.conftest import loss


def logged(path: Path, name: str, counted: list[float], late: float = 0) -> Path:
    """A file of curves of two seeds; the second one's are `late`, but for the first point."""
    rows = [
        {
            "lr": a,
            "wd": b,
            "seed": s,
            name: k + s * late * (i > 0),
            "val_loss": loss(a, b) + 3 / (i + 1),
        }
        for a in (0.01, 0.02, 0.04)
        for b in (1e-4, 2e-4, 4e-4)
        for s in (0, 1)
        for i, k in enumerate(counted)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


CASES = {
    "steps": ("step", [0, 500, 1000], "step"),
    "steps from 1": ("step", [1, 2, 3], "step"),
    "a tool's name": ("trainer/global_step", [50, 100, 150], "trainer_global_step"),
    "Ray's": ("training_iteration", [1, 2, 3], "training_iteration"),
    "epochs from 0": ("epoch", [0, 1, 2], "epoch"),
    "parts of epochs": ("Epoch", [0.1, 0.7, 1.3], "epoch"),
    "epochs from 1": ("epoch", [1, 2, 3], "epoch"),
    "a name of ours": ("steps", [5, 6, 7], "steps"),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path: Path) -> tuple[Path, list[float], str]:
    name, counted, column = CASES[request.param]
    return logged(tmp_path / "s.csv", name, counted), counted, column


def test_a_frame_has_them(case):
    path, counted, column = case
    frame = curves_frame(read_foreign([str(path)]), "s")
    assert counter(frame) == column
    assert list(frame.columns[4:6]) == ["lambda", column]
    assert frame[column].tolist() == counted * 18
    assert not any(str(name).startswith("counted_") for name in frame)


def test_so_has_a_study_in_a_database_and_a_cube(case, tmp_path: Path):
    path, _, _ = case
    read = read_foreign([str(path)])
    known = curves_frame(read, "s")
    ls.import_files(tmp_path / "s.db", str(path))
    pd.testing.assert_frame_equal(ls.curves(tmp_path / "s.db", "s"), known, check_dtype=False)
    write_export(read, "s", tmp_path / "s.nc")
    again = curves_frame(read_results([str(tmp_path / "s.nc")]), "s")
    pd.testing.assert_frame_equal(again, known, check_dtype=False)


def test_an_exported_table_is_read_as_it_was(case, tmp_path: Path):
    path, counted, column = case
    write_export(read_foreign([str(path)]), "s", tmp_path / "out.csv", "curves")
    assert pd.read_csv(tmp_path / "out.csv")[column].tolist() == counted * 18
    again = curves_frame(read_foreign([str(tmp_path / "out.csv")]), "out")
    assert again[column].tolist() == counted * 18


def test_figures_show_them(tmp_path: Path):
    results = read_foreign([str(logged(tmp_path / "s.csv", "global_step", [0, 500, 1000]))])
    (ax,) = study_figure(results, "s", kind="anytime").axes
    assert ax.get_xlabel() == "global step"
    assert ax.lines[0].get_xdata().tolist() == [0, 500, 1000]
    figure = study_figure(results, "s", kind="generalization")
    assert [ax.get_xlabel() for ax in figure.axes if ax.get_gid() in ("training", "test")] == [
        "global step",
        "global step",
    ]


def test_the_report_shows_them(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logged(tmp_path / "s.csv", "step", [0, 500, 1000])
    page = Path(ls.report(None, "s.csv")).read_text()
    assert "val_loss by step, ending at" in page
    assert "by epoch" not in page


def test_seeds_that_were_logged_at_other_steps_are_averaged_all_the_same(tmp_path: Path):
    path = logged(tmp_path / "s.csv", "step", [100, 200, 300], late=10)
    frame = curves_frame(read_foreign([str(path)]), "s")
    curve = curves_record(
        frame, metric=read_foreign([str(path)]).spec.metric, cells=[(0.01, 1e-4)]
    )
    assert curve.x_title == "step"
    assert curve.curves[0].epochs == (100, 205, 305)
    assert curve.curves[0].stderr == pytest.approx((0, 0, 0), abs=1e-6)


def test_files_that_count_otherwise_say_both(tmp_path: Path):
    logged(tmp_path / "a.csv", "epoch", [1, 2, 3])
    logged(tmp_path / "b.csv", "step", [100, 200, 300])
    frame = curves_frame(read_foreign([str(tmp_path / f"{name}.csv") for name in "ab"]), "a")
    assert counter_title(frame) == "epoch or step"


def test_a_metric_is_no_counter_by_its_name(tmp_path: Path):
    path = logged(tmp_path / "s.csv", "epoch", [1, 2, 3])
    frame = pd.read_csv(path)
    frame["counted_loss"] = 7.0 + frame["epoch"]
    frame.to_csv(path, index=False)
    curves = curves_frame(read_foreign([str(path)], ls.Asked(metric="val_loss")), "s")
    assert curves["epoch"].tolist() == [1, 2, 3] * 18
    assert curves["measured_counted_loss"].tolist() == [8, 9, 10] * 18
