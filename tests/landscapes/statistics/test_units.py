"""No verdict hangs on the unit of a metric, nor on whether less or more is better."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.landscapes.reading.landscape import top_cells
from landscape_study.landscapes.reference import reference_frame
from landscape_study.landscapes.statistics.comparison import compare
from landscape_study.landscapes.statistics.recommendation import recommend, tuning_paths
from landscape_study.landscapes.statistics.separability import Separability, separability
from landscape_study.landscapes.statistics.surface import surface
from landscape_study.landscapes.statistics.units import NOISES, SHARE
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Axis
from tests.landscapes.statistics.subsets import RESULTS, STUDIES
from tests.landscapes.surfaces import OCTAVES, frame_of, inf, valley

LOSS, SCORE = Metric("loss", "loss"), Metric("loss", "score", goal="maximize")
COSTS = ("regret", "worst_regret", "noise", "tau", "best")
FREE = ("tilt", "drift", "interaction")  # of any unit


def noisy(error, *, sd: float = 0.1, seeds: int = 1) -> np.ndarray:
    shape = (seeds, *np.shape(error))
    return np.asarray(error) + sd * np.random.default_rng(0).standard_normal(shape)


def loss_bowl(slope: float, best_alpha: float = -5.0) -> np.ndarray:
    """A loss of 0.01 to 0.06 that saturates away from its best cell, in octaves; one seed."""
    x, y = np.arange(-11.0, 1.0)[:, None] - best_alpha, np.arange(-10.0, 1.0) + 5.0
    z = 0.5 * (x / 3) ** 2 + 0.5 * ((y - slope * x) / 1.5) ** 2
    return noisy(0.05 * (1.2 - np.exp(-z)), sd=0.0012)


def of_loss(runs, column: str = "loss", x=None, y=None) -> pd.DataFrame:
    x = np.arange(-11.0, 1.0) if x is None else x
    y = np.arange(-10.0, 1.0) if y is None else y
    return frame_of(runs, x, y).rename(columns={"test_error": column})


def assert_same(one: Separability, other: Separability, size: float) -> None:
    """The same statistics, but for costs that are `size` times as large."""
    assert one.verdict == other.verdict
    for name in FREE + COSTS[:2]:
        a, b = getattr(one, name), getattr(other, name)
        factor = size if name in COSTS else 1.0
        for field in fields(a):
            expected = factor * getattr(a, field.name)
            np.testing.assert_allclose(
                getattr(b, field.name), expected, rtol=1e-6, atol=1e-9 * factor
            )
    np.testing.assert_allclose(other.noise, size * one.noise, rtol=1e-6)


@pytest.mark.slow
class TestInvariance:
    @given(
        st.floats(1e-3, 1e6),
        st.sampled_from([0.0, -3.0, 100.0]),
        st.sampled_from([0, 45]),
        st.sampled_from([1, 3]),
        st.sampled_from([LOSS, SCORE]),
    )
    def test_multiplied_shifted_or_turned_around_nothing_changes(
        self, size, shift, degrees, seeds, metric
    ):
        frame = of_loss(noisy(valley(degrees), seeds=seeds), x=OCTAVES, y=OCTAVES)
        one = separability(frame, LOSS, replicates=50)
        turned = frame.assign(loss=metric.sign * size * (frame["loss"] + shift))
        other = separability(turned, metric, replicates=50)
        assert_same(one, other, size)
        assert other.best == pytest.approx(metric.sign * size * (one.best + shift))

    @given(st.floats(1e-3, 1e6))
    def test_what_matters_scales_along(self, size):
        frame = of_loss(noisy(valley(20)), x=OCTAVES, y=OCTAVES)
        said = [Metric("loss", "loss", matters=0.25 * one) for one in (1.0, size)]
        one = separability(frame, said[0], replicates=50)
        other = separability(frame.assign(loss=size * frame["loss"]), said[1], replicates=50)
        assert_same(one, other, size)

    def test_percent_is_a_metric_like_any_other(self):
        runs = noisy(valley(30), seeds=3)
        one = separability(frame_of(runs))
        other = separability(frame_of(runs), Metric("test_error", "x", matters=0.25))
        assert_same(one, other, 1.0)
        assert (one.best, one.tau) == (other.best, other.tau)


class TestDerived:
    """Nobody said what matters."""

    @pytest.mark.parametrize("size", [0.01, 1, 1000])
    @pytest.mark.parametrize(
        ("slope", "best_alpha", "verdict"),
        [(-1.0, -5.0, "coupled"), (0.0, -5.0, "separable"), (-1.0, 2.0, "cannot tell")],
    )
    def test_a_small_loss_is_judged_as_an_error_in_percent(self, slope, best_alpha, verdict, size):
        found = separability(of_loss(size * loss_bowl(slope, best_alpha)), LOSS)
        assert found.verdict == verdict
        assert found.units.derived
        assert found.units.matters == pytest.approx(0.0043 * size, rel=0.15)
        if best_alpha > 0:  # no unit makes it separable
            assert "border" in found.reason

    def test_it_is_a_share_of_the_better_half(self):
        error = np.arange(16.0).reshape(4, 4)
        seen = surface(of_loss(error, x=np.arange(4.0), y=np.arange(4.0)), span=3, metric=LOSS)
        assert seen.units.matters == pytest.approx(SHARE * 7)

    def test_it_is_not_below_the_noise(self):
        runs = noisy(valley(0), sd=8.0, seeds=4)
        seen = surface(of_loss(runs, x=OCTAVES, y=OCTAVES), span=3, metric=LOSS)
        noise = 8.0 / np.sqrt(4)
        assert seen.units.matters == pytest.approx(NOISES * noise, rel=0.4)

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (
                np.full((4, 4), 0.00123),
                "all cells have the same loss, 0.00123, which tells nothing",
            ),
            (np.full((4, 4), inf), "every finished cell diverged"),
            (
                np.full((2, 2, 4, 4), 0.0)[0],
                "all cells have the same loss, 0.00, which tells noth",
            ),
        ],
    )
    def test_where_all_are_equal_nothing_is_derived(self, error, reason):
        found = separability(of_loss(error, x=np.arange(4.0), y=np.arange(4.0)), LOSS)
        assert found.verdict == "cannot tell"
        assert found.reason.startswith(reason)
        assert not found.units.derived

    @pytest.mark.parametrize("degrees", [0, 10, 20])
    def test_verdicts_that_it_decides_are_known(self, degrees):
        """With half and with double of it, said by the user."""
        frame = of_loss(noisy(valley(degrees), sd=0.3), x=OCTAVES, y=OCTAVES)
        found = separability(frame, LOSS, replicates=300)
        others = dict(found.otherwise)
        assert bool(others) is (degrees == 10)
        for factor in (0.5, 2.0):
            matters = factor * found.units.matters
            said = separability(frame, replace(LOSS, matters=matters), replicates=300)
            assert said.verdict == others.get(matters, found.verdict)
            assert said.otherwise == ()

    @pytest.mark.long
    def test_landscapes_of_percent_get_the_verdicts_that_they_have(self):
        frames = [group for _, group in reference_frame("fig2").groupby("panel")]
        for study in STUDIES:
            cells = pd.read_csv(RESULTS / f"{study}.csv")
            frames += [group for _, group in cells.groupby("panel")]
        underived = Metric("test_error", "error")
        known = [separability(frame) for frame in frames]
        found = [separability(frame, underived) for frame in frames]
        pairs = [(a.verdict, b.verdict) for a, b in zip(known, found, strict=True)]
        assert len(pairs) >= 30
        changed = [pair for pair in pairs if pair[0] != pair[1]]
        assert len(changed) <= 1
        assert all("cannot tell" in pair for pair in changed)
        matters = [one.units.matters for one, seen in zip(found, known, strict=True) if seen.cells]
        assert min(matters) > 0.15
        assert max(matters) < 0.8


class TestDirections:
    def test_more_is_better(self, make):
        accuracy = make([[0.5, 0.9], [0.8, 0.7]], metric=SCORE, lambda_=Axis(values=(1, 2)))
        assert top_cells(accuracy, 2) == [(0, 1), (1, 0)]
        chosen = recommend(accuracy)
        assert chosen is not None
        assert (chosen.cell, chosen.error) == ((0, 1), 0.9)
        assert chosen.worst_rise == pytest.approx(0.4)
        assert [path.cost for path in tuning_paths(accuracy)] == pytest.approx([0.0, 0.1])

    def test_comparisons_are_in_the_unit_of_the_metric(self):
        runs = [noisy(valley(0) + more, seeds=3) for more in (0.0, 1.0)]
        losses = [of_loss(10 * one, x=OCTAVES, y=OCTAVES) for one in runs]
        found = compare(*losses, LOSS)
        assert found.best.value == pytest.approx(10, rel=0.2)
        scores = [frame.assign(loss=-frame["loss"]) for frame in losses]
        turned = compare(*scores, SCORE)
        assert turned.best.value == pytest.approx(-found.best.value)
        assert turned.regret.value == pytest.approx(found.regret.value)

    def test_costs_of_different_metrics_are_not_compared(self):
        frame = of_loss(noisy(valley(0), seeds=3), x=OCTAVES, y=OCTAVES)
        other = frame.rename(columns={"loss": "accuracy"})
        found = compare(frame, other, LOSS, Metric("accuracy", "accuracy", goal="maximize"))
        assert np.isnan(found.best.value)
        assert np.isnan(found.regret.value)
        assert not np.isnan(found.tilt.value)


@pytest.mark.parametrize("matters", [0.0, -1.0, inf, float("nan")])
def test_what_matters_is_a_positive_number(matters):
    frame = of_loss(valley(0), x=OCTAVES, y=OCTAVES)
    with pytest.raises(UsageError, match="give a positive difference of loss"):
        separability(frame, Metric("loss", "loss", matters=matters))


def test_the_column_of_the_metric_is_asked_for():
    with pytest.raises(UsageError, match="no column loss"):
        separability(frame_of(valley(0)), LOSS)
