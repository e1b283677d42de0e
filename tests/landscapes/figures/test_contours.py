import math

import numpy as np
import pytest

from landscape_study.landscapes.figures.heatmaps.heatmap import plot_heatmap, plot_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    heatmap_record,
    heatmaps_record,
)
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis

nan, inf = math.nan, math.inf


def artists(ax, gid):
    return ax.findobj(lambda one: one.get_gid() == gid)


def lines(ax):
    """The vertices of all contours, [points, 2]."""
    return np.concatenate([path.vertices for path in artists(ax, "contours")[0].get_paths()])


def valley(columns=6, rows=5):
    """Error 2 in the middle of λ > 0, rising by 1 per column to both sides."""
    middle = columns // 2
    return np.tile(2.0 + np.abs(np.arange(columns) - middle), (rows, 1))


class TestRecord:
    def test_levels_lie_above_the_best_of_the_figure(self, make):
        one, other = make([[4, 5]]), make([[2.5, 5]])
        assert heatmap_record(one, contours=(1, 0.5)).contours == ((0.5, 4.5), (1, 5))
        both = heatmaps_record([one, other], contours=(1,)).heatmaps
        assert [record.contours for record in both] == [((1, 3.5),), ((1, 3.5),)]

    def test_none_by_default_and_none_without_a_best(self, make):
        assert heatmap_record(make([[4, 5]])).contours == ()
        lost = make([[90, 90]], diverged=[[1, 1]])
        assert heatmap_record(lost, contours=(1,)).contours == ()

    @pytest.mark.parametrize("excess", [0, -1, nan, inf])
    def test_impossible_levels(self, make, excess):
        with pytest.raises(UsageError, match="give positive points above the best"):
            plot_heatmaps([make([[4, 5]])], contours=(excess,))


class TestDrawing:
    def test_lines_run_between_the_centres_of_cells(self, make):
        ax = plot_heatmap(make(valley()), contours=(0.5, 1.5))
        x = lines(ax)[:, 0]
        # The best column's centre is 3.85; 0.35 is the gap beside λ = 0.
        distances = sorted(set(np.round(np.abs(x - 3.85), 6)))
        assert distances == [0.5, 1.5]
        assert (ax.get_xlim(), ax.get_ylim()) == ((0, 6.35), (0, 5))

    def test_labels_say_the_excess_and_the_legend_what_it_is_above(self, make):
        figure = plot_heatmaps([make(valley())], contours=(0.5,))
        labels = {text.get_text() for text in figure.axes[0].texts}
        assert "+0.5" in labels
        (legend,) = figure.legends
        assert legend.get_texts()[-1].get_text() == "points above 2.00 %"

    def test_the_legend_of_panels_that_count_from_their_own_best(self, make):
        """As beside a reference; a panel that has not begun has no lines."""
        unknown, one, other = make(valley() * nan), make(valley()), make(valley() + 1)
        for shown, best in (((unknown, one), "2.00 %"), ((one, other), "the panel's best")):
            (legend,) = plot_heatmaps(shown, contours=(0.5,), relative=True).legends
            assert legend.get_texts()[-1].get_text() == f"points above {best}"

    def test_zero_stands_apart(self, make):
        error = valley()
        error[:, 0] = 2.0  # as good as the best, but λ = 0
        assert lines(plot_heatmap(make(error), contours=(0.5,)))[:, 0].min() >= 1.85

    @pytest.mark.parametrize("lost", ["diverged", "missing", "infinite"])
    def test_no_line_crosses_a_lost_cell(self, make, lost):
        error, diverged = valley(rows=7), np.zeros((7, 6), int)
        row, col = 3, 3
        diverged[row, col] = lost == "diverged"
        error[row, col] = {"diverged": 90, "missing": nan, "infinite": inf}[lost]
        x, y = lines(plot_heatmap(make(error, diverged=diverged), contours=(0.5,))).T
        near = (np.abs(x - 3.85) < 1) & (np.abs(y - 3.5) < 1)
        assert not near.any()
        assert x.size

    @pytest.mark.parametrize(
        "error",
        [[[2.0]], [[2.0, 3.0, 4.0]], [[2.0], [4.0]], np.full((3, 4), 2.0), np.full((3, 4), nan)],
        ids=["one cell", "one row", "one column", "flat", "nothing finished"],
    )
    def test_no_lines_where_there_can_be_none(self, make, error):
        error = np.array(error)
        lambda_ = Axis.log2(0.001, 1 - error.shape[1], 0)
        ax = plot_heatmap(make(error, lambda_=lambda_), contours=(0.5,))
        assert not artists(ax, "contours")
