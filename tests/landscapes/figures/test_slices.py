import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape_study.landscapes.figures.slices import plot_slices, plot_slices_figure
from landscape_study.landscapes.figures.slices_record import (
    MOST,
    Point,
    Slice,
    SlicesRecord,
    slices_figure_record,
    slices_record,
)
from landscape_study.landscapes.figures.style import save
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis

nan, inf = math.nan, math.inf
LAMBDA = Axis(values=(0.0, 0.25, 0.5, 1.0))


def artists(ax, gid):
    return ax.findobj(lambda one: one.get_gid() == gid)


def places(ax, gid):
    """The points of all artists of a gid."""
    return [tuple(xy) for one in artists(ax, gid) for xy in one.get_xydata()]


@pytest.fixture
def field(make):
    """Two α, λ = 0, 1/4, 1/2, 1; standard error 0.1; a diverged and a missing cell."""
    error = [[4, 5, 3, 90], [nan, 3.5, 9, 4]]
    made = make(
        error, diverged=[[0, 0, 0, 1], [0, 0, 0, 0]], lambda_=LAMBDA, alpha=Axis(values=(1, 2))
    )
    return replace(made, stderr=np.full((2, 4), 0.1))


class TestRecord:
    def test_holds_all_that_is_drawn(self, field):
        assert slices_record(field, span=4) == SlicesRecord(
            title="AdamW",
            summary=("best 3.00 ± 0.10 %", "at α = 1,", "λ = 1/2", "(7 of 8 cells)"),
            x_title="weight decay λ",
            x_ticks=((-3.5, "0"), (-2.0, "1/4"), (-1.0, "1/2"), (0.0, "1")),
            gap=-2.75,
            y_title="test error (%), 1 seed",
            y_range=(2.8, 7.0),
            legend_title="α",
            slices=(
                Slice(
                    label="1",
                    row=0,
                    shade=0.0,
                    runs=((Point(-3.5, 4, 0.1),), (Point(-2, 5, 0.1), Point(-1, 3, 0.1))),
                    ends=(Point(-1, 3, 0.1),),
                    best=Point(-1, 3, 0.1),
                ),
                Slice(
                    label="2",
                    row=1,
                    shade=1.0,
                    runs=((Point(-2, 3.5, 0.1), Point(-1, 9, 0.1), Point(0, 4, 0.1)),),
                    ends=(),
                    best=Point(-2, 3.5, 0.1),
                ),
            ),
        )

    def test_by_lambda_swaps_the_axes(self, field):
        record = slices_record(field, by="lambda")
        assert (record.x_title, record.legend_title) == ("initial learning rate α", "λ")
        assert record.gap is None
        assert [one.label for one in record.slices] == ["0", "1/4", "1/2", "1"]
        assert record.slices[1].runs == ((Point(0, 5, 0.1), Point(1, 3.5, 0.1)),)
        assert record.slices[3].ends == (Point(1, 4, 0.1),)

    def test_a_missing_cell_breaks_a_line_without_a_cross(self, make):
        (one,) = slices_record(make([[3, 4, nan, 4]], lambda_=Axis.log2(1, -3, 0))).slices
        assert [len(run) for run in one.runs] == [2, 1]
        assert one.ends == ()

    def test_one_seed_has_no_bars(self, make):
        (one,) = slices_record(make([[3, 4]])).slices
        assert {point.stderr for run in one.runs for point in run} == {0.0}

    def test_at_most_eight_that_come_into_the_picture_with_the_best(self, make):
        error = np.full((20, 2), 4.0)
        error[:4] = 50  # out of the picture
        error[5, 1] = 3.0
        record = slices_record(make(error, alpha=Axis.log2(1, -19, 0)))
        rows = [one.row for one in record.slices]
        assert len(rows) == len(set(rows)) == MOST
        assert 5 in rows
        assert rows == sorted(rows)
        assert min(rows) >= 4
        assert rows[-1] == 19
        assert record.legend_title == "α, 8 of 20"

    def test_values_asked_for(self, field):
        assert [one.label for one in slices_record(field, values=[2]).slices] == ["2"]
        chosen = slices_record(field, by="lambda", values=[0.5, 0]).slices
        assert [one.label for one in chosen] == ["0", "1/2"]

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"by": "beta"}, "by = 'beta': slices go by alpha or lambda"),
            ({"values": [3]}, "alpha = 3 is not on the grid: choose among 1, 2"),
            ({"span": 0}, "span = 0"),
        ],
    )
    def test_impossible_options(self, field, wrong, message):
        with pytest.raises(UsageError, match=message):
            plot_slices(field, **wrong)

    def test_a_figure_has_one_error_axis_titled_once_a_row(self, make):
        fields = [make([[4, 5]]), make([[3.5, 5]]), make([[9, 3]])]
        record = slices_figure_record(fields, columns=2)
        assert {panel.y_range for panel in record.panels} == {(2.85, 6.0)}
        assert [bool(panel.y_title) for panel in record.panels] == [True, False, True]
        with pytest.raises(UsageError, match="no landscapes"):
            plot_slices_figure([])


