"""Frames from the database."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
import pytest

from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.reading.frames import (
    CELL_COLUMNS,
    CURVE_COLUMNS,
    cells_frame,
    curves_frame,
    mechanism_frame,
)
from landscape_study.landscapes.reading.panels import study_landscapes
from landscape_study.study.errors import SpecError, UsageError
from landscape_study.study.pairs.meter import MECHANISM
from landscape_study.study.records.identity import Identity
from landscape_study.study.records.provenance import TRAINING_EXAMPLES, Worker
from landscape_study.study.spec.metric import METRICS, TAKEN
from landscape_study.study.spec.study import Study
from landscape_study.study.store import Store
from tests.conftest import make_outcome, make_study
from tests.study.store.test_store import create, train_all


def test_one_row_per_cell_with_its_panels_facts(store: Store):
    study = make_study(seeds=2).change_panels(
        schedule={"kind": "restarts", "t_0": 1}, normalized=True
    )
    train_all(store, study)
    frame = cells_frame(store, "small")
    assert tuple(frame.columns) == CELL_COLUMNS
    assert len(frame) == 24
    assert set(frame["schedule"]) == {"restarts (T₀ = 1, ×2)"}
    assert set(frame["epochs"]) == {3}
    assert frame["normalized"].all()
    assert list(frame["panel"].unique()) == ["sgd", "adamw"]  # the study's order
    assert not frame.duplicated(["panel", "seed", "alpha", "lambda"]).any()


def test_open_cells_have_no_error_and_diverged_ones_have_their_epoch(
    store: Store, small_study: Study
):
    create(store, small_study)
    claim = store.claim("small", Worker(), store.start_run("small", {}))
    assert claim is not None
    outcome = make_outcome(2, start=90)
    outcome.diverged_epoch[1] = 2
    for metric in ("train_loss", "test_loss"):
        outcome.curves[metric][1, 1:] = np.nan
    store.record(claim, outcome)
    frame = cells_frame(store, "small")
    assert list(frame["state"][:3]) == ["finished", "finished", "open"]
    assert frame["test_error"].notna().sum() == 2
    assert list(frame["diverged"][:3]) == [False, True, False]
    assert frame["diverged_epoch"].dropna().tolist() == [2]
    assert frame["train_loss"].notna().sum() == 1
    curves = curves_frame(store, "small")
    assert curves["test_error"].notna().all()
    assert curves.groupby("lambda")["train_loss"].count().tolist() == [3, 1]


@pytest.mark.parametrize("frame_of", [cells_frame, curves_frame])
def test_a_value_that_differs_by_rounding_gives_no_second_row(
    store: Store, small_study: Study, monkeypatch: pytest.MonkeyPatch, frame_of
):
    """As in a study that an older version grew: it kept 0.3 beside 3 × 0.1."""
    train_all(store, small_study)
    before = frame_of(store, "small")

    def doubled(read):
        rows = read("small")
        return [*rows, *(row | {"alpha": np.nextafter(row["alpha"], 9)} for row in rows)]

    for name in ("cells", "curves"):
        read = getattr(store, name)
        monkeypatch.setattr(store, name, lambda *_, read=read: doubled(read))
    pd.testing.assert_frame_equal(frame_of(store, "small"), before)


def test_under_restarts_the_end_of_the_last_whole_cycle_counts(store: Store):
    """Cycles end at 1 and 3 of 5 epochs; one cell diverges in the second, one after it."""
    study = make_study(pairs=("adamw",), epochs=5, alphas=(0.1,))
    study = study.change_panels(schedule={"kind": "restarts", "t_0": 1}, normalized=True)
    store.create(study, Identity("abc"), lambda cells: [cells])
    claim = store.claim("small", Worker(), store.start_run("small", {}))
    assert claim is not None
    made = make_outcome(3, epochs=5, start=10)
    for cell, epoch in ((1, 2), (2, 4)):
        made.diverged_epoch[cell] = epoch
        for metric in ("train_loss", "test_loss"):
            made.curves[metric][cell, epoch - 1 :] = np.nan
        made.curves["test_error"][cell, epoch - 1 :] = 50
    store.record(claim, replace(made, solution=study.panels[0].schedule.solution(5)))
    cells = cells_frame(store, "small")
    assert cells["test_error"].tolist() == [12, 50, 14]
    assert cells["train_loss"].tolist() == pytest.approx([12, np.nan, 14], nan_ok=True)
    assert cells["diverged"].tolist() == [False, True, False]
    assert cells["diverged_epoch"].tolist() == [pd.NA, 2, pd.NA]
    trials = optuna.load_study(study_name="small/adamw/seed0", storage=store.url).trials
    assert [trial.value for trial in trials] == [12, 50, 14]
    assert [trial.user_attrs["diverged"] for trial in trials] == [False, True, False]
    (panel,) = study_landscapes(store, "small")
    assert panel.title == "AdamWR"
    assert panel.diverged.tolist() == [[0, 1, 0]]
    assert panel.error.tolist() == [[12, 50, 14]]
    curves = curves_frame(store, "small")  # whole, to the last epoch
    assert curves.groupby("lambda")["epoch"].max().tolist() == [5] * 3
    assert curves.groupby("lambda")["train_loss"].count().tolist() == [5, 1, 3]


def test_one_row_per_cell_and_epoch(store: Store, small_study: Study):
    train_all(store, small_study)
    frame = curves_frame(store, "small")
    assert tuple(frame.columns) == CURVE_COLUMNS
    assert len(frame) == 12 * 3
    one = frame[(frame["panel"] == "sgd") & (frame["alpha"] == 0.05) & (frame["lambda"] == 0.001)]
    assert one["epoch"].tolist() == [1, 2, 3]
    assert one["test_error"].tolist() == [3.0, 2.0, 1.0]
    assert frame["top5_error"].isna().all()  # a task of few classes has none
    assert frame["top5_error"].dtype == float


def test_nothing_finished_gives_empty_curves_of_the_same_columns(store: Store, small_study: Study):
    create(store, small_study)
    frame = curves_frame(store, "small")
    assert tuple(frame.columns) == CURVE_COLUMNS
    assert frame.empty


@pytest.mark.parametrize("read", [cells_frame, curves_frame, study_figure])
def test_an_unknown_study(store: Store, read):
    with pytest.raises(UsageError, match="no study 'nope': it holds none yet"):
        read(store, "nope")


def test_landscapes_hold_the_means_of_the_database(store: Store):
    study = make_study(seeds=2)
    train_all(store, study)
    sgd, adamw = study_landscapes(store, "small")
    assert [sgd.title, adamw.title] == ["SGD + L2", "AdamW"]
    frame = cells_frame(store, "small")
    mean = frame[frame["panel"] == "sgd"].groupby(["alpha", "lambda"])["test_error"].mean()
    np.testing.assert_allclose(sgd.error, mean.unstack().to_numpy())
    assert (sgd.n == 2).all()
    assert [one.title for one in study_landscapes(store, "small", ["adamw"])] == ["AdamW"]
    with pytest.raises(SpecError, match="no panel 'x'"):
        study_landscapes(store, "small", ["x"])


def test_the_figure_has_a_heatmap_per_panel(store: Store, small_study: Study):
    train_all(store, small_study)
    figure = study_figure(store, "small", span=2.0)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[:2] == ["SGD + L2", "AdamW"]


def test_frames_are_tidy_in_pandas_types(store: Store, small_study: Study):
    train_all(store, small_study)
    frame = cells_frame(store, "small")
    assert frame["diverged"].dtype == bool
    assert pd.api.types.is_integer_dtype(frame["diverged_epoch"])
    for column in ("alpha", "lambda", "test_error", "test_loss", "train_loss", "seconds"):
        assert frame[column].dtype == float


def test_no_metric_may_bear_the_name_of_another_column():
    assert {*CELL_COLUMNS, *CURVE_COLUMNS} - METRICS.keys() == TAKEN


def test_what_happened_inside_is_one_row_per_cell_and_epoch(store: Store, small_study: Study):
    train_all(store, small_study)
    frame = mechanism_frame(store, "small")
    place = ["study", "panel", "seed", "alpha", "lambda", "epoch"]
    assert list(frame.columns) == [*place, *MECHANISM, "doubtful"]
    assert len(frame) == 12 * 3
    assert not frame.duplicated(place).any()
    curves = curves_frame(store, "small")
    assert list(curves.columns) == list(CURVE_COLUMNS)
    pd.testing.assert_frame_equal(frame[place], curves[place])
    expected = curves["test_error"] + np.float32(0.1)
    np.testing.assert_allclose(frame["weight_norm"], expected, rtol=1e-6)


def test_of_what_a_former_version_recorded_nothing_inside_is_known(store: Store):
    create(store, make_study())
    claim = store.claim("small", Worker(), store.start_run("small", {}))
    assert claim is not None
    store.record(claim, replace(make_outcome(2), mechanism={}))
    frame = mechanism_frame(store, "small")
    assert frame.empty
    assert set(MECHANISM) < set(frame.columns)
    assert cells_frame(store, "small")["timescale"].isna().all()
    with pytest.raises(UsageError, match="nothing is recorded of what happened inside"):
        study_figure(store, "small", kind="mechanism")


def test_cells_say_how_long_their_weights_remember(store: Store):
    """500 examples in batches of 50 and 20: steps of 10 and 25 an epoch."""
    pairs = ("sgd", "adamw", "adamw-torch")
    study = make_study(pairs=pairs, alphas=(0.1, 0.2), lambdas=(0.0, 0.5))
    small = study.panels[2].changed({"name": "small-batches", "batch_size": 20})
    study = study.change(panels=[*study.panels, small], batch_size=50)
    create(store, study)
    store.start_run("small", {TRAINING_EXAMPLES: 500})
    frame = cells_frame(store, "small")
    assert np.isinf(frame.loc[frame["lambda"] == 0, "timescale"]).all()
    found = frame[frame["lambda"] == 0.5].set_index(["panel", "alpha"])["timescale"].to_dict()
    assert found == pytest.approx(
        {
            ("sgd", 0.1): 0.1 / (0.1 * 0.5 * 10),  # momentum 0.9
            ("sgd", 0.2): 0.1 / (0.2 * 0.5 * 10),
            ("adamw", 0.1): 1 / (0.5 * 10),
            ("adamw", 0.2): 1 / (0.5 * 10),
            ("adamw-torch", 0.1): 1 / (0.1 * 0.5 * 10),
            ("adamw-torch", 0.2): 1 / (0.2 * 0.5 * 10),
            ("small-batches", 0.1): 1 / (0.1 * 0.5 * 25),
            ("small-batches", 0.2): 1 / (0.2 * 0.5 * 25),
        }
    )


def test_the_timescale_of_a_normalized_lambda_is_that_of_the_last_whole_cycle(store: Store):
    """Cycles of 1, 2 and 4 epochs; λ = λ_norm·√(b/(B·T)) of the one that ends at epoch 3."""
    study = make_study(pairs=("adamw",), epochs=5, alphas=(0.1,), lambdas=(0.5,))
    schedule = {"kind": "restarts", "t_0": 1}
    study = study.change_panels(schedule=schedule, normalized=True).change(batch_size=50)
    create(store, study)
    store.start_run("small", {TRAINING_EXAMPLES: 500})
    lambda_ = 0.5 * np.sqrt(50 / (500 * 2))
    assert cells_frame(store, "small")["timescale"].tolist() == pytest.approx([1 / (lambda_ * 10)])


@pytest.mark.parametrize("facts", [{}, {TRAINING_EXAMPLES: "many"}, {TRAINING_EXAMPLES: 0}])
def test_where_no_run_says_how_many_examples_there_are_no_timescale_is_known(store, facts):
    create(store, make_study())
    store.start_run("small", facts)
    assert cells_frame(store, "small")["timescale"].isna().all()
