import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from landscape_study.landscapes.statistics.gaussian_process import (
    ANGLE,
    JITTER,
    KEPT,
    LENGTHS,
    MEAN,
    SMOOTHNESS,
    TALL,
    Trials,
    draw_surfaces,
    likely_settings,
    log_likelihoods,
    posterior,
)


def rotated(places: np.ndarray, angle: float) -> np.ndarray:
    """Places [N, 2] in axes that are turned by so many radians, as settings mean them."""
    cos, sin = np.cos(angle), np.sin(angle)
    return places @ np.array([[cos, -sin], [sin, cos]])


def trials(count: int = 30, noise: float = 0.05, seed: int = 0) -> Trials:
    """A valley that falls at 45°, 1 octave wide and long without end."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-4, 4, (count, 2))
    height = -np.exp(-0.5 * (places.sum(axis=1) / 1.5) ** 2)
    return Trials(places, height + noise * rng.normal(size=count), np.ones(count))


def fitted(one: Trials, setting: np.ndarray) -> GaussianProcessRegressor:
    """The process under one setting [5], as scikit-learn has it."""
    lengths, height, noise = np.exp(setting[LENGTHS]), *np.exp(setting[TALL:])
    kernel = ConstantKernel(MEAN**2) + ConstantKernel(height**2) * Matern(lengths, nu=SMOOTHNESS)
    process = GaussianProcessRegressor(kernel, alpha=noise**2 / one.n + JITTER, optimizer=None)
    return process.fit(rotated(one.places, setting[ANGLE]), one.height)


@pytest.fixture
def any_settings() -> tuple[Trials, np.ndarray]:
    """Trials without a pattern, some of several runs, and settings [6, 5]."""
    rng = np.random.default_rng(1)
    one = Trials(rng.uniform(-4, 4, (25, 2)), rng.normal(size=25), rng.integers(1, 4, 25) / 1)
    return one, np.hstack([rng.uniform(0, 3, (6, 1)), rng.normal(-0.5, 0.7, (6, 4))])


class TestPosterior:
    def test_many_at_once_are_as_scikit_learn_one_by_one(self, any_settings):
        one, settings = any_settings
        at = np.random.default_rng(2).uniform(-5, 5, (12, 2))
        means, covariances = posterior(one, settings, at)
        for setting, mean, covariance in zip(settings, means, covariances, strict=True):
            plain = fitted(one, setting).predict(rotated(at, setting[ANGLE]), return_cov=True)
            np.testing.assert_allclose(mean, plain[0], atol=1e-9)
            np.testing.assert_allclose(covariance, plain[1], atol=1e-9)


class TestLogLikelihoods:
    def test_many_at_once_are_as_scikit_learn_one_by_one(self, any_settings):
        one, settings = any_settings
        plain = [fitted(one, setting).log_marginal_likelihood_value_ for setting in settings]
        np.testing.assert_allclose(log_likelihoods(one, settings), plain, rtol=1e-9)

    def test_swapped_lengths_and_a_quarter_turn_are_the_same(self):
        setting = np.array([[0.3, 1.0, 0.2, -0.5, -2.0]])
        turned = setting[:, [0, 2, 1, 3, 4]] + [np.pi / 2, 0, 0, 0, 0]
        assert log_likelihoods(trials(), setting) == pytest.approx(
            log_likelihoods(trials(), turned)
        )


class TestSettings:
    def test_of_a_diagonal_valley_are_long_along_it(self):
        settings = likely_settings(trials(60), np.random.default_rng(0))
        assert settings.shape == (KEPT, 5)
        along = rotated(np.array([[1.0, -1.0]]), 0.0)  # down the valley
        for angle, lengths in zip(settings[:, 0], np.exp(settings[:, LENGTHS]), strict=True):
            part = np.abs(rotated(along, angle)[0])
            assert lengths[part.argmax()] > lengths[part.argmin()]

    def test_noise_is_found(self):
        quiet, loud = (
            draw_surfaces(trials(80, noise), np.zeros((1, 2)), KEPT, np.random.default_rng(0))
            for noise in (0.02, 0.3)
        )
        assert quiet.noise == pytest.approx(0.02, rel=0.6)
        assert loud.noise == pytest.approx(0.3, rel=0.4)


class TestDraws:
    def test_waver_more_where_no_trial_is(self):
        at = np.array([[0.0, 0.0], [30.0, 30.0]])
        found = draw_surfaces(trials(60), at, 20 * KEPT, np.random.default_rng(0)).draws
        near, far = found.std(axis=0)
        assert near < 0.1 < 0.3 < far
        assert found[:, 0].mean() == pytest.approx(-1, abs=0.1)

    def test_are_the_same_again(self):
        at = np.zeros((2, 2))
        one, other = (
            draw_surfaces(trials(), at, KEPT, np.random.default_rng(3)).draws for _ in range(2)
        )
        np.testing.assert_array_equal(one, other)
