"""Comparisons of two panels, and how the optimum moves between them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from landscape_study.landscapes.reading.landscape import landscape
from landscape_study.landscapes.reading.panels import PanelData, alike
from landscape_study.landscapes.reference import reference_frame, reference_panels
from landscape_study.landscapes.statistics.comparison import compare, ranks
from landscape_study.landscapes.statistics.optimum import moves, optimum
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.study import Axis, Panel

EXPONENTS = np.arange(-5.0, 6.0)


def valley(
    *, a=0.1, b=0.0, c=0.1, shift=(0.0, 0.0), best=2.0, noise=0.1, seeds=3, seed=0, panel="adamw"
) -> pd.DataFrame:
    """Cells of best + a·x² + 2·b·x·y + c·y² about `shift`, x = log2 α and y = log2 λ."""
    rng = np.random.default_rng(seed)
    rows = []
    for x in EXPONENTS:
        for y in EXPONENTS:
            dx, dy = x - shift[0], y - shift[1]
            error = best + a * dx**2 + 2 * b * dx * dy + c * dy**2
            rows += [(2.0**x, 2.0**y, s, error + noise * rng.normal()) for s in range(seeds)]
    frame = pd.DataFrame(rows, columns=["alpha", "lambda", "seed", "test_error"])
    return frame.assign(panel=panel, study="mine", state="finished", diverged=False)


def holds(estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def test_two_draws_of_one_surface_do_not_differ():
    found = compare(valley(seed=1), valley(seed=2))
    for name in ("best", "tilt", "drift", "interaction", "regret"):
        assert holds(getattr(found, name), 0.0), name
    assert found.common == 121
    assert found.rank.value > 0.9
    assert found.transfer.low == 0
    assert found.shared_top >= 5


def test_a_better_and_tilted_panel_differs_in_just_that():
    found = compare(valley(best=3.0), valley(best=2.0, b=0.08, seed=1))
    assert found.best.high < -0.5
    assert found.tilt.high < -0.4  # 2·b·x·y with b > 0: a falling diagonal
    assert found.drift.high < -0.4
    assert holds(found.best, -1.0)


def test_differences_change_sign_with_the_order():
    one, other = valley(), valley(b=0.08, best=2.5, seed=1)
    there, back = compare(one, other), compare(other, one)
    for name in ("best", "tilt", "drift", "interaction", "regret"):
        assert getattr(there, name).value == pytest.approx(-getattr(back, name).value), name
    assert there.rank.value == pytest.approx(back.rank.value)
    assert there.shared_top == back.shared_top


def test_a_cheap_landscape_that_predicts_nothing():
    dear = valley(shift=(3, 3))
    found = compare(valley(shift=(-3, -3), seed=1), dear)
    assert found.rank.value < 0
    assert holds(found.transfer, 0.1 * 36 * 2)
    assert found.shared_top == 0


def test_only_common_cells_are_ranked():
    one, other = valley(), valley(seed=1)
    other = other[(other["alpha"] > 1) & (other["lambda"] < 1)]
    assert compare(one, other).common == 25


def test_grids_without_a_common_cell_have_statistics_but_no_ranks():
    one, other = valley(), valley(seed=1)
    other["alpha"] *= 1.1
    found = compare(one, other)
    assert found.common == 0
    assert math.isnan(found.rank.value)
    assert math.isnan(found.transfer.value)
    assert found.shared_top == 0
    assert holds(found.tilt, 0.0)


def test_normalized_and_raw_lambda_have_statistics_but_no_ranks():
    """0.001 as λ_norm is another λ than 0.001."""
    one, other = valley().assign(normalized=False), valley(seed=1).assign(normalized=True)
    found = compare(one, other)
    assert found.common == 0
    assert math.isnan(found.rank.value)
    assert holds(found.tilt, 0.0)
    assert compare(other, other).common == compare(valley(), one).common == 121


def test_diverged_cells_share_the_last_rank():
    one, other = valley(), valley(seed=1)
    for frame in (one, other):
        frame.loc[(frame["alpha"] > 8) & (frame["lambda"] > 4), "diverged"] = True
    assert compare(one, other).rank.value > 0.9


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda f: f.iloc[:0], id="empty"),
        pytest.param(lambda f: f[f["alpha"] == 1], id="one row"),
        pytest.param(lambda f: f.assign(diverged=True), id="all diverged"),
        pytest.param(lambda f: f.assign(state="open"), id="nothing finished"),
        pytest.param(lambda f: f[f["seed"] == 0], id="one seed"),
    ],
)
def test_spoiled_panels_compare_without_a_traceback(spoil):
    good = valley()
    for found in (compare(good, spoil(valley(seed=1))), compare(spoil(valley(seed=1)), good)):
        assert found.common >= 0
        for estimate in (found.best, found.tilt, found.rank, found.transfer):
            assert math.isnan(estimate.low) == math.isnan(estimate.high)


def test_ranks_are_those_of_scipy():
    values = np.random.default_rng(0).integers(0, 5, (3, 4, 9)).astype(float)
    values[0, 0, 3:5] = np.inf
    np.testing.assert_array_equal(ranks(values), rankdata(values, axis=-1))
    np.testing.assert_array_equal(ranks(np.zeros((2, 1))), np.ones((2, 1)))


def test_the_papers_panels_differ_as_the_paper_says():
    cells = reference_frame("fig2")
    sgd, sgdw, adam, adamw = (cells[cells["pair"] == p] for p in ("sgd", "sgdw", "adam", "adamw"))
    for coupled, separable in ((sgd, sgdw), (adam, adamw)):
        found = compare(coupled, separable)
        assert found.tilt.low > 0.5  # from a falling diagonal to upright
        assert found.drift.low > 0.5
    assert compare(adam, adamw).best.high < -0.5  # AdamW is better by a point
    assert holds(compare(sgd, sgdw).best, 0.0)  # SGDW is not


# ---- where the optimum lies, and how it moves -------------------------------------------------


def test_the_optimum_is_where_the_valley_is():
    found = optimum(valley(shift=(1.5, -2.25)))
    assert holds(found.alpha.estimate(), 1.5)
    assert holds(found.lambda_.estimate(), -2.25)
    assert abs(found.alpha.value - 1.5) < 0.3


def test_no_optimum_where_all_diverged():
    found = optimum(valley().assign(diverged=True))
    assert math.isnan(found.alpha.value)
    assert math.isnan(found.alpha.estimate().low)


def panel_data(cells: pd.DataFrame, **settings) -> PanelData:
    axis = Axis(values=tuple(2.0**EXPONENTS))
    grid = {"alpha": axis, "lambda": axis}
    panel = Panel.model_validate({"pair": "adamw", "name": cells["panel"][0]} | settings | grid)
    return PanelData(panel.name, landscape(cells, panel), cells, panel)


def budgets(normalized: bool, shift: float) -> list[PanelData]:
    return [
        panel_data(valley(panel="short"), epochs=25, normalized=normalized),
        panel_data(
            valley(panel="long", shift=(0, shift), seed=1), epochs=100, normalized=normalized
        ),
    ]


def test_longer_budgets_move_raw_and_normalized_lambda_apart_by_an_octave():
    """λ = λ_norm·√(b/(B·T)): four times the epochs halve λ at the same λ_norm."""
    (found,) = moves(budgets(normalized=False, shift=-1.0))
    assert (found.origin, found.panel) == ("short", "long")
    assert holds(found.alpha, 0.0)
    assert holds(found.raw_lambda, -1.0)
    assert holds(found.normalized_lambda, 0.0)
    assert found.normalized_lambda.value == pytest.approx(found.raw_lambda.value + 1)
    (found,) = moves(budgets(normalized=True, shift=0.0))
    assert holds(found.normalized_lambda, 0.0)
    assert found.raw_lambda.value == pytest.approx(found.normalized_lambda.value - 1)


def test_under_warm_restarts_raw_and_normalized_cannot_be_converted():
    restarts = {"kind": "restarts", "t_0": 10}
    first = panel_data(valley(panel="cosine"), epochs=70)
    second = panel_data(valley(panel="restarts", seed=1), epochs=70, schedule=restarts)
    (found,) = moves([first, second])
    assert holds(found.raw_lambda, 0.0)
    assert math.isnan(found.normalized_lambda.value)
    assert math.isnan(found.normalized_lambda.low)


def test_pairs_move_on_their_own():
    panels = [
        panel_data(valley(panel="a"), epochs=10),
        panel_data(valley(panel="b"), pair="adam", epochs=10),
        panel_data(valley(panel="c"), epochs=20),
    ]
    assert [(move.origin, move.panel) for move in moves(panels)] == [("a", "c")]


# ---- which panels are compared ----------------------------------------------------------------


def test_panels_alike_differ_in_one_setting():
    cells = valley(seeds=1)

    def make(name: str, **settings) -> PanelData:
        return panel_data(cells.assign(panel=name), **{"epochs": 10} | settings)

    panels = [
        make("adam", pair="adam"),
        make("adamw"),
        make("adamw-long", epochs=20),
        make("adam-step", pair="adam", schedule="step"),
        make("sgd", pair="sgd"),
    ]
    pairs = [(one.name, other.name) for one, other in alike(panels)]
    assert pairs == [("adam", "adamw"), ("adam", "adam-step"), ("adamw", "adamw-long")]


def test_reference_panels_by_pair():
    (found,) = reference_panels("fig2", ["adamw"])
    assert found.name == "fig2/adamw"
    assert len(found.cells) == found.landscape.error.size == 121
    with pytest.raises(UsageError, match="no panel of adamw-torch: it has sgd, sgdw, adam, adamw"):
        reference_panels("fig2", ["adamw-torch"])
