"""Heatmaps over the timescale of the decay in the place of λ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from landscape_study.landscapes.figures.difference import comparison_record, plot_comparison
from landscape_study.landscapes.figures.heatmaps.heatmap import CMAP, plot_heatmap, plot_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    heatmap_record,
    possible_over,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_slant import GAP, slant
from landscape_study.landscapes.figures.interactive import interactive_heatmap
from landscape_study.landscapes.figures.style import colormap
from landscape_study.study.errors import UsageError
from landscape_study.study.pairs.timescale import Timescale
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Axis
from tests.landscapes.conftest import landscape_of

ALPHA, LAMBDA = Axis.log2(0.1, -2, 0), Axis.log2(0.001, -3, 0, zero=True)
ERRORS = np.arange(15.0).reshape(3, 5) + 3
TILTED, UPRIGHT = Timescale(0.1, 1.0), Timescale(0.1, 0.0)


def shown(timescale=TILTED, errors=ERRORS, alpha=ALPHA, lambda_=LAMBDA, **rest):
    return landscape_of(errors, alpha=alpha, lambda_=lambda_, timescale=timescale, **rest)


def epochs_at(one, x):
    """What the axis says at x, by two of its ticks."""
    ticks = one.ticks[:2]
    written = [label.replace("·10³", "e3").replace("10³", "1e3") for label in one.labels[:2]]
    values = [float(label) for label in written]
    slope = math.log2(values[1] / values[0]) / (ticks[1] - ticks[0])
    return values[0] * 2 ** (slope * (x - ticks[0]))


@pytest.mark.parametrize("timescale", [TILTED, UPRIGHT])
def test_cells_lie_where_the_axis_says_their_timescale(timescale):
    one = slant(shown(timescale))
    for row, alpha in enumerate(ALPHA.values):
        for col, lambda_ in enumerate(LAMBDA.values):
            x, y = one.center((row, col))
            assert y == row + 0.5
            if lambda_ == 0:
                assert x == one.ticks[-1] == one.length - 0.5
                continue
            assert epochs_at(one, x) == pytest.approx(timescale.epochs(alpha, lambda_))
    assert one.labels[-1] == "∞"


@pytest.mark.parametrize("alpha", [ALPHA, Axis(values=(0.1, 0.2, 0.8))])
@pytest.mark.parametrize("lambda_", [LAMBDA, Axis(values=(0, 0.01, 0.02, 0.1, 0.3))])
def test_cells_tile_without_gap_or_overlap(alpha, lambda_):
    one = slant(shown(alpha=alpha, lambda_=lambda_))
    for row in range(3):
        for col in range(1, 4):
            # The next larger λ lies to the left.
            assert one.left[row][col] == pytest.approx(one.right[row][col + 1])
        for col in range(1, 5):
            if row < 2:
                assert one.left[row][col][1] == pytest.approx(one.left[row + 1][col][0])
    x = [place for cells in (*one.left, *one.right) for cell in cells for place in cell]
    assert min(x) == pytest.approx(0)
    assert max(x) == pytest.approx(one.length)


def test_where_alpha_does_not_count_cells_are_rectangles_mirrored():
    one = slant(shown(UPRIGHT))
    for row in range(3):
        assert [one.corners((row, col))[0][0] for col in (4, 3, 2, 1)] == pytest.approx(
            [0, 1, 2, 3]
        )
        assert one.corners((row, 0))[0] == pytest.approx((4 + GAP, row))
    assert one.length == pytest.approx(5 + GAP)


def test_each_octave_of_alpha_shifts_a_row_by_a_column():
    one = slant(shown())
    places = [one.center((row, 4))[0] for row in range(3)]
    assert np.diff(places) == pytest.approx([-1, -1])
    assert one.center((0.5, 4))[0] == pytest.approx(np.mean(places[:2]))
    assert one.length == pytest.approx(4 + 3 + GAP + 1)


def test_without_a_lambda_of_0_nothing_stands_apart():
    axis = Axis.log2(0.001, -3, 0)
    one = slant(shown(errors=ERRORS[:, 1:], lambda_=axis))
    assert "∞" not in one.labels
    assert one.length == pytest.approx(4 + 3)


def test_a_single_lambda_and_a_single_alpha_have_cells_of_an_octave():
    one = slant(shown(errors=[[3.0]], alpha=Axis(values=(0.1,)), lambda_=Axis(values=(0.01,))))
    assert one.length == pytest.approx(2)
    assert one.center((0, 0))[0] == pytest.approx(1)


@pytest.mark.parametrize("lambda_", [0.1, 0.13, 0.2, 0.3, 0.45, 0.6, 0.85])
def test_a_short_axis_has_ticks_too(lambda_):
    axes = {"alpha": Axis(values=(0.1,)), "lambda_": Axis(values=(lambda_,))}
    one = slant(shown(UPRIGHT, errors=[[3.0]], **axes))
    assert 2 <= len(one.ticks) <= 4
    assert all(0 <= tick <= one.length for tick in one.ticks)


def test_a_long_axis_has_few_ticks():
    wide = Axis.log2(1.0, -40, 0)
    one = slant(shown(errors=np.ones((3, 41)), lambda_=wide))
    assert 2 < len(one.ticks) <= 14
    assert all(0 <= tick <= one.length for tick in one.ticks)


def test_the_figure_is_that_of_lambda_but_for_where_cells_lie():
    diverged = np.zeros((3, 5), int)
    diverged[2, 4] = 1
    own = shown(diverged=diverged)
    plain, other = heatmap_record(own), heatmap_record(own, over="timescale")
    assert other.x_title == "timescale of the decay (epochs)"
    assert (plain.error, plain.circled, plain.diverged) == (
        other.error,
        other.circled,
        other.diverged,
    )
    assert not other.zero_apart
    ax = plot_heatmap(own, over="timescale", contours=(2.0,), top=3)
    (errors,) = ax.findobj(lambda one: one.get_gid() == "error")
    assert len(errors.get_paths()) == 15
    first = errors.get_paths()[1].vertices[:4]  # α = 0.025, the smallest λ above 0
    np.testing.assert_allclose(first, other.corners((0, 1)))
    (circles,) = ax.findobj(lambda one: one.get_gid() == "circles")
    np.testing.assert_allclose(
        np.transpose(circles.get_data()), [other.center(cell) for cell in other.circled]
    )
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == "∞"


def test_best_cells_on_the_border_point_the_other_way():
    """The largest λ is the shortest timescale, at the left."""
    errors = np.full((3, 5), 9.0)
    errors[1, 4] = 3.0
    ax = plot_heatmap(shown(errors=errors), over="timescale", top=1)
    (heads,) = ax.findobj(lambda one: one.get_gid() == "lambda-high")
    assert heads.get_marker() == "<"
    record = heatmap_record(shown(errors=errors), over="timescale", top=1)
    corners = record.corners((1, 4))
    assert heads.get_data()[0] == pytest.approx([(corners[0][0] + corners[3][0]) / 2])


def test_several_with_equal_titles_share_one():
    figure = plot_heatmaps([shown(), shown(UPRIGHT)], columns=1, over="timescale")
    figure.canvas.draw()
    assert [ax.get_xlabel() for ax in figure.axes[:2]] == ["", "timescale of the decay (epochs)"]


def test_differences_lie_over_the_timescale_that_both_share():
    same = comparison_record(shown(), shown(errors=ERRORS + 1), over="timescale")
    assert same.difference.slant == same.one.slant == same.other.slant == slant(shown())
    apart = comparison_record(shown(), shown(UPRIGHT), over="timescale")
    assert (apart.one.slant, apart.other.slant) == (slant(shown()), slant(shown(UPRIGHT)))
    assert apart.difference.slant is None  # cells of one λ, which have two timescales
    figure = plot_comparison(shown(), shown(UPRIGHT), over="timescale")
    titles = [ax.get_xlabel() for ax in figure.axes[:3]]
    assert titles[:2] == ["timescale of the decay (epochs)"] * 2
    assert titles[2].startswith("weight decay λ")


def test_cells_to_hover_over_are_parallelograms_with_a_mark_each():
    own = shown(diverged=[[0] * 5, [0] * 5, [0, 0, 0, 0, 1]])
    figure, record = (
        interactive_heatmap(own, over="timescale"),
        heatmap_record(own, over="timescale"),
    )
    (cells,) = [trace for trace in figure.data if trace.name == "cells"]
    assert len(cells.x) == len(figure.layout.shapes) == 15
    np.testing.assert_allclose(
        np.transpose([cells.x, cells.y]), [record.center(cell) for cell, _ in record.error]
    )
    first, *_, last = figure.layout.shapes
    assert first.path.startswith("M ")
    assert first.path.count(" L ") == 3
    assert first.fillcolor == to_hex(colormap(CMAP)(0.0))  # the best cell
    assert last.fillcolor == to_hex(colormap(CMAP)(1.0))
    assert tuple(cells.customdata[0][:2]) == ("α = 1/4 × 0.1 (0.025)", "λ = 0")
    assert figure.layout.xaxis.title.text == "timescale of the decay (epochs)"
    assert figure.layout.xaxis.ticktext[-1] == "∞"


def test_what_a_study_wishes_is_done_where_all_can_have_it():
    assert possible_over([shown(), shown(UPRIGHT)], "timescale") == "timescale"
    assert possible_over([shown(), shown(None)], "timescale") == "lambda"
    assert possible_over([shown()], "lambda") == "lambda"


def test_what_has_no_timescale_is_refused():
    with pytest.raises(UsageError, match="panel 'far': how long its weights remember is not"):
        heatmap_record(replace(shown(None), panel="far"), over="timescale")
    with pytest.raises(UsageError, match="its trials lie scattered, in no rows"):
        heatmap_record(replace(shown(), is_scattered=True), over="timescale")
    only = shown(errors=[[3.0]], alpha=Axis(values=(0.1,)), lambda_=Axis(values=(0,)))
    with pytest.raises(UsageError, match="all its λ are 0, without a timescale"):
        heatmap_record(only, over="timescale")
    with pytest.raises(UsageError, match="over = 'α': choose one of lambda, timescale"):
        heatmap_record(shown(), over="α")


def test_a_long_title_of_the_colour_bar_is_broken_beside_few_rows():
    long = Metric("mae", "mean absolute error", unit="points of progression")
    alpha, lambda_ = (Axis(values=(0.001, 0.01, 0.1)) for _ in range(2))
    error = np.arange(9.0).reshape(3, 3)
    own = landscape_of(error, alpha=alpha, lambda_=lambda_, metric=long, timescale=TILTED)
    figure = plot_heatmaps([own], over="timescale")
    label = figure.axes[-1].get_ylabel()
    assert label == "mean absolute error\n(points of progression)\n1 seed"