class TestDrawing:
    def test_draws_into_the_given_or_the_current_axes(self, field):
        _, (left, right) = plt.subplots(1, 2)
        assert plot_slices(field, ax=left) is left
        assert plot_slices(field) is right

    def test_lines_bars_and_marks(self, field):
        ax = plot_slices(field, span=4)
        assert places(ax, "line") == [(-3.5, 4), (-2, 5), (-1, 3), (-2, 3.5), (-1, 9), (0, 4)]
        bars = [box.get_paths()[0].vertices for box in ax.collections]
        np.testing.assert_allclose(bars[0], [[-3.5, 3.9], [-3.5, 4.1]])
        assert places(ax, "best") == [(-1, 3), (-2, 3.5)]
        assert places(ax, "end") == [(-1, 3)]

    def test_errors_above_the_axis_are_marked_on_its_edge(self, field):
        ax = plot_slices(field, span=4)
        ((x, y),) = places(ax, "above")
        assert x == pytest.approx(-1, abs=0.35)
        assert y == ax.get_ylim()[1] == 7

    def test_the_axis_is_broken_beside_zero(self, field):
        assert len(places(plot_slices(field), "break")) == 2
        plt.figure()
        assert not places(plot_slices(field, by="lambda"), "break")

    def test_colours_markers_and_legend(self, field):
        ax = plot_slices(field)
        lines = artists(ax, "line")
        assert len({line.get_color() for line in lines}) == 2
        assert len({line.get_marker() for line in lines}) == 2
        (legend,) = artists(ax, "slices")
        assert [text.get_text() for text in legend.get_texts()] == ["2", "1"]  # as α on heatmaps

    def test_one_alpha_looks_alike_in_every_panel(self, make):
        axis = Axis.log2(1, -9, 0)
        one = make(np.full((10, 2), 3.0), alpha=axis)
        error = np.full((10, 2), 3.0)
        error[:5] = 50
        figure = plot_slices_figure([one, make(error, alpha=axis)])
        looks = [
            {
                handle.get_label(): (handle.get_color(), handle.get_marker())
                for handle in artists(ax, "slices")[0].legend_handles
            }
            for ax in figure.axes
        ]
        shared = looks[0].keys() & looks[1].keys()
        assert len(shared) >= 3
        assert all(looks[0][label] == looks[1][label] for label in shared)

    def test_legend_explains_the_marks_that_occur(self, make, field):
        (legend,) = plot_slices_figure([field]).legends
        assert [text.get_text() for text in legend.get_texts()] == [
            "best of a line",
            "± 1 standard error",
            "next one diverged",
            "higher error",
        ]
        (legend,) = plot_slices_figure([make([[3, 4]])]).legends
        assert [text.get_text() for text in legend.get_texts()] == ["best of a line"]

    @pytest.mark.long
    @pytest.mark.parametrize("lost", [False, True])
    @pytest.mark.parametrize(
        "error",
        [[[nan, nan], [nan, nan]], [[4.0]], [[5.0, 4.0, 6.0]], [[5.0], [4.0]], [[inf, inf]]],
        ids=["nothing finished", "one cell", "one row", "one column", "infinite"],
    )
    @pytest.mark.parametrize("by", ["alpha", "lambda"])
    def test_whatever_there_is_draws(self, make, error, lost, by, tmp_path):
        error = np.array(error)
        lambda_ = Axis.log2(0.001, 1 - error.shape[1], 0)
        field = make(error, diverged=np.full(error.shape, int(lost)), lambda_=lambda_)
        save(plot_slices_figure([field, field], by=by), tmp_path / "figure.png", dpi=30)
        zero = replace(field, columns=Axis(values=(0.0,)), **_first_column(field))
        save(plot_slices_figure([zero], by=by), tmp_path / "zero.png", dpi=30)


def _first_column(field):
    names = ("error", "stderr", "n", "diverged")
    return {name: getattr(field, name)[:, :1].copy() for name in names}
