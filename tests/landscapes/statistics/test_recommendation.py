"""Recommendations and one-at-a-time tuning paths."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.landscapes.figures.heatmaps.heatmap import draw_heatmap
from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.figures.tuning_paths import draw_paths
from landscape_study.landscapes.statistics import coupling
from landscape_study.landscapes.statistics.recommendation import (
    recommend,
    tuning_paths,
    typical_paths,
)
from landscape_study.study.spec.study import Axis
from tests.landscapes.conftest import landscape_of

nan, inf = float("nan"), float("inf")

SPIKE = [  # the best cell stands alone; a plateau hardly worse lies to its left
    [9.0, 9.0, 9.0, 9.0, 9.0],
    [9.0, 2.2, 2.2, 2.3, 9.0],
    [9.0, 2.2, 2.1, 2.3, 2.0],
    [9.0, 2.2, 2.2, 2.3, 9.0],
    [9.0, 9.0, 9.0, 9.0, 9.0],
]


def no_zero(columns: int) -> Axis:
    return Axis.log2(0.001, 1 - columns, 0)


def test_without_noise_the_best_cell_is_recommended(make):
    chosen = recommend(make(SPIKE, lambda_=no_zero(5)))
    assert chosen.cell == (2, 4)
    assert chosen.above == 0
    assert chosen.neighbours == 5
    assert chosen.worst_rise == 7.0
    assert chosen.mean_rise == pytest.approx((3 + 3 + 3 * 0.3 - 2 * 0 + 0) / 5)


def test_among_cells_that_tie_the_one_amid_good_ones_is_recommended(make):
    chosen = recommend(make(SPIKE, lambda_=no_zero(5)), noise=0.15)
    assert chosen.cell == (2, 2)
    assert chosen.error == 2.1
    assert chosen.above == pytest.approx(0.1)
    assert chosen.neighbours == 8
    assert chosen.worst_rise == pytest.approx(0.2)


def test_a_diverged_neighbour_counts_as_the_span_and_is_told(make):
    diverged = np.zeros((3, 3), int)
    diverged[0, 0] = 1
    chosen = recommend(
        make([[1.0, 3, 3], [3, 2, 3], [3, 3, 3]], diverged=diverged, lambda_=no_zero(3))
    )
    assert chosen.cell == (1, 1)
    assert chosen.worst_rise == inf
    assert chosen.mean_rise == pytest.approx((7 * 1 + 3) / 8)


def test_no_regularization_has_no_neighbour_in_lambda(make):
    landscape = make([[5.0, 9, 9], [2.0, 9, 9], [4.0, 9, 9]])
    assert landscape.lambda_.values[0] == 0
    chosen = recommend(landscape)
    assert chosen.cell == (1, 0)
    assert chosen.neighbours == 2
    assert chosen.worst_rise == 3.0


def test_a_lone_cell_has_no_neighbours(make):
    chosen = recommend(make([[nan, nan], [nan, 2.0]]))
    assert (chosen.neighbours, chosen.mean_rise, chosen.worst_rise) == (0, 0.0, 0.0)


def test_of_cells_that_tie_one_without_neighbours_comes_last(make):
    """While a study is unfinished, nobody knows how flat it is around such a cell."""
    error = [[2.0, nan, 9.0], [nan, nan, 2.1], [9.0, 2.05, 2.1]]
    chosen = recommend(make(error, lambda_=no_zero(3)), noise=0.2)
    assert chosen.cell == (2, 2)
    assert chosen.neighbours == 2


@pytest.mark.parametrize("error", [[[nan, nan]], [[90.0, 90.0]]])
def test_nothing_to_recommend(make, error):
    assert recommend(make(error, diverged=[[1, 1]])) is None
    assert tuning_paths(make(error, diverged=[[1, 1]])) == ()


def test_paths_turn_at_the_best_lambda_of_their_row(make):
    error = [[4.0, 5.0, 6.0], [3.0, 2.0, 3.0], [9.0, 8.0, 1.0]]
    paths = {path.start: path for path in tuning_paths(make(error, lambda_=no_zero(3)))}
    assert paths[0].turn == (0, 0)
    assert paths[0].end == (1, 0)
    assert paths[0].cost == 2.0
    assert (paths[1].end, paths[1].cost) == ((1, 1), 1.0)
    assert (paths[2].end, paths[2].cost) == ((2, 2), 0.0)
    assert [path.cost for path in tuning_paths(make(error, lambda_=no_zero(3)))] == [0, 1, 2]


@given(
    st.lists(
        st.lists(st.one_of(st.just(nan), st.floats(1, 20)), min_size=4, max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_costs_are_the_regrets(error):
    """The statistic and the paths are two ways to the same costs; λ = 0 is in neither."""
    landscape = landscape_of(error)
    expected = coupling.regrets(np.array(error)[:, 1:])
    costs = {path.start: path.cost for path in tuning_paths(landscape)}
    for row, cost in enumerate(expected):
        assert costs.get(row, nan) == pytest.approx(cost, nan_ok=True)


def test_typical_paths_are_the_cheapest_the_median_and_the_dearest(make):
    paths = tuning_paths(make(np.random.default_rng(0).uniform(1, 9, (7, 6))))
    chosen = typical_paths(paths)
    assert chosen == (paths[0], paths[3], paths[6])
    assert typical_paths(paths[:1]) == paths[:1]
    assert typical_paths(()) == ()


def test_paths_are_drawn_from_the_left_to_their_end(make):
    landscape = make([[4.0, 5.0, 6.0], [3.0, 2.0, 3.0], [9.0, 8.0, 1.0]])
    record = heatmap_record(landscape)
    ax = draw_heatmap(record, plt.figure().subplots(), cbar=False)
    paths = tuning_paths(landscape)
    draw_paths(paths, record, ax)
    lines = [line for line in ax.lines if line.get_gid() == "path" and len(line.get_xdata()) == 2]
    for path, line in zip(paths, lines, strict=True):
        x, y = record.center(path.turn)
        assert list(line.get_xdata()) == [0, x]
        assert list(line.get_ydata()) == [y, y]
    costs = [text.get_text() for text in ax.texts if text.get_gid() == "cost"]
    assert costs == [f"{path.cost:.2f}" for path in paths]
    assert math.isclose(ax.get_xlim()[0], 0)
