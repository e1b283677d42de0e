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
from landscape_study.landscapes.statistics.edges import Edge, edges, extend_command
from landscape_study.study.spec.study import Axis
from tests.valleys import valley_study

nan = float("nan")


def grid_of(best: dict[tuple[int, int], float], rows: int = 7, columns: int = 7) -> np.ndarray:
    """Errors of 9 % but for the named cells."""
    error = np.full((rows, columns), 9.0)
    for cell, value in best.items():
        error[cell] = value
    return error


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
