"""Edges: where best cells lie on the border of a grid, and what is done about it."""

from __future__ import annotations

import shlex

import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape_study.landscapes.figures.heatmaps.heatmap import (
    draw_heatmap,
    plot_heatmap,
    plot_heatmaps,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_record import heatmap_record
from landscape_study.landscapes.reading.landscape import Pruned
from landscape_study.landscapes.statistics.edges import (
    Edge,
    edges,
    extend_command,
    refine_command,
)
from landscape_study.study.spec.study import Axis, Grid
from tests.valleys import valley_study

nan = float("nan")


def grid_of(best: dict[tuple[int, int], float], rows: int = 7, columns: int = 7) -> np.ndarray:
    """Errors of 9 % but for the named cells."""
    error = np.full((rows, columns), 9.0)
    for cell, value in best.items():
        error[cell] = value
    return error


ALPHA, LAMBDA = Axis.log2(0.1, -6, 0), Axis.log2(1, -6, 0)
CORNER = {(6, 6): 1.0, (6, 5): 1.1, (6, 4): 1.2, (5, 6): 1.3, (3, 3): 1.4}


def test_sides_with_most_best_cells_come_first(make):
    found = edges(make(grid_of(CORNER), lambda_=Axis.log2(1, -6, 0), panel="adamw"), top=5)
    assert [(edge.name, edge.cells) for edge in found] == [
        ("alpha-high", ((6, 6), (6, 5), (6, 4))),
        ("lambda-high", ((6, 6), (5, 6))),
    ]
    assert {(edge.panel, edge.top) for edge in found} == {("adamw", 5)}
    assert found[0].count == 3


def test_best_cells_inside_the_grid_have_no_edge(make):
    assert edges(make(grid_of({(3, 3): 1.0, (2, 3): 1.1, (3, 4): 1.2})), top=3) == ()


def test_no_regularization_is_no_border_but_the_smallest_lambda_is(make):
    zero = make(grid_of({(3, 0): 1.0}))
    assert zero.lambda_.values[0] == 0
    assert edges(zero, top=1) == ()
    (found,) = edges(make(grid_of({(3, 1): 1.0})), top=1)
    assert found.name == "lambda-low"


def test_where_no_regularization_is_among_the_best_smaller_lambdas_are_no_news(make):
    assert edges(make(grid_of({(3, 1): 1.0, (3, 0): 1.1})), top=2) == ()
    (found,) = edges(make(grid_of({(3, 1): 1.0, (3, 0): 1.1})), top=1)
    assert found.name == "lambda-low"


def test_of_few_cells_only_the_best_quarter_counts(make):
    error = np.arange(9.0).reshape(3, 3) + 1
    error[1, 1] = 0.5
    assert edges(make(error, lambda_=Axis.log2(1, -2, 0))) != ()
    (edge,) = edges(make(error, lambda_=Axis.log2(1, -2, 0)))[:1]
    assert edge.top == 2
    error = grid_of({(1, 1): 0.5}, 3, 3)
    error[0, 0] = 0.6
    assert edges(make(error[:, :2], lambda_=Axis.log2(1, -1, 0)))[0].top == 1


def test_unfinished_landscapes_have_no_edges_yet(make):
    assert edges(make(grid_of(CORNER | {(0, 0): nan}))) == ()


def test_cells_that_nobody_asked_for_are_not_missing(make):
    """Nor has the inner border of a refined grid an edge."""
    is_cell = np.ones((7, 7), dtype=bool)
    is_cell[2, 3:] = is_cell[:2, 4] = False
    refined = {"of_design": is_cell, "panel_grid": Grid(alpha=ALPHA, lambda_=LAMBDA)}
    axes = {"alpha": ALPHA, "lambda_": LAMBDA}
    error = np.where(is_cell, grid_of(CORNER), nan)
    assert [edge.name for edge in edges(make(error, **axes, **refined), top=5)] == [
        "alpha-high",
        "lambda-high",
    ]
    inner = np.where(is_cell, grid_of({(2, 2): 1.0, (1, 3): 1.1}), nan)
    assert edges(make(inner, **axes, **refined), top=2) == ()
    error[3, 3] = nan
    assert edges(make(error, **axes, **refined), top=5) == ()


class TestScattered:
    """A sampler's trials are on a border where they are nearer to it than a usual step."""

    GRID = Grid(alpha=Axis(values=(1.0, 256.0)), lambda_=Axis(values=(0.0, 1.0, 256.0)))

    def found(self, make, *best: tuple[float, float], grid: Grid | None = GRID) -> list[str]:
        """The sides on which the best trials of a random search lie."""
        rng = np.random.default_rng(0)
        trials = [tuple(2.0 ** rng.uniform(1.5, 6.5, 2)) for _ in range(30)]
        places = [*best, *trials]
        alphas, lambdas = (sorted({place[i] for place in places}) for i in (0, 1))
        error = np.full((len(alphas), len(lambdas)), nan)
        for alpha, lambda_ in places:
            error[alphas.index(alpha), lambdas.index(lambda_)] = 9.0
        for i, (alpha, lambda_) in enumerate(best):
            error[alphas.index(alpha), lambdas.index(lambda_)] = 1.0 + i / 10
        landscape = make(
            error,
            alpha=Axis(values=tuple(alphas)),
            lambda_=Axis(values=tuple(lambdas)),
            is_scattered=True,
            panel_grid=grid,
            of_design=~np.isnan(error),
        )
        return [edge.name for edge in edges(landscape, top=len(best))]

    def test_near_an_end(self, make):
        assert self.found(make, (150.0, 20.0), (140.0, 1.9)) == ["alpha-high", "lambda-low"]

    def test_nearer_than_half_a_step_of_the_axis(self, make):
        """As cells of a grid, which stand for as much."""
        octaves = Grid(alpha=Axis.log2(1, 0, 8), lambda_=Axis.log2(1, 0, 8, zero=True))
        assert self.found(make, (182.0, 20.0), grid=octaves) == ["alpha-high"]
        assert self.found(make, (180.0, 20.0), (128.0, 16.0), grid=octaves) == []

    def test_not_near_one(self, make):
        assert self.found(make, (120.0, 20.0), (2.1, 30.0)) == []

    def test_of_what_was_trained_elsewhere_nobody_knows(self, make):
        assert self.found(make, (256.0, 20.0), grid=None) == []


def test_pruned_cells_are_not_missing(make):
    """They are no better than what they had reached."""
    pruned = (Pruned((0, 0), 30.0, 1),)
    axes = {"lambda_": Axis.log2(1, -6, 0)}
    assert edges(make(grid_of(CORNER | {(0, 0): nan}), pruned=pruned, **axes)) != ()


def test_diverged_cells_are_not_best(make):
    diverged = np.zeros((7, 7), int)
    diverged[6, :] = 1
    found = edges(make(grid_of(CORNER), lambda_=Axis.log2(1, -6, 0), diverged=diverged), top=2)
    assert [edge.name for edge in found] == ["lambda-high"]


def test_an_axis_of_one_value_has_no_border(make):
    landscape = make([[3.0, 1.0, 3.0]], alpha=Axis(values=(0.1,)), lambda_=Axis.log2(1, -2, 0))
    assert edges(landscape) == ()


def test_beyond_the_largest_numbers_nothing_is_gained(make):
    landscape = make(grid_of(CORNER, 7, 7), alpha=Axis.log2(1, 194, 200))
    assert "alpha-high" not in [edge.name for edge in edges(landscape)]


@pytest.mark.parametrize(
    ("edge", "said"),
    [
        (
            Edge("sgd", "lambda", "high", ((0, 1), (1, 1)), 10),
            "2 of the 10 best cells of sgd lie at the largest λ of the grid",
        ),
        (
            Edge("sgd", "lambda", "low", ((0, 1),), 10),
            "1 of the 10 best cells of sgd lies at the smallest positive λ of the grid",
        ),
        (
            Edge("sgd", "alpha", "low", ((0, 1),), 7, is_quarter=True),
            "1 of the best quarter of sgd, 7 cells, lies at the smallest α of the grid",
        ),
        (
            Edge("", "alpha", "low", ((0, 1),), 1),
            "the best cell lies at the smallest α of the grid",
        ),
        (
            Edge("sgd", "lambda", "low", ((0, 1), (1, 1)), 10, of_trials=True),
            "2 of the 10 best trials of sgd lie near the smallest positive λ of the axes",
        ),
    ],
)
def test_sentences(edge: Edge, said: str):
    assert edge.sentence == f"{said}: better ones may lie beyond"


def test_the_command_can_be_pasted_into_a_shell():
    edge = Edge("adamw", "lambda", "high", ((0, 1),), 10)
    study = valley_study().change(task="my.module:task")
    words = shlex.split(extend_command(edge, study, "my results/a.db"))
    assert words == [
        *("landscape", "extend", "valley", "--panel", "adamw", "--side", "lambda-high"),
        *("--task", "my.module:task", "--store", "my results/a.db"),
    ]
    assert "--task" not in extend_command(edge, valley_study(), "a.db")
    assert shlex.split(refine_command("adamw", study, "a.db")) == [
        *("landscape", "refine", "valley", "--panel", "adamw", "--task", "my.module:task"),
        *("--store", "a.db"),
    ]


def test_arrowheads_stand_outside_the_grid_beside_their_cells(make):
    landscape = make(grid_of(CORNER), lambda_=Axis.log2(1, -6, 0))
    record = heatmap_record(landscape, top=5)
    assert record.edges == edges(landscape, 5)
    ax = draw_heatmap(record, plt.figure().subplots(), cbar=False)
    heads = {line.get_gid(): line for line in ax.lines if line.get_gid() in ("alpha-high",)}
    assert list(heads["alpha-high"].get_ydata()) == [7, 7, 7]
    assert sorted(heads["alpha-high"].get_xdata()) == [4.5, 5.5, 6.5]
    assert ax.get_xlim() == (0, 7)
    (legend,) = plot_heatmaps([landscape], top=5).legends
    assert "best cells on the border" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("cell", "name", "marker", "foot"),
    [
        ((0, 4), "alpha-low", "v", (4.85, 0)),
        ((6, 4), "alpha-high", "^", (4.85, 7)),
        ((4, 1), "lambda-low", "<", (1.35, 4.5)),  # in the gap beside λ = 0
        ((4, 6), "lambda-high", ">", (7.35, 4.5)),
    ],
)
def test_an_arrowhead_points_out_of_the_grid(make, cell, name, marker, foot):
    ax = plot_heatmap(make(grid_of({cell: 1.0})), top=1, cbar=False)
    (head,) = (line for line in ax.lines if line.get_gid() == name)
    assert head.get_marker() == marker
    np.testing.assert_allclose(head.get_xydata(), [foot])
    moved = head.get_transform().transform(foot) - ax.transData.transform(foot)
    away = {"v": (0, -1), "^": (0, 1), "<": (-1, 0), ">": (1, 0)}[marker]
    assert np.dot(moved, away) > 1
    assert np.dot(moved, away[::-1]) == pytest.approx(0)


def test_without_circles_there_are_no_arrowheads(make):
    assert heatmap_record(make(grid_of(CORNER)), top=0).edges == ()
