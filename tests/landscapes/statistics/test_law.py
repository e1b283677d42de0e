"""The law of the best λ, what describes a landscape, and what defaults cost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.statistics.bootstrap import Estimate
from landscape_study.landscapes.statistics.coupling import product
from landscape_study.landscapes.statistics.defaults import Default, default_cost, defaults
from landscape_study.landscapes.statistics.law import law
from landscape_study.landscapes.statistics.separability import Separability, separability
from landscape_study.landscapes.statistics.units import PERCENT, Units
from landscape_study.study.pairs.registry import PAIRS
from landscape_study.study.spec.metric import Metric
from tests.landscapes.surfaces import OCTAVES, cells, frame_of, inf, nan, plain_best, valley

SPAN = 3.0
SLOPES = (-1.0, -0.5, 0.0, 1.0)


def noisy(error, *, sd: float = 0.1, seeds: int = 3) -> np.ndarray:
    shape = (seeds, *np.shape(error))
    return np.asarray(error) + sd * np.random.default_rng(0).standard_normal(shape)


def bowl(slope: float, values: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Errors that saturate away from a best cell somewhere in the middle; log2 α, log2 λ."""
    x, y = (np.arange(values) - values / 2 + rng.uniform(-0.5, 0.5) for _ in range(2))
    z = 0.5 * (x[:, None] / 3) ** 2 + 0.5 * ((y - slope * x[:, None]) / 1.5) ** 2
    return 6 * (1 - np.exp(-z)) + 0.1 * rng.standard_normal(z.shape), x, y


class TestLaw:
    @pytest.mark.parametrize("values", [5, 8, 12])
    @pytest.mark.parametrize("slope", SLOPES)
    def test_the_exponent_of_a_bowl_is_its_slope(self, slope, values):
        rng = np.random.default_rng(values)
        made = [bowl(slope, values, rng) for _ in range(40)]
        found = [separability(frame_of(*one), replicates=1).drift.value for one in made]
        assert np.nanmedian(found) == pytest.approx(slope, abs=0.03)

    @pytest.mark.parametrize(
        ("slope", "allowed"), [(-1.0, ("α·λ",)), (0.0, ("λ",)), (1.0, ("λ/α",)), (-0.5, ())]
    )
    def test_named_laws_are_those_that_the_interval_holds(self, slope, allowed):
        x = np.arange(-5.0, 6.0)
        z = 0.5 * (x[:, None] / 3) ** 2 + 0.5 * ((x - slope * x[:, None]) / 1.5) ** 2
        found = separability(frame_of(noisy(6 * (1 - np.exp(-z))), x, x))
        assert found.law.allowed == allowed
        assert found.law.factor == pytest.approx(2**slope, rel=0.1)

    def test_nothing_is_allowed_where_nothing_is_known(self):
        assert law(Estimate()).allowed == ()
        assert phrases.law_line(law(Estimate())) == ""

    @pytest.mark.parametrize(
        ("drift", "line"),
        [
            ((-0.97, -1.08, -0.87), "Double α: halve λ (b = −0.97, −1.08 to −0.87)."),
            ((0.02, -0.1, 0.1), "Double α: leave λ (b = 0.02, −0.10 to 0.10)."),
            ((1.02, 0.9, 1.1), "Double α: double λ (b = 1.02, 0.90 to 1.10)."),
            (
                (-0.5, -0.6, -0.4),
                "Double α: multiply λ by 0.71, 0.66 to 0.76 (b = −0.50, −0.60 to −0.40; no plain "
                "law).",
            ),
            (
                (-0.5, -1.2, 0.2),
                "Double α: multiply λ by 0.71, 0.44 to 1.1 (b = −0.50, −1.20 to 0.20; λ and α·λ "
                "may each be what counts).",
            ),
        ],
    )
    def test_it_is_told_in_plain_words(self, drift, line):
        assert phrases.law_line(law(Estimate(*drift))) == line


def plain_product(error, x, y, span: float) -> float:
    """By least squares on one column for every α and every λ, or every α·λ."""
    best = plain_best(error)
    kept = [(i, j, e - best) for i, j, e in cells(error) if e - best < span]
    z = np.array([z for _, _, z in kept])
    step = min(np.diff(y)) if len(y) > 1 else 1.0
    left = []
    for other in (lambda i, j: j, lambda i, j: round((x[i] + y[j]) / step)):
        levels = [sorted({i for i, _, _ in kept}), sorted({other(i, j) for i, j, _ in kept})]
        design = np.zeros((len(kept), sum(map(len, levels))))
        for k, (i, j, _) in enumerate(kept):
            design[k, levels[0].index(i)] = 1
            design[k, len(levels[0]) + levels[1].index(other(i, j))] = 1
        free = len(kept) - sum(map(len, levels)) + 1
        if free <= 0:
            return nan
        fitted = design @ np.linalg.lstsq(design, z, rcond=None)[0]
        left.append(sum((z - fitted) ** 2) / free)
    both = sum(left)
    return float((left[0] - left[1]) / both) if both > 1e-12 else nan


