import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from landscape_study.landscapes.statistics.bootstrap import Estimate, Sample, draw, sample
from landscape_study.landscapes.statistics.surface import surface
from tests.landscapes.surfaces import frame_of, inf, nan, valley

numbers = st.floats(-100, 100)


class TestEstimate:
    @pytest.mark.parametrize(
        ("low", "high", "within", "beyond"),
        [
            (-0.4, 0.3, True, False),
            (-0.5, 0.3, False, False),
            (-0.3, 0.5, False, False),
            (-0.9, -0.5, False, True),
            (-0.9, -0.4, False, False),
            (0.5, 0.9, False, True),
            (0.4, 0.9, False, False),
            (-0.9, 0.9, False, False),
            (nan, nan, False, False),
        ],
    )
    def test_bounds(self, low, high, within, beyond):
        found = Estimate(0.0, low, high)
        assert found.lies_within(0.5) is within
        assert found.lies_beyond(0.5) is beyond
        assert found.has_interval is not math.isnan(low)

    def test_nothing_is_known_of_an_empty_one(self):
        assert not Estimate().has_interval
        assert math.isnan(Estimate().value)


class TestInterval:
    def test_of_an_unbiased_statistic_is_that_of_its_replicates(self):
        draws = np.arange(-100, 101) / 100
        found = Sample(0.0, draws).estimate()
        assert (found.value, found.low, found.high) == pytest.approx((0, -0.95, 0.95))

    def test_bias_widens_it_by_twice_its_size(self):
        """Replicates lie 0.3 above the value, so the truth lies about as far below."""
        draws = 1.3 + np.arange(-100, 101) / 1000
        found = Sample(1.0, draws).estimate()
        assert (found.low, found.high) == pytest.approx((1.3 - 0.095 - 0.6, 1.3 + 0.095))
        found = Sample(1.0, 2 - draws).estimate()
        assert (found.low, found.high) == pytest.approx((0.7 - 0.095, 0.7 + 0.095 + 0.6))

    def test_stays_within_the_bounds(self):
        found = Sample(0.1, np.linspace(0, 2, 50), bounds=(0, 1)).estimate()
        assert (found.low, found.high) == (0, 1)

    @pytest.mark.parametrize(("undefined", "known"), [(0, True), (5, True), (6, False)])
    @pytest.mark.parametrize("hole", [nan, inf])
    def test_some_replicates_may_be_undefined(self, undefined, known, hole):
        draws = np.where(np.arange(100) < undefined, hole, 1.0)
        found = Sample(1.0, draws).estimate()
        assert found.has_interval is known
        assert (found.low == found.high == 1.0) is known

    @pytest.mark.parametrize("one", [Sample(nan, np.ones(9)), Sample(1.0, np.empty(0))])
    def test_none(self, one):
        assert not one.estimate().has_interval

    @given(numbers, st.lists(numbers, min_size=1, max_size=50))
    @example(1.0, [0.0] * 49 + [100.0])  # their mean lies beyond their percentiles
    @example(-1.0, [0.0] * 49 + [-100.0])
    def test_holds_the_value(self, value, draws):
        found = Sample(value, np.array(draws)).estimate()
        assert found.low <= found.value <= found.high


class TestDifference:
    def test_of_values_and_draws(self):
        rng = np.random.default_rng(0)
        one, other = rng.normal(5, 0.3, 4000), rng.normal(2, 0.4, 5000)
        found = (Sample(5.0, one) - Sample(2.0, other)).estimate()
        assert found.value == 3
        assert (found.low, found.high) == pytest.approx((3 - 0.98, 3 + 0.98), abs=0.05)

    def test_two_surfaces_share_no_random_numbers(self):
        """Even drawn with the same seed; sharing them would take all noise out of this."""
        seen = surface(frame_of(np.stack([valley(0), valley(0) + 0.5])), span=3.0)
        corner = [sample(lambda e: e[..., 0, 0], seen, draw(seen, 2000, 0)) for _ in range(2)]
        spread = (corner[0] - corner[1]).draws.std()
        assert spread == pytest.approx(math.sqrt(2) * corner[0].draws.std(), rel=0.1)

    def test_without_an_interval(self):
        found = (Sample(5.0, np.ones(9)) - Sample(2.0, np.empty(0))).estimate()
        assert found.value == 3
        assert not found.has_interval


def test_draws_repeat_with_their_seed():
    seen = surface(frame_of(np.stack([valley(0), valley(0) + 0.5])), span=3.0)
    np.testing.assert_array_equal(draw(seen, 5, 1), draw(seen, 5, 1))
    assert not np.array_equal(draw(seen, 5, 1), draw(seen, 5, 2))
    unknown = surface(frame_of([[1.0, 2.0]], [0], [0, 1]), span=3.0)
    assert draw(unknown, 5, 1).shape == (0, 1, 2)


def test_a_sample_is_the_statistic_of_the_surface_and_of_its_replicates():
    seen = surface(frame_of(np.stack([valley(0), valley(0) + 0.5])), span=3.0)
    noisy = draw(seen, 7, 0)
    found = sample(lambda e: e.max(axis=(-2, -1)), seen, noisy, (0, 1))
    assert found.value == seen.error.max()
    assert found.draws.tolist() == [one.max() for one in noisy]
    assert found.bounds == (0, 1)
