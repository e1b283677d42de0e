"""A Gaussian process over (log2 α, log2 λ): draws of the surface that noisy trials lie on.

Its covariance is Matérn's (ν = 5/2) under a metric that is stretched along two axes and rotated,
so that a diagonal valley is as likely as an upright one, about a mean that is not known either.
What the trials do not settle, angle, length scales, height and noise, is not set to one best
value: draws come from many settings, each as often as the trials make it likely, so that they
spread as much as is not known. See Rasmussen & Williams, "Gaussian Processes for Machine
Learning" (2006), chapters 2 and 5. The settings are found by population Monte Carlo: Cappé et
al., "Population Monte Carlo" (2004).

Shapes: N trials, M places, H settings, B draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from landscape_study.landscapes.statistics.surface import Floats

SMOOTHNESS = 2.5  # ν of Matérn: on 9 panels better than 1.5 and ∞ (tests' subsets.py)
MEAN = 2.0  # prior standard deviation of the mean, of heights of about 1
JITTER = 1e-6  # variance that keeps matrices positive definite
FIRST, NEXT, ROUNDS = 300, 150, 2  # settings tried: of the prior, then near the likely ones
KEPT = 40  # settings that draws are made of
NARROWER = 0.35  # of the prior's width: how far the next settings lie from likely ones
TURN = 0.25  # radians, likewise
LENGTH, LENGTH_SPREAD = 0.25, 0.8  # prior: share of the places' extent; spread of its logarithm
HEIGHT, HEIGHT_SPREAD = 0.7, 0.6  # likewise, of the standard deviation of the surface
NOISE, NOISE_SPREAD = 0.12, 0.8  # likewise, of that of a trial

ANGLE, LENGTHS, TALL, LOUD = 0, slice(1, 3), 3, 4  # columns of settings, logarithms but the angle


@dataclass(frozen=True, eq=False)
class Trials:
    """Noisy heights of about 1 at places."""

    places: Floats  # [N, 2] octaves
    height: Floats  # [N]
    n: Floats  # [N] runs that each is the mean of

    @property
    def extent(self) -> float:
        """Octaves that the places reach over, geometric mean of both directions."""
        return float(np.sqrt(np.prod(np.maximum(np.ptp(self.places, axis=0), 1.0))))

    def fitted(self, setting: Floats) -> Any:
        """The process under one setting [5]: a regressor of scikit-learn."""
        # scikit-learn takes a second to import: only where it is needed.
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern

        lengths, height, noise = np.exp(setting[LENGTHS]), *np.exp(setting[TALL:])
        kernel = ConstantKernel(MEAN**2) + ConstantKernel(height**2) * Matern(
            lengths, nu=SMOOTHNESS
        )
        process = GaussianProcessRegressor(
            kernel, alpha=noise**2 / self.n + JITTER, optimizer=None
        )
        return process.fit(rotated(self.places, setting[ANGLE]), self.height)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known of the surface."""

    draws: Floats  # [B, M] heights, without noise
    noise: float  # standard deviation of a run, median over the settings


def rotated(places: Floats, angle: float) -> Floats:
    """Places [N, 2] in axes that are turned by so many radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return places @ np.array([[cos, -sin], [sin, cos]])


def draw_surfaces(trials: Trials, at: Floats, count: int, rng: np.random.Generator) -> Posterior:
    """Draw `count` surfaces at places [M, 2], a multiple of KEPT."""
    # Matrices are small: beside other processes, two threads took 4 to 10 times as long as one.
    with threadpool_limits(1):
        settings = likely_settings(trials, rng)
        draws = [_drawn(trials, one, at, count // KEPT, rng) for one in settings]
    return Posterior(np.concatenate(draws), float(np.exp(np.median(settings[:, LOUD]))))


def _drawn(
    trials: Trials, setting: Floats, at: Floats, count: int, rng: np.random.Generator
) -> Floats:
    """Surfaces under one setting, [count, M]."""
    process = trials.fitted(setting)
    mean, covariance = process.predict(rotated(at, setting[ANGLE]), return_cov=True)
    root = np.linalg.cholesky(covariance + JITTER * np.eye(len(at)))
    return np.asarray(mean + rng.normal(size=(count, len(at))) @ root.T)


def likely_settings(trials: Trials, rng: np.random.Generator) -> Floats:
    """Settings [KEPT, 5], each as often as prior and trials make it likely."""
    middle = np.log([LENGTH * trials.extent] * 2 + [HEIGHT, NOISE])
    spread = np.array([LENGTH_SPREAD, LENGTH_SPREAD, HEIGHT_SPREAD, NOISE_SPREAD])
    angles = rng.uniform(0, np.pi, (FIRST, 1))
    settings = np.hstack([angles, middle + spread * rng.normal(size=(FIRST, 4))])
    log_weights = _log_likelihoods(trials, settings)
    step = np.array([TURN, *(NARROWER * spread)])
    for _ in range(ROUNDS):
        weights = _normalized(log_weights)
        near = settings[rng.choice(len(settings), NEXT, p=weights)]
        new = near + step * rng.normal(size=(NEXT, 5))
        prior = -0.5 * (((new[:, 1:] - middle) / spread) ** 2).sum(axis=1)
        log_weights = _log_likelihoods(trials, new) + prior
        log_weights -= _log_proposal(new, settings, weights, step)
        settings = new
    # Systematic resampling: each as often as its weight says, but for rounding.
    places = (rng.uniform() + np.arange(KEPT)) / KEPT
    kept = np.searchsorted(np.cumsum(_normalized(log_weights)), places)
    return np.asarray(settings[np.minimum(kept, NEXT - 1)])


def _log_likelihoods(trials: Trials, settings: Floats) -> Floats:
    """Log marginal likelihood of each setting, [H]."""
    return np.array([trials.fitted(one).log_marginal_likelihood_value_ for one in settings])


def _normalized(log_weights: Floats) -> Floats:
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _log_proposal(new: Floats, old: Floats, weights: Floats, step: Floats) -> Floats:
    """Log density, but for a constant, from which new settings were drawn, [H]."""
    away = new[:, None, :] - old
    away[..., ANGLE] = (away[..., ANGLE] + np.pi / 2) % np.pi - np.pi / 2  # half a turn is none
    density = np.exp(-0.5 * ((away / step) ** 2).sum(axis=-1)) @ weights
    return np.asarray(np.log(np.maximum(density, 1e-300)))