class TestProduct:
    @given(st.integers(0, 99), st.integers(2, 6), st.integers(2, 6), st.sampled_from([1.0, 30.0]))
    def test_as_plain_least_squares(self, seed, rows, columns, span):
        rng = np.random.default_rng(seed)
        error = rng.integers(0, 80, (rows, columns)) / 16
        error[rng.random(error.shape) < 0.15] = rng.choice([nan, inf])
        x, y = np.arange(float(rows)), np.arange(float(columns))
        expected = plain_product(error.tolist(), x.tolist(), y.tolist(), span)
        found = product(error, x, y, span=span)
        assert found == pytest.approx(expected, abs=1e-4, nan_ok=True)

    @pytest.mark.parametrize(("by_product", "sign"), [(True, 1), (False, -1)])
    def test_what_an_additive_surface_is_made_of(self, by_product, sign):
        rng = np.random.default_rng(1)
        x, y = np.arange(6.0), np.arange(5.0)
        levels = (x[:, None] + y) if by_product else (0 * x[:, None] + y)
        error = rng.random(6)[:, None] + rng.random(20)[levels.astype(int)]
        assert product(error, x, y, span=30.0) == pytest.approx(sign, abs=1e-6)

    def test_many_at_once_are_as_one_by_one(self):
        many = np.random.default_rng(2).random((5, 6, 4))
        x, y = np.arange(6.0), np.arange(4.0)
        one_by_one = [product(one, x, y, span=0.8) for one in many]
        np.testing.assert_allclose(product(many, x, y, span=0.8), one_by_one)
        assert product(many[:0], x, y, span=0.8).shape == (0,)

    @pytest.mark.parametrize(
        ("degrees", "words"),
        [(45, "α·λ describes the landscape better than λ"), (0, "λ describes the landscape bet")],
    )
    def test_a_diagonal_is_described_by_the_product(self, degrees, words):
        found = separability(frame_of(noisy(valley(degrees))))
        assert phrases.described(found).startswith(words)


def with_zero(error, zero) -> pd.DataFrame:
    """A frame with λ = 0 beside λ = 1/4, 1/2, 1, at α = 1, 2, …"""
    table = np.column_stack([zero, error])
    rows = [
        {"alpha": 2.0**i, "lambda": lambda_, "seed": 0, "test_error": float(table[i, j])}
        for i in range(len(table))
        for j, lambda_ in enumerate([0.0, 0.25, 0.5, 1.0])
    ]
    return pd.DataFrame(rows)


