"""Refined grids in the statistics: values between their cells, and what is read off them."""

from __future__ import annotations

import numpy as np
import pytest

from landscape_study.landscapes.statistics.comparison import compare
from landscape_study.landscapes.statistics.defaults import default_cost, defaults
from landscape_study.landscapes.statistics.filling import filling
from landscape_study.landscapes.statistics.interpolation import panel_surface
from landscape_study.landscapes.statistics.optimum import optimum
from landscape_study.landscapes.statistics.separability import separability
from landscape_study.landscapes.statistics.units import joint_units
from landscape_study.study.spec.grid import Axis, Cell, Grid
from landscape_study.study.spec.metric import SPAN, Metric
from tests.landscapes.refined import (
    GRID,
    bowl,
    refined_frame,
    refined_grid,
    refined_landscape,
)

nan = float("nan")
X = np.array([0.0, 0.5, 1.0, 2.0])
CELLS = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 1]], dtype=bool)  # λ at 0, 1, 2
OF_GRID = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1], [1, 0, 1]], dtype=bool)
Y = np.array([0.0, 1.0, 2.0])


class TestFilling:
    def test_along_lambda_on_the_lines_of_the_grid_then_along_alpha(self):
        fill = filling(CELLS, OF_GRID, X, Y)
        assert fill is not None
        values = np.where(CELLS, [[0, 5, 2], [7, 8, nan], [4, nan, 8], [0, nan, 1]], nan)
        assert fill(values).tolist() == [[0, 5, 2], [7, 8, 5], [4, 6, 8], [0, 0.5, 1]]
        assert np.isnan(values[1, 2])  # left as they are
        assert fill(np.stack([values, values])).shape == (2, 4, 3)
        assert fill.of_grid(values).tolist() == [[0, 2], [4, 8], [0, 1]]

    def test_a_plane_is_a_plane(self):
        plane = 3 * X[:, None] - 2 * Y + 1
        fill = filling(CELLS, OF_GRID, X, Y)
        assert fill is not None
        assert fill(np.where(CELLS, plane, nan)) == pytest.approx(plane)

    def test_beside_what_is_lost_nothing_is_known(self):
        fill = filling(CELLS, OF_GRID, X, Y)
        assert fill is not None
        lost = fill(np.where(CELLS, [[0, 5, 2], [7, 8, 0], [nan, 0, 8], [0, 0, np.inf]], nan))
        assert np.isnan(lost[2, 1])
        assert np.isinf(lost[3, 1])

    @pytest.mark.parametrize("hole", [(0, 0), (2, 2)])
    def test_a_grid_with_a_hole_is_none(self, hole):
        of_grid = OF_GRID.copy()
        of_grid[hole] = False
        assert filling(CELLS, of_grid, X, Y) is None


class TestSeparability:
    @pytest.mark.parametrize("seeds", [1, 3])
    def test_numbers_are_about_those_of_the_grid(self, seeds: int):
        """Twice refined; those that compare single cells are the grid's own."""
        grid = refined_grid(refined_grid(), 0.25)
        frame = refined_frame(grid, seeds=seeds, noise=0.05)
        whole, alone = separability(frame), separability(frame[~frame["extra"]])
        assert whole.tilt.value == pytest.approx(alone.tilt.value, abs=0.1)
        for name in ("interaction", "product", "regret", "worst_regret"):
            assert getattr(whole, name).value == getattr(alone, name).value
        assert whole.cells == 25 + 16
        assert whole.best <= alone.best

    def test_units_are_those_of_the_grid(self):
        loss = Metric("test_error", "loss")
        frame = refined_frame(refined_grid())
        whole, alone = separability(frame, loss), separability(frame[~frame["extra"]], loss)
        assert whole.units == alone.units
        fields = (refined_landscape(refined_grid()), refined_landscape(GRID))
        whole_units, alone_units = (joint_units([field]) for field in fields)
        assert whole_units == alone_units

    @pytest.mark.parametrize(
        ("slope", "first", "verdict", "tilt"),
        [(-1.0, "order", "coupled", -0.856), (0.0, None, "separable", 0.0)],
    )
    def test_a_basin_too_narrow_for_the_grid_is_told_once_it_is_refined(
        self, slope: float, first: str | None, verdict: str, tilt: float
    ):
        """At the middle of four cells; steep, so that few cells of octaves are good."""

        def steep(cell: Cell) -> float:
            x, y = np.log2(cell.alpha / 0.03), np.log2(cell.lambda_ / 0.0009)
            return float(2 + 0.8 * x * x + 2.2 * (y - slope * x) ** 2)

        grid = Grid(alpha=Axis.log2(0.1, -5, 2), lambda_=Axis.log2(0.001, -4, 3))
        coarse = refined_frame(grid, steep, seeds=2, noise=0.02)
        assert separability(coarse).rule == first
        ways = np.arange(-2, 2.1, 0.5)
        around = [Cell(0.025 * 2**x, 0.001 * 2**y) for x in ways for y in ways]
        grid = grid.with_extra(cell for cell in around if not grid.has(cell))
        found = separability(refined_frame(grid, steep, seeds=2, noise=0.02))
        assert (found.verdict, found.rule) == (verdict, "tilt")
        assert found.tilt.value == pytest.approx(tilt, abs=0.03)

    def test_a_sparse_grid_with_cells_beside_it_is_read_as_scattered(self):
        frame = refined_frame(refined_grid(), noise=0.02)
        sparse = frame.drop(index=frame.index[(~frame["extra"]) & (frame["lambda"] > 0)][::3])
        seen = panel_surface(sparse, span=SPAN)
        assert seen.is_interpolated
        assert not panel_surface(frame, span=SPAN).is_interpolated

    def test_an_unfinished_cell_is_missing(self):
        frame = refined_frame(refined_grid(), seeds=1)
        frame.loc[frame["extra"].idxmax(), "state"] = "open"
        seen = panel_surface(frame, span=SPAN)
        assert np.isnan(seen.error).sum() >= 1
        assert seen.observed[0] == 25 + 7


def test_a_panel_compared_with_the_refined_one_shares_its_grid():
    one = refined_frame(GRID, noise=0.02)
    found = compare(one, refined_frame(refined_grid(), noise=0.02))
    assert found.common == 25


def test_the_middle_of_the_basin_and_what_defaults_cost():
    frame = refined_frame(refined_grid(), seeds=2, noise=0.01)
    found = optimum(frame)
    assert found.alpha.value == pytest.approx(np.log2(0.025), abs=0.1)
    assert found.lambda_.value == pytest.approx(np.log2(0.001), abs=0.1)
    none, torch = (default_cost(frame, one) for one in defaults("adamw"))
    assert none.value == pytest.approx(7, abs=0.1)
    expected = min(bowl(Cell(alpha, 0.01 * alpha)) for alpha in 0.1 / 2 ** np.arange(0, 4.1, 0.5))
    assert torch.value == pytest.approx(expected - 2, abs=0.4)
