"""Which trainings tell most: against the exact answer of Gaussian variables."""

from __future__ import annotations

import numpy as np
import pytest

from landscape_study.landscapes.sampling.most_telling import most_telling


def draws(covariance, count=200_000, seed=0):
    """Many draws of Gaussian variables."""
    return np.random.default_rng(seed).multivariate_normal(
        np.zeros(len(covariance)), covariance, size=count
    )


def variance_left(covariance, number, chosen, noises):
    """Of a variable, once noisy runs at others are known: by Gaussian conditioning."""
    seen = covariance[np.ix_(chosen, chosen)] + np.diag(np.asarray(noises)[chosen] ** 2)
    across = covariance[number, chosen]
    return covariance[number, number] - across @ np.linalg.solve(seen, across)


COVARIANCE = np.array(
    [
        [1.0, 0.8, 0.1, 0.6],
        [0.8, 1.0, 0.1, 0.5],
        [0.1, 0.1, 1.0, 0.5],
        [0.6, 0.5, 0.5, 1.0],  # the number asked for
    ]
)


def choose(count, noises=(0.1, 0.1, 0.1), left=(1, 1, 1), under_way=None):
    found = draws(COVARIANCE)
    return most_telling(
        found[:, :3], found[:, 3:], np.array(noises), np.array(left), count, under_way
    )


def test_the_first_is_what_leaves_least_variance():
    left = [variance_left(COVARIANCE, 3, [k], (0.1, 0.1, 0.1)) for k in range(3)]
    assert choose(1) == [int(np.argmin(left))] == [0]


def test_the_next_adds_most_to_the_first():
    """The second place tells nearly the same as the first: the third is chosen."""
    left = {k: variance_left(COVARIANCE, 3, [0, k], (0.1, 0.1, 0.1)) for k in (1, 2)}
    assert choose(2) == [0, min(left, key=left.__getitem__)] == [0, 2]


def test_what_is_under_way_counts_as_known():
    assert choose(1, under_way=np.array([0])) == [2]


def test_noise_makes_a_place_tell_less_and_runs_may_be_repeated():
    assert choose(1, noises=(3.0, 0.1, 0.1)) == [1]
    noises = (1.0, 9.0, 9.0)
    assert choose(2, noises=noises, left=(2, 1, 1)) == [0, 0]


def test_each_place_is_chosen_as_often_as_it_may_be():
    assert sorted(choose(9, left=(2, 0, 1))) == [0, 0, 2]


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_the_variance_of_what_is_left_is_that_of_conditioning(noise: float):
    """The deterministic update keeps the moments that Bayes' rule gives."""
    from landscape_study.landscapes.sampling import most_telling as module

    found = draws(COVARIANCE)
    surface, numbers = module._told(found[:, :3], found[:, 3:], 0, noise**2)
    assert numbers.var() == pytest.approx(
        variance_left(COVARIANCE, 3, [0], (noise,) * 3), rel=0.03
    )
    assert surface[:, 1].var() == pytest.approx(
        variance_left(COVARIANCE, 1, [0], (noise,) * 3), rel=0.03
    )
