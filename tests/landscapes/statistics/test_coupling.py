import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from landscape_study.landscapes.statistics.coupling import (
    drift,
    interaction,
    regret,
    regrets,
    tilt,
    weights,
    widths,
    worst_regret,
)
from landscape_study.landscapes.statistics.surface import BASIN
from tests.landscapes.surfaces import (
    OCTAVES,
    inf,
    nan,
    plain_drift,
    plain_interaction,
    plain_regrets,
    plain_tilt,
    quadratic,
    valley,
    valley_form,
)

SPAN, TAU = 3.0, 0.25
ANGLES = [-60, -45, -20, 0, 10, 20, 45, 70, 90]


def four(error, x=OCTAVES, y=OCTAVES, span=SPAN, tau=TAU) -> np.ndarray:
    """Tilt, drift, interaction and the regrets, [..., 5]."""
    found = (
        tilt(error, x, y, span=span, tau=tau),
        drift(error, x, y, span=span, tau=tau),
        interaction(error, span=span),
        regret(error),
        worst_regret(error),
    )
    return np.stack(found, axis=-1)


@st.composite
def axes(draw: st.DrawFn, size: int) -> np.ndarray:
    """Values in octaves, the steps unequal."""
    steps = draw(st.lists(st.sampled_from([0.5, 1, 1.5, 2]), min_size=size, max_size=size))
    return np.cumsum(steps) + draw(st.integers(-12, 3))


