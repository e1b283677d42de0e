"""Cells beside the grid of a panel: in study files, and where studies grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.study.errors import SpecError
from landscape_study.study.spec.extension import extended_study, refined_study
from landscape_study.study.spec.grid import Axis, Cell, Grid
from landscape_study.study.spec.study import Study

TPE = {"sampler": "tpe", "trials": 10}


def study(*extra, **panel) -> Study:
    """AdamW on 3 × 3 cells, and these beside them."""
    grid = {"alpha": [0.1, 0.2, 0.4], "lambda": [0, 0.001, 0.002]}
    own = {"pair": "adamw", "extra_cells": [list(cell) for cell in extra]}
    fields = {"name": "mine", "task": "digits", "seeds": 2, "panel": [grid | own | panel]}
    return Study.from_dict(fields, "mine.toml")


def cells(*pairs) -> tuple[Cell, ...]:
    return tuple(Cell(*pair) for pair in pairs)


def test_they_join_those_of_the_grid():
    whole = study((0.15, 0.001), (0.1, 0.0015))
    (panel,) = whole.panels
    assert len(panel.cells()) == panel.at_once(2) == panel.grid.size == 11
    assert whole.trainings(panel) == 22
    assert list(panel.cells()) == sorted(panel.cells())
    assert panel.holds(Cell(0.15, 0.001))
    assert not panel.holds(Cell(0.15, 0.0015))
    assert panel.grid.lines.alpha.values == (0.1, 0.15, 0.2, 0.4)
    assert panel.grid.lines.lambda_.values == (0, 0.001, 0.0015, 0.002)


def test_what_finished_cells_depend_on_is_the_same():
    assert study((0.15, 0.001)).panels[0].settings() == study().panels[0].settings()


def test_beside_what_a_sampler_asks_for_they_are_trained_first():
    whole = study((0.1, 0.001), (0.15, 0), design=TPE)
    (panel,) = whole.panels
    assert panel.cells() == cells((0.1, 0.001), (0.15, 0))
    assert whole.trainings(panel) == 14
    assert panel.at_once(2) == 2


def test_those_of_the_grid_are_no_other_cells():
    assert study((0.1, 0.001), (0.15, 0.001)).panels[0].grid.extra == cells((0.15, 0.001))


@pytest.mark.parametrize("design", ["grid", TPE])
def test_the_file_gives_them_again_a_line_each(design):
    mine = study((0.15, 0.001), (0.1, 0.0015), design=design)
    text = mine.to_toml()
    assert "extra_cells = [\n    [0.1, 0.0015],\n    [0.15, 0.001],\n]\n" in text
    assert Study.from_toml(text, "again") == mine
    assert mine.change_panels(epochs=3).panels[0].grid == mine.panels[0].grid
    assert "extra_cells" not in study().to_toml()


@given(st.lists(st.tuples(st.floats(0.1, 0.4), st.floats(0.001, 0.002)), max_size=5, unique=True))
def test_any_of_them_survive_the_file(pairs):
    mine = study(*pairs)
    assert Study.from_toml(mine.to_toml(), "again") == mine


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([[0.15, 0.001], [0.15, 0.001]], r"\[0.15, 0.001\] stands there more than once"),
        ([[0.5, 0.001]], r"\[0.5, 0.001\] lies beyond the axes: give cells between their ends"),
        ([[0.15, -1]], "lies beyond the axes"),
        ([[float("nan"), 0.001]], "lies beyond the axes"),
        ([[0.15, float("inf")]], "lies beyond the axes"),
        (3, r"3 is no list of cells such as \[\[0.05, 0.001\], \[0.1, 0\]\]"),
        ([[0.15]], r"\[0.15\] is no cell: give α and λ"),
        ([0.15], "0.15 is no cell: give α and λ"),
        ([["a", 0.001]], "is no cell: give α and λ"),
        ([[0.15, True]], "is no cell: give α and λ"),
        ([[10**400, 0.001]], "beyond any number: give α and λ"),
        ([[0.1 + i / 5000, 0.001] for i in range(1, 1000)], "more than 1000: give fewer"),
    ],
)
def test_a_slip_is_told(extra, message: str):
    with pytest.raises(SpecError, match=f"mine.toml: panel 1, extra_cells: .*{message}"):
        study(extra_cells=extra)


def test_without_a_lambda_of_zero_there_is_none_beside_the_grid():
    with pytest.raises(SpecError, match="lies beyond the axes"):
        study((0.15, 0), **{"lambda": [0.001, 0.002]})


class TestGrowth:
    def test_two_studies_have_the_cells_of_both(self):
        merged = study((0.15, 0.001)).merge(study((0.15 * (1 + 1e-12), 0.001), (0.3, 0.001)), "db")
        assert merged.panels[0].grid.extra == cells((0.15, 0.001), (0.3, 0.001))

    def test_the_same_study_as_before_keeps_them(self):
        mine = study((0.15, 0.001))
        assert mine.merge(study(), "db") == mine

    def test_a_finer_grid_takes_them_in(self):
        finer = study((0.15, 0.001), (0.15, 0.0015)).merge(study(alpha=[0.15, 0.2]), "db")
        assert finer.panels[0].grid.extra == cells((0.15, 0.0015))
        assert len(finer.panels[0].cells()) == 13

    def test_a_sampler_goes_on_beside_them(self):
        merged = study((0.15, 0.001)).merge(study(design=TPE), "db")
        assert merged.panels[0].cells() == cells((0.15, 0.001))
        assert merged.panels[0].sampled is not None

    def test_beyond_a_side_they_stay(self):
        longer = extended_study(study((0.15, 0.001)), [("adamw", "alpha-high")], 1)
        assert longer.panels[0].grid.extra == cells((0.15, 0.001))
        assert longer.panels[0].grid.alpha.values == (0.1, 0.2, 0.4, 0.8)

    def test_refined_it_has_more_of_them(self):
        once = refined_study(study(), {"adamw": cells((0.15, 0.001))})
        twice = refined_study(once, {"adamw": cells((0.3, 0.001), (0.15, 0.001))})
        assert twice.panels[0].grid.extra == cells((0.15, 0.001), (0.3, 0.001))
        with pytest.raises(SpecError, match="has no panel 'sgd'"):
            refined_study(once, {"sgd": cells((0.3, 0.001))})
        with pytest.raises(SpecError, match="lies beyond the axes"):
            refined_study(once, {"adamw": cells((0.8, 0.001))})


class TestTrials:
    """Of samplers, in proportion to what they may ask for."""

    def test_of_one_that_keeps_to_the_grid_by_its_cells(self):
        design = {"sampler": "verdict", "trials": 30, "until": 90.0}
        mine = study(design=design, **{"lambda": [0, 0.001, 0.002, 0.004]})
        grown = extended_study(mine, [("adamw", "alpha-high")], 2).panels[0]
        assert grown.sampled is not None
        assert grown.sampled.trials == 50  # of 12 and 20 cells
        assert grown.sampled.until == 90

    def test_of_another_by_octaves_between_the_ends(self):
        mine = study(design=TPE, alpha=[0.1, 0.8], **{"lambda": [0.001, 0.008]})
        grown = extended_study(mine, [("adamw", "alpha-low")], 2).panels[0]
        assert grown.grid.alpha.values == (0.05946, 0.07711, 0.1, 0.8)  # 3/8 of an octave each
        assert grown.sampled is not None
        assert grown.sampled.trials == 12  # 4 octaves, then 4.75
        again = extended_study(mine.change(panels=(grown,)), [("adamw", "alpha-low")], 1)
        assert again.panels[0].grid.alpha.values[0] == 0.04585  # in the same steps

    def test_one_value_goes_on_in_octaves(self):
        mine = study(design=TPE, alpha=[0.1])
        grown = extended_study(mine, [("adamw", "alpha-high")], 2).panels[0]
        assert grown.grid.alpha.values == (0.1, 0.2, 0.4)
        assert grown.sampled is not None
        assert grown.sampled.trials == 30

    def test_never_more_than_there_may_be(self):
        mine = study(design={"sampler": "tpe", "trials": 999_999})
        grown = extended_study(mine, [("adamw", "alpha-high")], 2).panels[0]
        assert grown.sampled is not None
        assert grown.sampled.trials == 1_000_000


def test_a_grid_knows_its_own_values():
    axis = Axis(values=(0.0, 0.1, 0.2))
    assert axis.own(0.1 * (1 + 1e-12)) == 0.1
    assert axis.own(0.15) == 0.15
    assert axis.own(0.0) == 0.0
    grid = Grid(alpha=Axis(values=(0.1, 0.2)), lambda_=axis)
    assert grid.with_extra(cells((0.15, 0.1))).alone == grid
    assert grid.lines == grid
