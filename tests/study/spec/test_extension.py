"""Grids and studies extended beyond a side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.study.errors import SpecError
from landscape_study.study.spec.extension import extended_study
from landscape_study.study.spec.grid import SIDES, Axis, Grid
from tests.conftest import make_study


@pytest.mark.parametrize(
    ("axis", "end", "expected"),
    [
        (Axis.log2(0.1, -3, 0), "high", Axis.log2(0.1, -3, 2)),
        (Axis.log2(0.1, -3, 0), "low", Axis.log2(0.1, -5, 0)),
        (Axis.log2(0.001, -3, 0, zero=True), "low", Axis.log2(0.001, -5, 0, zero=True)),
        (Axis(values=(0.5,)), "high", Axis(values=(0.5, 1.0, 2.0))),
        (Axis(values=(0.0, 0.5)), "low", Axis(values=(0.0, 0.125, 0.25, 0.5))),
        (Axis(values=(1.0, 3.0)), "high", Axis(values=(1.0, 3.0, 9.0, 27.0))),
        (Axis(values=(1.0, 3.0, 30.0)), "low", Axis(values=(1 / 9, 1 / 3, 1.0, 3.0, 30.0))),
    ],
)
def test_an_axis_goes_on_in_its_own_steps(axis: Axis, end, expected: Axis):
    assert axis.extended(end, 2).values == pytest.approx(expected.values, rel=1e-15)
    assert axis.extended(end, 2).base == axis.base


@given(
    base=st.floats(1e-6, 1e3),
    first=st.integers(-20, 20),
    length=st.integers(1, 12),
    steps=st.integers(1, 6),
    end=st.sampled_from(["low", "high"]),
)
def test_powers_of_two_stay_exact(base: float, first: int, length: int, steps: int, end):
    """So that a study file goes on writing them as `log2`, and growing twice is growing once."""
    axis = Axis.log2(base, first, first + length)
    last = (first - steps, first + length) if end == "low" else (first, first + length + steps)
    longer = axis.extended(end, steps)
    assert longer == Axis.log2(base, *last)
    assert "log2" in longer.to_toml()
    assert axis.extended(end, 1).extended(end, steps) == axis.extended(end, steps + 1)


@pytest.mark.parametrize(
    ("axis", "end", "steps", "message"),
    [
        (Axis(values=(0.0,)), "high", 1, "0 alone has no next value"),
        (Axis.log2(1, 190, 199), "high", 2, "2 more values beyond .* take fewer steps"),
        (Axis.log2(1, -200, -199), "low", 1, "1 more values beyond"),
        (Axis(values=(1e-300, 1e-100)), "low", 1, "leave what numbers can hold"),
        (Axis(values=(1e100, 1e300)), "high", 1, "leave what numbers can hold"),
    ],
)
def test_where_nothing_lies_beyond(axis: Axis, end, steps: int, message: str):
    with pytest.raises(SpecError, match=message):
        axis.extended(end, steps)


@pytest.mark.parametrize("side", SIDES)
def test_a_grid_grows_on_one_side_only(side: str):
    grid = Grid(alpha=Axis.log2(0.1, -2, 0), lambda_=Axis.log2(0.001, -2, 0, zero=True))
    longer = grid.extended(side, 1)
    assert set(grid.cells()) < set(longer.cells())
    grown, same = (
        (longer.alpha, longer.lambda_ == grid.lambda_)
        if side.startswith("alpha")
        else (longer.lambda_, longer.alpha == grid.alpha)
    )
    assert same
    assert len(grown.positive) == 4


def test_an_unknown_side():
    grid = make_study().panels[0].grid
    with pytest.raises(SpecError, match="unknown side 'up': choose one of alpha-low, alpha-high"):
        grid.extended("up", 1)


def test_a_study_grows_by_its_panels_sides():
    study = make_study()
    grown = extended_study(study, [("sgd", "alpha-high"), ("sgd", "lambda-low")], steps=1)
    assert grown.panel("adamw") == study.panel("adamw")
    assert grown.panel("sgd").grid.alpha.values == pytest.approx((0.05, 0.1, 0.2))
    assert grown.panel("sgd").grid.lambda_.values == pytest.approx((0, 0.0001, 0.001, 0.01))
    assert study.merge(grown, "x.db") == grown
    assert extended_study(study, []) == study


def test_errors_name_study_and_panel():
    study = make_study()
    with pytest.raises(SpecError, match="study 'small', panel 'sgd', unknown side 'up'"):
        extended_study(study, [("sgd", "up")])
    with pytest.raises(SpecError, match="study 'small' has no panel 'adam'"):
        extended_study(study, [("adam", "alpha-low")])


def test_a_side_named_twice_grows_once():
    study = make_study()
    once = extended_study(study, [("sgd", "alpha-low")])
    assert extended_study(study, [("sgd", "alpha-low")] * 2) == once
