"""Every figure shows any metric: the same cells are best, and the same points are seen."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape_study.landscapes.figures.anytime import draw_anytime
from landscape_study.landscapes.figures.anytime_record import anytime_record
from landscape_study.landscapes.figures.axis_ranges import (
    is_logarithmic,
    learning_range,
    seen_range,
)
from landscape_study.landscapes.figures.best_runs import best_runs, best_sentences
from landscape_study.landscapes.figures.curves import curves_record, plot_curves
from landscape_study.landscapes.figures.difference import comparison_record, plot_comparison
from landscape_study.landscapes.figures.generalization import draw_generalization
from landscape_study.landscapes.figures.generalization_record import generalization_record
from landscape_study.landscapes.figures.heatmaps.heatmap import draw_heatmap
from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.figures.slices import plot_slices, plot_slices_figure
from landscape_study.landscapes.figures.slices_record import slices_record
from landscape_study.landscapes.figures.study_figure import usual_contours
from landscape_study.landscapes.figures.style import save
from landscape_study.landscapes.figures.tuning_paths import draw_paths
from landscape_study.landscapes.statistics.recommendation import tuning_paths
from landscape_study.landscapes.statistics.restarts import ONE_SEED
from landscape_study.landscapes.statistics.units import units
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import METRICS, TEST_ERROR, Metric
from landscape_study.study.spec.study import Axis
from tests.landscapes.other_metrics import ACCURACY, LOSS, OTHERS, PERCENT, PERPLEXITY, Other
from tests.landscapes.studies import panel_data, panel_of, study_data

WHERE = (0.1, 0.5)
LONG = {WHERE: [[10, 8, 6, 5, 4, 3], [12, 8, 6, 5, 4, 5]], (0.1, 0.25): [[9] * 6, [9] * 6]}
CYCLES = {WHERE: [[9, 4, 9, 7, 5, 3], [9, 3, 9, 7, 5, 2]]}
ERRORS = [[4.0, 5, 3, 90], [6, 3.5, 9, 4]]
LAMBDA = Axis(values=(0.0, 0.25, 0.5, 1.0))

each = pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)


def both(other: Other):
    """AdamW for 6 epochs, and AdamWR with cycles that end at 2 and 6; two seeds."""
    long, cycles = other.curves(LONG), other.curves(CYCLES)
    restarts = {"schedule": {"kind": "restarts", "t_0": 2}, "normalized": True}
    return study_data(
        panel_data(panel_of("adamw", long), long, metric=other.metric),
        panel_data(panel_of("adamwr", cycles, **restarts), cycles, metric=other.metric),
    )


def landscape_in(make, other: Other, errors=ERRORS, **rest):
    return make(
        other(errors), lambda_=LAMBDA, alpha=Axis(values=(1, 2)), metric=other.metric, **rest
    )


class TestAnytime:
    @each
    def test_the_same_cells_epochs_and_part_of_the_axis(self, other):
        (known,), (found,) = (anytime_record(*both(one)).axes for one in (PERCENT, other))
        for a, b in zip(known.lines, found.lines, strict=True):
            assert (a.epochs, a.ends) == (b.epochs, b.ends)
            assert a.label.partition(" at ")[2] == b.label.partition(" at ")[2]
            np.testing.assert_allclose(b.mean, other(a.mean))
            np.testing.assert_allclose(b.stderr, np.array(a.stderr) * other.size)
        assert found.y_title == other.metric.label
        assert found.log == (other is LOSS)
        if not found.log:
            assert found.y_range == pytest.approx(other.ends(known.y_range), rel=1e-6)

    def test_labels_and_headline_say_the_metric(self):
        record = anytime_record(*both(ACCURACY))
        assert record.axes[0].lines[0].label == "AdamW: 0.9600 ± 0.0100 at α = 0.1, λ = 1/2"
        assert record.headline == (
            "What AdamWR has at epoch 2 (0.9650), AdamW first has at no epoch.",
            "AdamWR reaches the 0.9600 ± 0.0100 of AdamW at epoch 2 of 6, 3.0 times earlier "
            "(0.9650 ± 0.0050: no clear difference).",
        )
        assert best_sentences(best_runs(*both(LOSS))) == (
            "AdamW: 0.01400 ± 0.00100 nats at α = 0.1, λ = 1/2.",
            "AdamWR: 0.01250 ± 0.00050 nats at α = 0.1, λ_norm = 1/2.",
        )

    def test_its_own_metric_beside_those_of_every_task(self):
        axes = anytime_record(*both(LOSS), metrics=["train_loss", "nll"]).axes
        assert [one.y_title for one in axes] == ["training loss", "test loss (nats)"]
        with pytest.raises(UsageError, match=r"give some of .*, nll"):
            anytime_record(*both(LOSS), metrics=["accuracy"])

    def test_losses_are_logarithmic_and_scores_are_not(self):
        assert anytime_record(*both(LOSS)).axes[0].log
        assert not anytime_record(*both(ACCURACY)).axes[0].log

    def test_a_metric_that_was_not_recorded_by_epoch(self):
        data, curves = both(ACCURACY)
        assert anytime_record(data, curves.drop(columns="accuracy")).axes[0].y_range is None
        with pytest.raises(UsageError, match="no accuracy was recorded by epoch"):
            anytime_record(data, curves.drop(columns="accuracy"), metrics=["accuracy"])
        curves = curves.assign(accuracy=np.nan)
        record = anytime_record(data, curves)
        assert record.axes[0].y_range is None
        assert [line.label for line in record.axes[0].lines] == [
            "AdamW: 0.9600 ± 0.0100 at α = 0.1, λ = 1/2",
            "AdamWR: 0.9750 ± 0.0050 at α = 0.1, λ_norm = 1/2",
        ]
        assert record.headline[0] == "AdamW: no accuracy was recorded by epoch."
        figure = draw_anytime(record)
        assert "nothing recorded" in [text.get_text() for text in figure.axes[0].texts]

    def test_a_sparse_metric_has_its_solutions_at_their_epochs(self):
        data, curves = both(ACCURACY)
        sparse = curves.assign(accuracy=curves["accuracy"].where(curves["epoch"] % 2 == 0))
        lines = anytime_record(data, sparse).axes[0].lines
        assert lines[1].epochs == (2, 4, 6)
        assert lines[1].solutions == [(2, pytest.approx(0.965)), (6, pytest.approx(0.975))]
        said = anytime_record(data, sparse).headline
        assert said == anytime_record(data, curves).headline


class TestRanges:
    def test_more_is_better_at_the_top(self):
        errors = [90.0] * 10 + list(np.linspace(10, 4, 85)) + [60.0] * 5
        mean = ACCURACY(errors).tolist()
        low, high = seen_range([mean], [0.96], metric=ACCURACY.metric)
        assert 0.88 < low < 0.92
        assert 0.96 < high < 0.97

    @pytest.mark.parametrize("constant", [1e6, -250.0, 0.013])
    def test_an_axis_of_equal_values_is_no_line(self, constant):
        metric = Metric("quality", "quality")
        low, high = seen_range([[constant] * 5], [constant], metric=metric)
        assert low < constant < high

    def test_no_axis_goes_below_0_where_no_value_does(self):
        assert seen_range([[0.0, 0.9]], [0.0], metric=ACCURACY.metric)[0] == 0
        assert seen_range([[-0.1, 0.9]], [-0.1], metric=ACCURACY.metric)[0] < -0.1

    @pytest.mark.parametrize(
        ("metric", "values", "log"),
        [
            (METRICS["test_loss"], [0.01, 0.06], True),
            (METRICS["test_loss"], [0.01, -0.06], False),
            (METRICS["test_loss"], [0.0], False),
            (METRICS["test_loss"], [], False),
            (TEST_ERROR, [1.0], False),
            (Metric("val/nll", "x"), [1.0], True),
            (Metric("perplexity", "x"), [1e6], True),
            (Metric("rank", "x"), [1.0], False),
            (Metric("loss", "x", goal="maximize"), [1.0], False),
        ],
    )
    def test_losses_above_0_are_logarithmic(self, metric, values, log):
        assert is_logarithmic(metric, values) is log

    def test_learning_curves_of_good_cells(self):
        curve = [90.0, 20, 6, 4, 3]
        seen = learning_range(3.0, [curve], log=False, metric=TEST_ERROR)
        assert seen == pytest.approx((2.4, 18.0))
        scores = ACCURACY(curve).tolist()
        low, high = learning_range(0.97, [scores], log=False, metric=ACCURACY.metric)
        assert 0.87 < low < 0.96
        assert 0.97 < high < 0.98


class TestCurves:
    def test_of_a_metric_that_no_task_records(self):
        _, curves = both(ACCURACY)
        record = curves_record(curves[curves["panel"] == "adamw"], metric=ACCURACY.metric)
        assert record.y_title == "accuracy"
        assert not record.log
        assert record.curves[1].mean == pytest.approx((0.89, 0.92, 0.94, 0.95, 0.96, 0.96))

    def test_a_loss_is_logarithmic(self):
        _, curves = both(LOSS)
        ax = plot_curves(curves[curves["panel"] == "adamw"], metric=LOSS.metric)
        assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "test loss (nats)")

    def test_a_column_that_is_not_there(self):
        _, curves = both(LOSS)
        with pytest.raises(UsageError, match=r"no accuracy was .* such as train_loss"):
            curves_record(curves, metric=ACCURACY.metric)

    def test_what_was_trained_elsewhere_may_have_no_training_loss(self):
        _, curves = both(ACCURACY)
        own = curves[curves["panel"] == "adamw"].assign(train_loss=np.nan)
        assert curves_record(own, metric=ACCURACY.metric).curves[0].epochs == (1, 2, 3, 4, 5, 6)


class TestGeneralization:
    ADAM: ClassVar = {(0.1, 0.25): [[9, 4]], (0.1, 0.5): [[8, 3]], (0.1, 1.0): [[8, 30]]}
    ADAMW: ClassVar = {(0.1, 0.25): [[9, 2]], (0.1, 0.5): [[9, 5]]}

    def data(self, other: Other):
        """Training losses are those of the errors, whatever is measured."""
        made = []
        for pair, errors in (("adam", self.ADAM), ("adamw", self.ADAMW)):
            known, by_epoch = panel_data(panel_of(pair, errors, pair=pair), errors)
            own = other.curves(errors)
            found, turned = panel_data(panel_of(pair, own, pair=pair), own, metric=other.metric)
            cells = found.cells.assign(train_loss=known.cells["train_loss"])
            turned = turned.assign(train_loss=by_epoch["train_loss"])
            made.append((replace(found, cells=cells), turned))
        return study_data(*made)

    @each
    def test_the_same_cells_and_losses(self, other):
        known, found = (generalization_record(*self.data(one)) for one in (PERCENT, other))
        assert found.loss_range == pytest.approx(known.loss_range)
        assert found.error_title == other.metric.label
        for a, b in zip(known.families, found.families, strict=True):
            assert (a.title, a.lambda_title) == (b.title, b.lambda_title)
            for one, turned in zip(a.members, b.members, strict=True):
                assert turned.final.loss == one.final.loss
                assert turned.final.error == pytest.approx(other(one.final.error))
        low, high = found.final_range
        assert low < other(2) < high
        assert low < other(5) < high
        assert not low < other(30) < high, "far from the best"

    def test_the_sentences(self):
        between = "At equal training loss (0.03 to 0.05), the"
        assert generalization_record(*self.data(PERCENT)).headline[2] == (
            f"{between} error of AdamW is 0.21 points below that of Adam + L2."
        )
        assert generalization_record(*self.data(ACCURACY)).headline == (
            "Adam + L2: 0.9700 at α = 0.1, λ = 1/2.",
            "AdamW: 0.9800 at α = 0.1, λ = 1/4.",
            f"{between} accuracy of AdamW is 0.0021 above that of Adam + L2.",
            ONE_SEED,
        )

    def test_no_clear_difference(self):
        first = {(0.1, 0.25): [[9, 3], [9, 4]], (0.1, 0.5): [[9, 5], [9, 6]]}
        own = ACCURACY.curves(first)
        panels = [
            panel_data(panel_of(pair, own, pair=pair), own, metric=ACCURACY.metric)
            for pair in ("sgdw", "adamw")
        ]
        said = generalization_record(*study_data(*panels)).headline[-1]
        assert said.endswith("the values of accuracy of AdamW and SGDW show no clear difference.")

    def test_training_losses_below_0_have_linear_axes(self):
        data, curves = self.data(LOSS)
        lower = [one.cells.assign(train_loss=one.cells["train_loss"] - 0.04) for one in data]
        data = [replace(one, cells=cells) for one, cells in zip(data, lower, strict=True)]
        record = generalization_record(data, curves.assign(train_loss=curves["train_loss"] - 0.04))
        assert not record.log
        axes = {ax.get_gid(): ax for ax in draw_generalization(record).axes}
        assert (axes["training"].get_yscale(), axes["loss"].get_xscale()) == ("linear", "linear")
        assert axes["factor"].get_xscale() == "log"
        joined = [line for line in axes["loss"].lines if line.get_gid() == "joined"]
        assert sorted(joined[1].get_xdata()) == pytest.approx([-0.02, 0.01])

    def test_without_training_losses(self):
        data, curves = self.data(ACCURACY)
        data = [replace(one, cells=one.cells.drop(columns="train_loss")) for one in data]
        record = generalization_record(data, curves.drop(columns="train_loss"))
        assert len(record.headline) == 3
        assert record.headline[2].startswith("No training loss was recorded: nothing can be said")
        figure = draw_generalization(record)
        assert "no training loss was recorded" in [
            text.get_text() for text in figure.axes[0].texts
        ]

    def test_without_curves(self):
        data, curves = self.data(ACCURACY)
        figure = draw_generalization(generalization_record(data, curves.iloc[:0]))
        said = [text.get_text() for ax in figure.axes[:4] for text in ax.texts]
        assert said == ["nothing recorded by epoch"] * 2
        assert len([line for line in figure.axes[3].lines if line.get_gid() == "joined"]) == 2


class TestSlices:
    @each
    def test_the_same_lines_and_best_points(self, make, other):
        stderr = np.full((2, 4), 0.1)
        lost = np.array([[0, 0, 0, 1], [0, 0, 0, 0]])
        known = slices_record(landscape_in(make, PERCENT, stderr=stderr, diverged=lost))
        found = slices_record(landscape_in(make, other, stderr=stderr * other.size, diverged=lost))
        assert found.y_range == pytest.approx(other.ends(known.y_range))
        assert found.edge == pytest.approx(other(known.edge))
        for a, b in zip(known.slices, found.slices, strict=True):
            assert (a.label, a.row) == (b.label, b.row)
            assert b.best.x == a.best.x
            assert [p.x for p in b.ends] == [p.x for p in a.ends]
            for run, turned in zip(a.runs, b.runs, strict=True):
                np.testing.assert_allclose(
                    [p.error for p in turned], other([p.error for p in run])
                )
                assert [found.shows(p) for p in turned] == [known.shows(p) for p in run]

    def test_rows_that_come_into_the_picture_are_chosen_by_what_is_better(self, make):
        errors = np.full((20, 2), 4.0)
        errors[:4], errors[5, 1] = 50, 3
        axes = {"alpha": Axis.log2(1, -19, 0), "metric": ACCURACY.metric}
        known = slices_record(make(errors, alpha=axes["alpha"]))
        found = slices_record(make(ACCURACY(errors), **axes))
        assert [one.row for one in found.slices] == [one.row for one in known.slices]

    def test_lower_scores_are_marked_on_the_lower_edge(self, make):
        ax = plot_slices(landscape_in(make, ACCURACY), span=0.04)
        (out,) = [line for line in ax.lines if line.get_gid() == "below"][:1]
        assert out.get_marker() == "v"
        assert set(out.get_ydata()) == {ax.get_ylim()[0]}
        assert ax.get_ylim() == pytest.approx((0.93, 0.972))
        assert ax.get_ylabel() == "accuracy, 1 seed"
        (legend,) = plot_slices_figure([landscape_in(make, ACCURACY)]).legends
        assert "lower accuracy" in [text.get_text() for text in legend.get_texts()]

    def test_higher_losses_are_marked_on_the_upper_edge(self, make):
        (legend,) = plot_slices_figure([landscape_in(make, LOSS)]).legends
        assert "higher test loss" in [text.get_text() for text in legend.get_texts()]

    def test_large_numbers_are_written_in_full(self, make, tmp_path):
        figure = plot_slices_figure([landscape_in(make, PERPLEXITY)])
        save(figure, tmp_path / "x.png", dpi=30)
        axis = figure.axes[0].yaxis
        assert axis.get_offset_text().get_text() == ""
        labels = [label.get_text() for label in axis.get_ticklabels()]
        assert "1.04·10⁶" in labels
        assert len(set(labels)) == len(labels)


class TestComparison:
    @each
    def test_better_is_better(self, make, other):
        stderr = np.full((2, 4), 0.1)
        worse = np.add(ERRORS, [[1, 1, -1, 0], [0, 0, 0, 2]])
        records = [
            comparison_record(
                landscape_in(make, one, seeds=3, stderr=stderr * one.size),
                landscape_in(make, one, worse, seeds=3, stderr=stderr * one.size),
            )
            for one in (PERCENT, other)
        ]
        assert records[1].difference.summary == records[0].difference.summary
        assert records[1].difference.summary[:2] == ("1 cell better,", "3 worse")
        assert records[1].beyond_noise == records[0].beyond_noise

    def test_blue_is_better_whatever_is_better(self, make):
        figures = []
        for one in (PERCENT, ACCURACY):
            worse = np.array(ERRORS) + 1.0
            figure = plot_comparison(landscape_in(make, one), landscape_in(make, one, worse))
            figure.canvas.draw()
            figures.append(figure.axes[2].collections[0].get_facecolors())
        np.testing.assert_allclose(figures[1], figures[0], atol=0.02)

    def test_different_metrics_have_no_difference(self, make):
        with pytest.raises(UsageError, match=r"of test error \(%\), AdamW of accuracy: they"):
            plot_comparison(landscape_in(make, PERCENT), landscape_in(make, ACCURACY))


@pytest.mark.parametrize(("other", "shown"), [(ACCURACY, "0.0200"), (LOSS, "0.00200")])
def test_paths_say_what_is_lost_in_the_unit_of_the_metric(make, other, shown):
    field = make(
        other([[4.0, 5.0, 6.0], [3.0, 2.0, 3.0], [9.0, 8.0, 1.0]]),
        metric=other.metric,
        lambda_=Axis.log2(0.001, -2, 0),
    )
    record = heatmap_record(field)
    ax = draw_heatmap(record, plt.figure().subplots(), cbar=False)
    draw_paths(tuning_paths(field), record, ax, units(field.cost, other.metric))
    assert [text.get_text() for text in ax.texts if text.get_gid() == "cost"][-1] == shown


@pytest.mark.parametrize(
    ("other", "levels"),
    [(PERCENT, (0.5, 1.0, 2.0)), (ACCURACY, (0.005, 0.01, 0.02)), (LOSS, (0.0005, 0.001, 0.002))],
)
def test_contours_are_round_in_the_unit_of_the_metric(make, other, levels):
    assert usual_contours([landscape_in(make, other)]) == levels
