import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from landscape_study.landscapes.figures.curves import (
    METRICS,
    Curve,
    CurvesRecord,
    curves_record,
    plot_curves,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis, Cell, Grid

nan = math.nan
GRID = Grid(alpha=Axis.log2(0.1, -2, 0), lambda_=Axis.log2(0.001, -1, 0, zero=True))


def frame(values: dict, *, panel: str = "adamw") -> pd.DataFrame:
    """A frame from {(alpha, lambda, seed): metric per epoch}."""
    rows = [
        (panel, *cell, epoch, value, value, value, value)
        for cell, curve in values.items()
        for epoch, value in enumerate(curve, start=1)
    ]
    columns = ["panel", "alpha", "lambda", "seed", "epoch", "train_loss", "test_loss"]
    return pd.DataFrame(rows, columns=[*columns, "test_error", "top5_error"])


@pytest.fixture
def two() -> pd.DataFrame:
    """Two cells with two seeds of three epochs; a seed of the second diverges in the third."""
    return frame(
        {
            (0.05, 0.0, 0): [8, 6, 4],
            (0.05, 0.0, 1): [6, 6, 2],
            (0.1, 0.001, 0): [9, 9, 9],
            (0.1, 0.001, 1): [9, 7, nan],
        }
    )


def test_record_holds_means_up_to_the_first_divergence(two):
    assert curves_record(two, grid=GRID) == CurvesRecord(
        curves=(
            Curve("α = 1/2 × 0.1, λ = 0", (1, 2, 3), (7, 6, 3), (1, 0, 1), diverged=False),
            Curve("α = 0.1, λ = 0.001", (1, 2), (9, 8), (0, 1), diverged=True),
        ),
        y_title="test error (%)",
        log=False,
    )


@pytest.mark.parametrize("metric", ["test_error", "top5_error"])
def test_errors_at_chance_level_after_divergence_are_no_curve(two, metric):
    recorded = two.assign(**{metric: two[metric].fillna(90.0)})
    assert curves_record(recorded, metric=metric).curves[1].epochs == (1, 2)
    assert curves_record(recorded, metric=metric).curves[1].diverged


def test_cells_are_drawn_in_the_order_asked_for(two):
    record = curves_record(two, cells=[(0.1, 0.001), Cell(math.nextafter(0.05, 1), 0.0)])
    assert [curve.label for curve in record.curves] == ["α = 0.1, λ = 0.001", "α = 0.05, λ = 0"]


def test_one_seed_has_no_band():
    record = curves_record(frame({(0.1, 0.0, 7): [3, 2]}))
    assert record.curves[0].stderr == (0, 0)


def test_a_curve_that_stops_short_has_diverged():
    record = curves_record(frame({(0.1, 0.0, 0): [3, 2], (0.2, 0.0, 0): [3, 2, 1]}))
    assert [curve.diverged for curve in record.curves] == [True, False]


def test_a_sparse_metric_keeps_its_epochs():
    record = curves_record(frame({(0.1, 0.0, s): [nan, 5, nan, 4] for s in range(2)}))
    assert record.curves[0].epochs == (2, 4)
    assert not record.curves[0].diverged


def test_several_panels_are_named_in_the_legend(two):
    both = pd.concat([two, frame({(0.1, 0.001, 0): [1.0]}, panel="sgd")])
    record = curves_record(both, cells=[(0.1, 0.001)])
    labels = [curve.label for curve in record.curves]
    assert labels == ["adamw, α = 0.1, λ = 0.001", "sgd, α = 0.1, λ = 0.001"]
    assert not record.curves[1].diverged  # sgd has one epoch


@pytest.mark.parametrize("metric", METRICS)
def test_axis_titles_and_scales(two, metric):
    ax = plot_curves(two, metric=metric)
    assert ax.get_xlabel() == "epoch"
    assert ax.get_ylabel() == METRICS[metric].label
    assert ax.get_yscale() == ("log" if metric.endswith("loss") else "linear")


def test_lines_bands_and_crosses(two):
    _, (left, right) = plt.subplots(1, 2)
    assert plot_curves(two, ax=left) is left
    assert plot_curves(two) is right
    first, second, cross = left.lines
    np.testing.assert_allclose(first.get_xydata(), [[1, 7], [2, 6], [3, 3]])
    np.testing.assert_allclose(cross.get_xydata(), [[2, 8]])
    assert first.get_color() != second.get_color() == cross.get_color()
    band = left.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (2, 8)
    legend = [text.get_text() for text in left.get_legend().get_texts()]
    assert legend == ["α = 0.05, λ = 0", "α = 0.1, λ = 0.001, diverged"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("values", [[nan, nan], [0.0, 0.0], [1.0]])
def test_whatever_there_is_draws(metric, values):
    if metric == "top5_error":
        values = [75.0 if math.isnan(value) else value for value in values]  # never missing
    ax = plot_curves(frame({(0.1, 0.0, s): values for s in range(2)}), metric=metric)
    ax.figure.canvas.draw()


def test_axes_that_were_used_before_get_numbers_in_full(two):
    _, ax = plt.subplots()
    ax.yaxis.set_major_formatter(lambda value, _: "?")
    plot_curves(two, metric="test_error", ax=ax).figure.canvas.draw()
    assert {"2", "8"} <= {text.get_text() for text in ax.get_yticklabels()}


def test_empty_frame_draws_empty_axes():
    assert not plot_curves(frame({})).lines


def test_errors_say_what_to_choose(two):
    with pytest.raises(UsageError, match="metric 'loss': choose one of train_loss, test_loss"):
        plot_curves(two, metric="loss")
    with pytest.raises(UsageError, match=r"no curve of α = 0.3, λ = 0: choose among α = 0.05"):
        plot_curves(two, cells=[(0.3, 0.0)])
    with pytest.raises(UsageError, match="no cell has finished"):
        plot_curves(frame({}), cells=[(0.3, 0.0)])
    many = frame({(0.1 + i, 0.0, 0): [1.0] for i in range(21)})
    with pytest.raises(UsageError, match="21 curves cannot be told apart: name at most 20"):
        plot_curves(many)


def test_top_5_where_it_was_recorded_and_a_word_where_it_was_not(two):
    record = curves_record(two.assign(top5_error=two["test_error"] / 2), metric="top5_error")
    assert record.y_title == "Top-5 test error (%)"
    assert record.curves[0].mean == (3.5, 3, 1.5)
    with pytest.raises(UsageError, match=r"no Top-5 test error .* at most 10 classes: choose"):
        curves_record(two.assign(top5_error=nan), metric="top5_error")
    with pytest.raises(UsageError, match="no Top-5 test error"):
        curves_record(two.drop(columns="top5_error"), metric="top5_error")