@st.composite
def surfaces(draw: st.DrawFn, holes: tuple[float, ...] = (nan, inf)) -> tuple[np.ndarray, ...]:
    """Errors in sixteenths, so that sums are exact and ties happen; α, λ in octaves."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6))
    errors = st.integers(0, 80).map(lambda n: n / 16)
    cells = st.one_of(errors, errors, errors, st.sampled_from(holes)) if holes else errors
    return (
        draw(arrays(float, shape, elements=cells)),
        draw(axes(shape[0])),
        draw(axes(shape[1])),
    )


class TestAgainstPlainLoops:
    @given(surfaces(), st.sampled_from([0.5, 3.0, 20.0]), st.sampled_from([0.05, 0.25, 2.0]))
    def test_tilt_and_drift(self, made, span, tau):
        error, x, y = made
        for fast, plain in ((tilt, plain_tilt), (drift, plain_drift)):
            found = fast(error, x, y, span=span, tau=tau)
            expected = plain(error.tolist(), x.tolist(), y.tolist(), span, tau)
            assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)

    @given(surfaces(), st.sampled_from([0.5, 3.0, 20.0]))
    def test_interaction(self, made, span):
        error, _, _ = made
        found, expected = interaction(error, span=span), plain_interaction(error.tolist(), span)
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)

    @given(surfaces())
    def test_regrets(self, made):
        error, _, _ = made
        costs = plain_regrets(error.tolist())
        found = regrets(error)
        assert found[~np.isnan(found)].tolist() == costs
        assert regret(error) == pytest.approx(
            sum(costs) / len(costs) if costs else nan, nan_ok=True
        )
        assert worst_regret(error) == pytest.approx(max(costs, default=nan), nan_ok=True)

    @given(surfaces(), st.integers(1, 4), st.integers(0, 9))
    def test_many_at_once_are_as_one_by_one(self, made, count, seed):
        error, x, y = made
        many = error + np.random.default_rng(seed).integers(0, 9, (count, *error.shape)) / 16
        one_by_one = [four(one, x, y) for one in many]
        np.testing.assert_allclose(four(many, x, y), one_by_one, rtol=1e-9, atol=1e-9)
        assert four(many[:0], x, y).shape == (0, 5)


class TestKnownAnswers:
    @pytest.mark.parametrize("degrees", ANGLES)
    def test_tilt_of_a_valley(self, degrees):
        a, b, c = valley_form(degrees, long=0.15)
        wide = np.arange(-12.0, 12.1, 0.5)
        found = tilt(quadratic(a, b, c, wide, wide), wide, wide, span=SPAN, tau=TAU)
        assert found == pytest.approx(-b / math.sqrt(a * c), abs=1e-3)

    @pytest.mark.parametrize("degrees", [-30, 0, 10, 20, 30, 45])
    def test_drift_of_a_valley(self, degrees):
        _, b, c = valley_form(degrees)
        y = np.arange(-12.0, 12.1, 0.5)
        found = drift(valley(degrees, y=y), OCTAVES, y, span=SPAN, tau=TAU)
        assert found == pytest.approx(-b / c, abs=0.005)

    @pytest.mark.parametrize("off", [(0, 0), (0.3, -0.2), (0.5, 0.5)])
    @pytest.mark.parametrize("degrees", ANGLES)
    def test_a_grid_as_users_have_it_is_nearly_right(self, degrees, off):
        a, b, c = valley_form(degrees)
        found = tilt(valley(degrees, off=off), OCTAVES, OCTAVES, span=SPAN, tau=TAU)
        assert found == pytest.approx(-b / math.sqrt(a * c), abs=0.05)

    def test_additive_surfaces(self):
        f, g = np.array([0.0, 0.5, 0.1, 1]), np.array([0.7, 0, 0.3])
        x, y = np.arange(4.0), np.arange(3.0)
        found = four(10 + f[:, None] + g, x, y)
        np.testing.assert_allclose(found[0], 0, atol=1e-4)  # the end at the span is no product
        np.testing.assert_allclose(found[1:], 0, atol=1e-9)

    def test_additive_bowls_that_the_span_cuts(self):
        found = interaction(quadratic(0.3, 0, 0.5), span=SPAN)
        assert found == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("k", [-0.02, 0.01, 0.05])
    def test_interaction_of_a_bilinear_term(self, k):
        error = quadratic(0.02, k / 2, 0.03)
        squares = (OCTAVES**2).sum()
        of_axis = ((OCTAVES**2 - (OCTAVES**2).mean()) ** 2).sum() * 11
        share = k**2 * squares**2 / (k**2 * squares**2 + (0.02**2 + 0.03**2) * of_axis)
        assert interaction(error, span=50) == pytest.approx(share, abs=1e-9)

    def test_interaction_of_a_product(self):
        f, g = np.array([1.0, 1.5, 3]), np.array([1, 1.2, 1.4, 2])
        within = np.outer(f - f.mean(), g - g.mean())
        z = np.outer(f, g)
        share = (within**2).sum() / ((z - z.mean()) ** 2).sum()
        assert interaction(z, span=10) == pytest.approx(share)

    @pytest.mark.parametrize(
        ("error", "costs"),
        [
            ([[0, 1], [1, 2]], [0, 0]),
            ([[0, 3], [2, 1]], [0, 1]),
            ([[0, 9, 9], [9, 1, 9], [9, 9, 2]], [0, 1, 2]),  # a diagonal valley keeps the start
            ([[0, nan], [nan, 2], [nan, nan], [inf, inf]], [0, 2, nan, nan]),
            ([[5, 5], [5, 4]], [1, 0]),  # a tie goes to the smaller λ
        ],
    )
    def test_regrets_by_hand(self, error, costs):
        error = np.array(error, dtype=float)
        np.testing.assert_array_equal(regrets(error), costs)
        assert regret(error) == np.nanmean(costs)
        assert worst_regret(error) == np.nanmax(costs)

    def test_nothing_to_measure(self):
        x = y = np.arange(3.0)
        for hole in (nan, inf):
            assert np.isnan(four(np.full((3, 3), hole), x, y)).all()

    def test_a_basin_in_one_row_has_no_tilt(self):
        error = np.full((4, 4), 20.0)
        error[1] = [5, 5.1, 5, 5.3]
        assert np.isnan(tilt(error, np.arange(4.0), np.arange(4.0), span=SPAN, tau=TAU))
        assert np.isnan(drift(error, np.arange(4.0), np.arange(4.0), span=SPAN, tau=TAU))

    def test_plateaus(self):
        """Cells at chance level around a valley, and a flat floor in it."""
        floor = np.maximum(valley(45), 5.2)
        for error in (np.minimum(floor, 10), np.minimum(floor, 90)):
            assert tilt(error, OCTAVES, OCTAVES, span=SPAN, tau=TAU) < -0.85
            assert drift(error, OCTAVES, OCTAVES, span=SPAN, tau=TAU) == pytest.approx(
                -0.9, abs=0.05
            )

    def test_bad_cells_do_not_outweigh_the_basin_under_a_large_tau(self):
        assert tilt(valley(45), OCTAVES, OCTAVES, span=SPAN, tau=1.5) < -0.85

    @pytest.mark.parametrize("degrees", [0, 20, 45])
    def test_missing_cells_move_them_little(self, degrees):
        error = valley(degrees)
        whole = four(error)[:3]
        gone = np.random.default_rng(0).random((20, *error.shape)) < 0.15
        found = four(np.where(gone, nan, error))[:, :3]
        assert (np.abs(found - whole) < [0.12, 0.1, 0.4]).all()

    def test_a_basin_at_the_edge_is_seen_in_part(self):
        error = valley(45, off=(5, -5))
        assert -0.9 < tilt(error, OCTAVES, OCTAVES, span=SPAN, tau=TAU) < -0.7


@pytest.mark.slow
class TestInvariance:
    @given(surfaces())
    def test_swapping_the_axes(self, made):
        error, x, y = made
        here, there = four(error, x, y), four(error.T, y, x)
        np.testing.assert_allclose(here[[0, 2]], there[[0, 2]], atol=1e-5)

    def test_swapping_the_axes_inverts_the_drift(self):
        a, b, c = 0.1, 0.05, 0.12
        y = np.arange(-12.0, 12.1, 0.5)
        for one, other in ((a, c), (c, a)):
            found = drift(quadratic(one, b, other, y, y), y, y, span=SPAN, tau=TAU)
            assert found == pytest.approx(-b / other, abs=0.005)

    @given(surfaces())
    def test_reversing_an_axis_changes_signs(self, made):
        error, x, y = made
        here, there = four(error, x, y), four(error[::-1], -x[::-1], y)
        np.testing.assert_allclose(there[:2], -here[:2], atol=1e-6)
        np.testing.assert_allclose(there[2:], here[2:], atol=1e-5)

    @given(surfaces(), st.integers(-64, 640))
    def test_shifting_the_error_changes_nothing(self, made, sixteenths):
        error, x, y = made
        np.testing.assert_array_equal(four(error + sixteenths / 16, x, y), four(error, x, y))

    @given(surfaces(), st.integers(-9, 9), st.integers(-9, 9))
    def test_other_units_change_nothing(self, made, right, up):
        error, x, y = made
        moved = four(error, x + right, y + up)
        np.testing.assert_allclose(moved, four(error, x, y), atol=1e-6)

    @given(surfaces(), st.sampled_from([nan, inf]))
    def test_rows_beyond_that_hold_nothing_change_nothing(self, made, hole):
        error, x, y = made
        x = np.arange(x.size + 2.0)  # equal steps: a neighbour changes no cell's share
        padded = np.pad(error, ((1, 1), (0, 0)), constant_values=hole)
        np.testing.assert_allclose(four(padded, x, y), four(error, x[1:-1], y), atol=1e-6)

    @given(surfaces())
    def test_how_bad_the_bad_cells_are_matters_to_regret_alone(self, made):
        error, x, y = made
        best, before = error[np.isfinite(error)].min(initial=inf), four(error, x, y)
        worse = four(np.where(error >= best + SPAN, inf, error), x, y)
        np.testing.assert_allclose(worse[[0, 2]], before[[0, 2]], atol=1e-9)
        worse = four(np.where(error >= best + BASIN + SPAN, inf, error), x, y)
        assert worse[1] == pytest.approx(before[1], abs=1e-9, nan_ok=True)

    @given(surfaces())
    def test_bounds(self, made):
        error, x, y = made
        found = np.nan_to_num(four(error, x, y))
        assert -1 <= found[0] <= 1
        assert 0 <= found[2] <= 1
        assert 0 <= found[3] <= found[4]

    @given(st.integers(-60, 60), st.sampled_from([0.5, 0.25]))
    def test_refining_the_grid(self, degrees, step):
        fine = np.arange(-5, 5.1, step)
        coarse = four(valley(degrees))
        found = four(valley(degrees, x=fine, y=fine), fine, fine)
        np.testing.assert_allclose(found[0], coarse[0], atol=0.06)
        np.testing.assert_allclose(found[1], coarse[1], atol=0.15)
        np.testing.assert_allclose(found[2], coarse[2], atol=0.15)

    @pytest.mark.parametrize("degrees", [0, 20, 45])
    def test_refining_a_part_of_the_grid(self, degrees):
        fine = np.concatenate([np.arange(-5.0, 0), np.arange(0, 5.1, 0.25)])
        even = four(valley(degrees))[:2]
        for x, y in ((fine, OCTAVES), (OCTAVES, fine)):
            found = four(valley(degrees, x=x, y=y), x, y)[:2]
            np.testing.assert_allclose(found, even, atol=0.06)


def test_widths_are_half_the_way_to_the_neighbours():
    np.testing.assert_array_equal(widths(np.array([0.0, 1, 3, 7])), [1, 1.5, 3, 4])
    np.testing.assert_array_equal(widths(np.array([5.0])), [1])
    assert widths(np.empty(0)).size == 0


def test_weights_fall_by_e_each_tau_and_end_at_the_span():
    error = np.array([[4.0, 4.25, 6.5, 7, 90, inf, nan]])
    found = weights(error, np.zeros(1), np.arange(7.0), span=SPAN, tau=TAU)
    end = math.exp(-12)
    expected = [1 - end, math.exp(-1) - end, math.exp(-10) - end, 0, 0, 0, 0]
    np.testing.assert_allclose(found, [expected], atol=1e-15)
