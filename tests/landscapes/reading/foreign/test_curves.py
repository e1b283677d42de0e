"""Long tables: which row of a run counts, what is its curve, and what tells runs apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from landscape_study.cli import main
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.reading.foreign.asked import Asked
from landscape_study.landscapes.reading.foreign.foreign_study import read_foreign
from landscape_study.landscapes.reading.foreign.sweep import Sweep, read_sweep
from landscape_study.landscapes.reading.frames import curves_frame
from landscape_study.study.errors import UsageError
from tests.landscapes.reading.foreign.conftest import loss, runs

Long = Callable[..., Path]


@pytest.fixture
def long(tmp_path: Path) -> Long:
    """Writes a row an epoch of each run; what a function makes of each."""

    def written(make=lambda row: row, epochs=range(1, 5)) -> Path:
        rows = [
            {**run, "epoch": e, "val_loss": run["val_loss"] + 1 / e, "train_loss": 1 / e}
            for run in runs()
            for e in epochs
        ]
        made = [row for row in map(make, rows) if row is not None]
        pd.DataFrame(made).to_csv(tmp_path / "long.csv", index=False)
        return tmp_path / "long.csv"

    return written


def read(path: Path, **asked) -> Sweep:
    return read_sweep([path], Asked(**asked))


def test_the_last_counts(long: Long):
    sweep = read(long())
    assert sweep.panels[0].landscape.error[1, 1] == pytest.approx(loss(0.01, 1e-3) + 0.005 + 1 / 4)
    assert "epoch: 72 rows of 18 runs, the last of each counts" in sweep.said[1]
    curves = sweep.curves
    assert list(curves.columns) == [
        *("panel", "seed", "alpha", "lambda", "epoch"),
        *("val_loss", "train_loss"),
    ]
    first = curves[(curves["alpha"] == 0.1) & (curves["lambda"] == 1e-2) & (curves["seed"] == "1")]
    expected = [loss(0.1, 1e-2, 1) + 1 / e for e in range(1, 5)]
    assert first["val_loss"].tolist() == pytest.approx(expected)


def test_the_best_counts(long: Long):
    rises = lambda row: row | {"val_loss": row["val_loss"] + row["epoch"]}  # noqa: E731
    (panel,) = read(long(rises), keep="best").panels
    assert panel.landscape.error[1, 1] == pytest.approx(loss(0.01, 1e-3) + 0.005 + 2)


def test_of_a_score_the_largest_is_best(long: Long):
    as_score = lambda row: row | {"val_loss": -row["val_loss"]}  # noqa: E731
    (panel,) = read(long(as_score), keep="best", goal="maximize").panels
    assert panel.landscape.error[1, 1] == pytest.approx(-loss(0.01, 1e-3) - 0.005 - 1 / 4)


def test_rows_in_any_order(long: Long, tmp_path: Path):
    sorted_ = read(long()).panels[0].landscape
    rows = pd.read_csv(tmp_path / "long.csv").sample(frac=1, random_state=0)
    rows.to_csv(tmp_path / "long.csv", index=False)
    assert read(tmp_path / "long.csv").panels[0].landscape == sorted_


def test_each_is_a_panel_up_to_twelve(long: Long):
    sweep = read(long(), keep="each")
    assert [one.name for one in sweep.panels] == [f"epoch={e}" for e in range(1, 5)]
    with pytest.raises(UsageError, match="epoch has 20 values, and at most 12 can be panels"):
        read(long(epochs=range(1, 21)), keep="each")


def test_another_column_of_epochs_is_named(long: Long):
    renamed = lambda row: {k if k != "epoch" else "pass": v for k, v in row.items()}  # noqa: E731
    path = long(renamed)
    assert [one.name for one in read(path).panels] == [f"pass={e}" for e in range(1, 5)]
    assert read(path, fidelity="pass").panels[0].landscape.n.sum() == 18
    with pytest.raises(UsageError, match=r"no column 'pas': did you mean 'pass'\?"):
        read(path, fidelity="pas")


def test_an_epoch_twice_is_told(long: Long, tmp_path: Path):
    path = long()
    doubled = pd.concat([pd.read_csv(path)] * 2)
    doubled.to_csv(path, index=False)
    with pytest.raises(UsageError, match="several rows of a run have the same epoch: name the"):
        read(path, fidelity="epoch")


def test_a_curve_that_ends_in_nan_diverged(long: Long):
    def lost(row: dict) -> dict:
        return row | ({"val_loss": "nan"} if row["lr"] > 0.05 and row["epoch"] > 2 else {})

    sweep = read(long(lost))
    assert sweep.panels[0].landscape.diverged.tolist() == [[0] * 3, [0] * 3, [2] * 3]
    assert sweep.curves["val_loss"].isna().sum() == 12


def test_runs_that_end_early_at_few_epochs_were_stopped(long: Long):
    sweep = read(long(lambda row: row if row["lr"] < 0.05 or row["epoch"] < 3 else None))
    (panel,) = sweep.panels
    assert panel.cells.groupby("alpha")["clipped"].mean().tolist() == [0, 0, 1]
    assert panel.landscape.n.sum(axis=1).tolist() == [6, 6, 0]
    assert "6 that end before the last were stopped, at least this bad" in sweep.said[2]


def test_runs_that_end_at_many_epochs_stopped_by_themselves(long: Long):
    def stopped(row: dict) -> dict | None:
        last = 3 + round(abs(math.log10(row["lr"]))) + 4 * round(abs(math.log10(row["wd"])))
        return row if row["epoch"] <= last else None

    sweep = read(long(stopped, epochs=range(1, 30)))
    assert not sweep.panels[0].cells["clipped"].any()
    assert "of each what it ended with" in sweep.said[2]


def test_few_runs_that_end_each_at_its_own_epoch_stopped_by_themselves(tmp_path: Path):
    ends = {(0.1, 1e-3): 5, (0.1, 1e-2): 7, (0.2, 1e-3): 6, (0.2, 1e-2): 9}
    rows = [
        {"lr": a, "wd": b, "epoch": e, "loss": 1 / e}
        for (a, b), last in ends.items()
        for e in range(1, last + 1)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "s.csv")
    (panel,) = read(tmp_path / "s.csv").panels
    assert panel.landscape.error.tolist() == [[1 / 5, 1 / 7], [1 / 6, 1 / 9]]


def test_final_epochs_of_single_rows_are_no_curve(tmp_path: Path, frame):
    """Two runs a cell, stopped at different epochs: no epochs of one run."""
    frame["epoch"] = range(11, 11 + len(frame))
    frame.drop(columns="seed").to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(UsageError, match="stands there twice"):
        read(tmp_path / "s.csv")


class TestNames:
    def test_runs_are_told_apart_by_their_names(self, long: Long):
        def named(row: dict) -> dict:
            return {"run": f"r{row['lr']}{row['wd']}{row['seed']}", **row}

        assert read(long(named)).panels[0].landscape.n.sum() == 18

    def test_a_learning_rate_that_a_schedule_changed_is_told(self, long: Long):
        def scheduled(row: dict) -> dict:
            name = f"r{row['lr']}{row['wd']}{row['seed']}"
            return {"run": name, **row, "lr": row["lr"] / row["epoch"]}

        with pytest.raises(UsageError, match=r"α or λ changes within run 'r0.0010.00010', as a s"):
            read(long(scheduled))


class TestWhatTellsApart:
    def test_a_setting_without_which_cells_stand_twice(self, tmp_path: Path, frame):
        rows = pd.concat([frame.assign(width=w, host="here") for w in (64, 128)])
        rows.to_csv(tmp_path / "s.csv", index=False)
        sweep = read(tmp_path / "s.csv")
        assert [one.name for one in sweep.panels] == ["width=64", "width=128"]
        assert "panels by width, since cells stand several times without it" in sweep.said[1]
        assert "panels by" not in sweep.said[0]
        assert "not looked at" not in sweep.said[0]

    def test_two_settings(self, tmp_path: Path, frame):
        rows = [frame.assign(width=w, data=d) for w in (64, 128) for d in ("a", "b")]
        pd.concat(rows).to_csv(tmp_path / "s.csv", index=False)
        names = [one.name for one in read(tmp_path / "s.csv").panels]
        assert names == ["width=64, a", "width=64, b", "width=128, a", "width=128, b"]

    def test_what_was_run_again_replaces_what_failed(self, tmp_path: Path, frame):
        failed = frame.head(3).assign(state="crashed", val_loss=None)
        pd.concat([failed, frame.assign(state="finished")]).to_csv(tmp_path / "s.csv")
        sweep = read(tmp_path / "s.csv")
        assert sweep.panels[0].landscape.n.sum() == 18
        assert "3 rows without result were run again: left out" in sweep.said[-1]


def logged(path: Path) -> Path:
    """Runs whose training loss is logged at other epochs than the validation; α with rounding."""
    places = ((0.1, 0.1), (0.1, 0.2), (0.3, 0.1), (0.1 + 0.2, 0.2))
    rows = [
        {"lr": a, "wd": b, "epoch": e, "val/loss": loss(a, b) + 5 - e, "val/acc": 1 / (9 - e)}
        if e % 2
        else {"lr": a, "wd": b, "epoch": e, "loss": 1 / (e + 1)}
        for a, b in places
        for e in range(5)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_a_point_where_the_metric_was_measured(tmp_path: Path):
    results = read_foreign([str(logged(tmp_path / "s.csv"))], Asked(metric="val/loss"))
    first = results.curve_frame.iloc[:2]
    assert first["counted_epoch"].tolist() == [1, 3]
    assert first["epoch"].tolist() == [1, 2]
    assert curves_frame(results, "s")["epoch"].tolist() == 4 * [1, 3]
    assert first["train_loss"].tolist() == pytest.approx([1, 1 / 3])  # called "loss" there
    places = ["panel", "seed", "alpha", "lambda"]
    curves = curves_frame(results, "s")[places].drop_duplicates()
    assert curves.reset_index(drop=True).equals(results.frame[places])


def test_anytime_figures_show_any_metric_of_a_file(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = read_foreign([str(logged(tmp_path / "s.csv"))], Asked(metric="val/loss"))
    shown = ["val_loss", "val_acc", "train_loss"]
    figure = study_figure(results, "s", kind="anytime", metric=shown)
    assert [ax.get_ylabel() for ax in figure.axes] == ["val/loss", "val_acc", "training loss"]
    assert all(len(ax.lines[0].get_xdata()) == 2 for ax in figure.axes)
    options = ["plot", "s.csv", "--kind", "anytime", "-o", "a.svg", "--metric", "val/loss"]
    done = CliRunner().invoke(main, [*options, "--metric", "val/acc"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, [*options, "--metric", "accuracy"])
    assert "give some of train_loss, val_acc, val_loss" in done.output