class TestDefaults:
    ERROR = ((5.0, 4.0, 6.0), (4.5, 3.0, 5.0), (6.0, 5.0, 8.0))
    ZERO = (5.5, 4.25, 9.0)

    @pytest.mark.parametrize(
        ("default", "cost"),
        [
            (Default("none", 0.0), 1.25),  # 4.25 − 3
            (Default("on the grid", 0.5), 0.0),
            (Default("between", math.sqrt(0.5)), 1.0),  # halfway from 3 to 5, in log λ
            (Default("beyond", 4.0), nan),
            (Default("times α", 0.25, times_alpha=True), 0.0),  # 0.25, 0.5, 1 at α = 1, 2, 4
            (Default("times α, beyond at most", 1.0, times_alpha=True), 3.0),
        ],
    )
    def test_each_at_its_best_alpha(self, default, cost):
        found = default_cost(with_zero(self.ERROR, self.ZERO), default)
        assert found.value == pytest.approx(cost, nan_ok=True)

    def test_none_may_be_the_best(self):
        found = default_cost(with_zero(self.ERROR, (2.0, 2.5, 9.0)), Default("some", 0.5))
        assert found.value == pytest.approx(1.0)

    def test_in_the_unit_of_the_metric_and_its_direction(self):
        frame = with_zero(self.ERROR, self.ZERO)
        score = frame.assign(score=-1000 * frame["test_error"])
        metric = Metric("score", "score", goal="maximize")
        found = default_cost(score, Default("none", 0.0), metric)
        assert found.value == pytest.approx(1250)

    def test_what_did_not_finish_costs_nothing_known(self):
        frame = with_zero(self.ERROR, (nan, nan, nan))
        assert math.isnan(default_cost(frame, Default("none", 0.0)).value)
        assert math.isnan(default_cost(frame[frame["lambda"] > 0], Default("none", 0.0)).value)

    def test_its_interval_is_that_of_the_noise(self):
        runs = noisy(valley(0))
        frame = frame_of(runs)
        zero = frame_of(runs[:, :, :1] + 1.0, OCTAVES, [0.0]).assign(**{"lambda": 0.0})
        found = default_cost(pd.concat([frame, zero]), Default("none", 0.0))
        assert found.low < found.value < found.high
        assert found.high - found.low < 0.5

    @pytest.mark.parametrize("pair", PAIRS)
    def test_those_of_a_pair_are_torchs(self, pair):
        own = PAIRS[pair]
        has_any = own.rule in ("sgd", "adam", "amsgrad") and not own.cautious
        known = 2 if has_any and own.placement in ("decoupled", "scaled") else 1
        found = defaults(pair)
        assert len(found) == known
        assert found[0].value == 0
        assert defaults(pair, normalized=True) == found[:1]
        assert [one.times_alpha for one in found[1:]] == [PAIRS[pair].placement == "decoupled"] * (
            known - 1
        )

    def test_they_are_told_in_the_metrics_unit(self):
        told = phrases.untuned([("λ = 0", Estimate(0.5, 0.25, 0.75)), ("x", Estimate())], PERCENT)
        assert told == "Untuned, at its best α: λ = 0 costs 0.50 (0.25 to 0.75) points."
        loss = Units(Metric("loss", "loss", unit="nats"), matters=0.01)
        told = phrases.untuned([("λ = 0", Estimate(0.5))], loss)
        assert told == "Untuned, at its best α: λ = 0 costs 0.500 nats."
        assert phrases.untuned([("x", Estimate())], loss) == ""


class TestShown:
    """Separable is one thing, shown to be so another."""

    def test_little_noise_shows_it(self):
        found = separability(frame_of(noisy(valley(0), sd=0.05)))
        assert found.verdict == "separable"
        assert found.is_shown
        assert "less than 0.25 points is shown" in phrases.advice(found)

    def test_a_coupled_landscape_is_not_shown_to_be_separable(self):
        assert not separability(frame_of(noisy(valley(45), sd=0.05))).is_shown

    def test_noise_may_leave_it_open(self):
        found = separability(frame_of(noisy(valley(0, off=(0.3, 0.5)), sd=0.4, seeds=1)))
        assert found.verdict == "separable"
        assert not found.is_shown
        assert "points is not shown" in phrases.advice(found)


class TestSingleCells:
    """One lucky or broken cell decides no verdict."""

    @pytest.mark.parametrize("cell", [(5, 5), (5, 7), (3, 5), (0, 0), (9, 2)])
    @pytest.mark.parametrize("by", [-1.0, 5.0, inf])
    @pytest.mark.parametrize(("degrees", "wrong"), [(0, "coupled"), (45, "separable")])
    def test_no_verdict_turns_into_its_opposite(self, degrees, wrong, cell, by):
        runs = noisy(valley(degrees))
        runs[:, cell[0], cell[1]] += by
        assert separability(frame_of(runs), replicates=300).verdict != wrong


@pytest.mark.parametrize(
    ("verdict", "drift", "said"),
    [
        ("separable", Estimate(1.13, 1.11, 1.15), True),
        ("separable", Estimate(-0.57, -0.97, -0.26), True),
        ("separable", Estimate(0.1, -0.05, 0.3), False),
        ("coupled", Estimate(-1.0, -1.1, -0.9), False),
        ("separable", Estimate(), False),
    ],
)
def test_a_separable_panel_whose_best_lambda_moves_says_so(verdict, drift, said):
    shape = {"tilt": Estimate(0.0, -0.1, 0.1), "interaction": Estimate(), "product": Estimate()}
    costs = {"regret": Estimate(0.0, 0.0, 0.1), "worst_regret": Estimate()}
    facts = {"best": 1.0, "cells": 9, "seeds": 1, "noise": 0.1, "tau": 0.25}
    units = Units(Metric("loss", "loss"), 0.1, derived=True)
    found = Separability(verdict, "so", drift=drift, **shape, **costs, **facts, units=units)
    text = phrases.moves_yet(found)
    assert bool(text) is said
    assert ("--matters gives it" in text) is said
