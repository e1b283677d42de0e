"""Studies grown beyond their borders: which sides, and until no best cell lies there."""

from __future__ import annotations

import numpy as np
import pytest

from landscape_study.landscapes.growing.extending import (
    go_beyond_borders,
    sides_to_extend,
    study_edges,
)
from landscape_study.landscapes.reporting.sentences import edge_lines, verdict_lines
from landscape_study.study.errors import SpecError, UsageError
from landscape_study.study.spec.extension import Further
from landscape_study.study.spec.study import Axis
from landscape_study.study.store import Store
from tests.valleys import fill, valley_error, valley_study

pytestmark = pytest.mark.slow


def cut_off(panel: str, cell) -> float:
    """The optimum of adamw lies far beyond the largest λ; that of adam inside."""
    if panel == "adam":
        return valley_error("adamw", cell)
    return 40 - 1000 * cell.lambda_ + 5 * float(np.log2(cell.alpha / 0.01)) ** 2


@pytest.fixture
def valley(store: Store) -> Store:
    fill(store, valley_study(), cut_off, noise=0.0)
    return store


def test_the_edges_of_a_study(valley: Store):
    (edge,) = study_edges(valley, "valley")
    assert (edge.panel, edge.name, edge.count) == ("adamw", "lambda-high", 3)
    assert study_edges(valley, "valley", panels=["adam"]) == []
    assert study_edges(valley, "valley", sides=["alpha-low"]) == []
    sentence, command = edge_lines(valley, "valley")
    assert sentence.startswith("3 of the 10 best cells of adamw lie at the largest λ")
    assert "--panel adamw --side lambda-high" in command


def test_verdict_lines_name_each_panel(valley: Store):
    adam, adamw = verdict_lines(valley, "valley")
    assert adam.startswith("adam: separable, tilt ")
    assert "one-at-a-time tuning costs " in adam
    assert adamw.startswith("adamw: cannot tell, ")


def test_sides_to_extend_are_those_with_edges_or_those_named(valley: Store):
    assert sides_to_extend(valley, "valley") == [("adamw", "lambda-high")]
    assert sides_to_extend(valley, "valley", panels=["adam"]) == []
    named = sides_to_extend(valley, "valley", sides=["alpha-low"])
    assert named == [("adam", "alpha-low"), ("adamw", "alpha-low")]
    with pytest.raises(SpecError, match="no panel 'sgd'"):
        sides_to_extend(valley, "valley", panels=["sgd"])


def test_nobody_knows_the_edges_of_an_unfinished_study(store: Store):
    fill(store, valley_study(), chunks=3)
    with pytest.raises(UsageError, match="30 of 360 cells are finished"):
        sides_to_extend(store, "valley")
    assert sides_to_extend(store, "valley", sides=["alpha-high"], panels=["adam"]) != []


def test_lines_look_at_as_many_best_cells_as_the_figure_circles(valley: Store):
    sentence, _ = edge_lines(valley, "valley", top=1)
    assert sentence.startswith("the best cell of adamw lies at the largest λ")
    assert edge_lines(valley, "valley", ["adam"]) == edge_lines(valley, "valley", top=0) == []


def go(store: Store, error, further: Further) -> tuple[list[str], list[int]]:
    """Fill what is new by `error` instead of training; what was told, and the rounds left."""
    told: list[str] = []
    left: list[int] = []

    def train(study, rounds_left: int) -> None:
        fill(store, study, error, noise=0.0)
        left.append(rounds_left)

    go_beyond_borders(store, "valley", further, train, told.append)
    return told, left


def test_rounds_end_when_no_best_cell_lies_on_a_border(store: Store):
    """The optimum lies two octaves beyond the grid: two rounds of two values find it inside."""

    def error(panel: str, cell) -> float:
        return 2 + 0.2 * (np.log2(cell.alpha / 0.01) ** 2 + np.log2(cell.lambda_ / 0.032) ** 2)

    study = valley_study(seeds=1, pairs=("adamw",))
    grid = study.panels[0].grid
    study = study.change_panels(**{"lambda": Axis(values=grid.lambda_.positive)})
    fill(store, study, error, noise=0.0)
    told, left = go(store, error, Further(5))
    says = "round 1 of 5: best cells lie on a border: extending adamw lambda-high"
    assert told[0] == says
    assert left == [4, 3, 2, 1][: len(left)]
    assert study_edges(store, "valley") == []
    assert go(store, error, Further(5)) == ([], [])


@pytest.mark.parametrize(
    "further", [Further(1, panels=["adam"]), Further(1, sides=["alpha-low"]), Further(0)]
)
def test_rounds_keep_to_the_panels_and_sides_that_are_named(valley: Store, further: Further):
    before = valley.study("valley")
    assert go(valley, cut_off, further) == ([], [])
    assert valley.study("valley") == before


def test_a_round_grows_what_is_named(valley: Store):
    before = valley.study("valley").panel("adamw").grid
    told, left = go(valley, cut_off, Further(1, 3, panels=["adamw"], sides=["lambda-high"]))
    assert (len(told), left) == (1, [0])
    after = valley.study("valley").panel("adamw").grid
    assert len(after.lambda_.values) == len(before.lambda_.values) + 3
    assert after.alpha == before.alpha


def test_rounds_end_by_their_number(store: Store):
    fill(store, valley_study(seeds=1, exponents=2), cut_off, noise=0.0)
    _, left = go(store, cut_off, Further(2))
    assert left == [1, 0]
