"""A Gaussian process over (log2 α, log2 λ): draws of the surface that noisy trials lie on.

Its covariance is Matérn's (ν = 5/2) under a metric that is stretched along two axes and rotated,
so that a diagonal valley is as likely as an upright one, about a mean that is not known either.
What the trials do not settle, angle, length scales, height and noise, is not set to one best
value: draws come from many settings, each as often as the trials make it likely, so that they
spread as much as is not known. See Rasmussen & Williams, "Gaussian Processes for Machine
Learning" (2006), chapters 2 and 5. Settings are found by sequential Monte Carlo (Del
Moral et al., 2006) with moves of differential evolution (ter Braak, 2006).

Shapes: N trials, M places, H settings, B draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from landscape_study.landscapes.statistics.filling import Indices
from landscape_study.landscapes.statistics.surface import Floats

SMOOTHNESS = 2.5  # ν of Matérn: on 9 panels better than 1.5 and ∞ (tests' subsets.py)
MEAN = 2.0  # prior standard deviation of the mean, of heights of about 1
AT_ONCE = 10  # settings, which bounds the memory
JITTER = 1e-6  # variance that keeps matrices positive definite
ENOUGH = 1e100  # variance of what is no trial, so that its matrix is positive definite
FIRST, KEPT = 200, 60  # settings drawn from the prior; and those that draws are made of
COUNTING = 0.5  # effective share of the settings that a power of the likelihood leaves
MOVES = 2  # of all settings at every power
MOVE, JOLT = 0.75, 0.02  # how far; 2.38/√(2·5), and what keeps moves apart
LENGTH, LENGTH_SPREAD = 0.25, 0.8  # prior: share of the places' extent; spread of its logarithm
HEIGHT, HEIGHT_SPREAD = 0.7, 0.6  # likewise, of the standard deviation of the surface
NOISE, NOISE_SPREAD = 0.12, 0.8  # likewise, of that of a trial

ANGLE, LENGTHS, TALL, LOUD = 0, slice(1, 3), 3, 4  # columns of settings, logarithms but the angle


@dataclass(frozen=True, eq=False)
class Trials:
    """Noisy heights of about 1 at places."""

    places: Floats  # [N, 2] octaves
    height: Floats  # [N]
    n: Floats  # [N] runs that each is as certain as the mean of

    @property
    def extent(self) -> float:
        """Octaves that the places reach over, geometric mean of both directions."""
        return float(np.sqrt(np.prod(np.maximum(np.ptp(self.places, axis=0), 1.0))))

    @cached_property
    def pairs(self) -> tuple[Indices, Indices]:
        """Rows and columns of the lower triangle of a matrix [N, N]: all that Cholesky reads."""
        return np.tril_indices(self.n.size)

    @cached_property
    def products(self) -> Floats:
        """Of the differences of all pairs, see `_products`."""
        rows, columns = self.pairs
        return _products(self.places[rows] - self.places[columns])

    def only(self, kept: npt.NDArray[Any]) -> Trials:
        """Some of them, by index or mask."""
        return Trials(self.places[kept], self.height[kept], self.n[kept])


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known of the surface."""

    draws: Floats  # [B, M] heights, without noise
    noise: float  # standard deviation of a run, median over the settings


def draw_surfaces(trials: Trials, at: Floats, count: int, rng: np.random.Generator) -> Posterior:
    """Draw `count` surfaces at places [M, 2], a multiple of KEPT."""
    # Matrices are small: beside other processes, two threads took 4 to 10 times as long as one.
    with threadpool_limits(1):
        settings = likely_settings(trials, rng)
        draws = [_drawn(trials, block, at, count // KEPT, rng) for block in _blocks(settings)]
    return Posterior(np.concatenate(draws), float(np.exp(np.median(settings[:, LOUD]))))


def _drawn(
    trials: Trials, settings: Floats, at: Floats, count: int, rng: np.random.Generator
) -> Floats:
    """Surfaces under some settings [H, 5], as many of each, [H·count, M]."""
    mean, covariance = posterior(trials, settings, at)
    root = np.linalg.cholesky(covariance + JITTER * np.eye(len(at)))
    normal = rng.normal(size=(len(settings), count, len(at)))
    return np.asarray(mean[:, None] + normal @ root.swapaxes(1, 2)).reshape(-1, len(at))


def posterior(trials: Trials, settings: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Mean [H, M] and covariance [H, M, M] of the surface at places [M, 2], as scikit-learn's.

    Rasmussen & Williams, Algorithm 2.1. To import scikit-learn and fit one process at a time took
    a second of a report's five.
    """
    root = _noisy_root(trials, settings)
    white = _solved(root, _covariances(_products(trials.places[:, None] - at), settings))
    mean = _solved(root, trials.height[:, None]).swapaxes(1, 2) @ white
    own = _covariances(_products(at[:, None] - at), settings)
    return mean[:, 0], own - white.swapaxes(1, 2) @ white


def likely_settings(trials: Trials, rng: np.random.Generator) -> Floats:
    """Settings [KEPT, 5], each as often as prior and trials make it likely.

    From draws of the prior to those of the posterior by ever larger powers of the likelihood, each
    so large that half of the settings still count; after each, all settings move.
    """
    middle = np.log([LENGTH * trials.extent] * 2 + [HEIGHT, NOISE])
    spread = np.array([LENGTH_SPREAD, LENGTH_SPREAD, HEIGHT_SPREAD, NOISE_SPREAD])

    def log_prior(settings: Floats) -> Floats:
        return np.asarray(-0.5 * (((settings[:, 1:] - middle) / spread) ** 2).sum(axis=1))

    angles = rng.uniform(0, np.pi, (FIRST, 1))
    settings = np.hstack([angles, middle + spread * rng.normal(size=(FIRST, 4))])
    likelihood, power = _likelihoods(trials, settings), 0.0
    while power < 1:
        step = _largest_step(likelihood, 1 - power)
        power += step
        kept = _resampled(_weights(step * likelihood), rng)
        settings, likelihood = settings[kept], likelihood[kept]
        for _ in range(MOVES):
            new = _moved(settings, rng)
            new_likelihood = _likelihoods(trials, new)
            gain = log_prior(new) - log_prior(settings) + power * (new_likelihood - likelihood)
            taken = np.log(rng.uniform(size=KEPT)) < gain
            settings[taken], likelihood[taken] = new[taken], new_likelihood[taken]
    return settings


def _largest_step(likelihood: Floats, most: float) -> float:
    """By how much the power of the log likelihoods may grow while half of the settings count."""

    def counting(step: float) -> float:
        return float(1 / (_weights(step * likelihood) ** 2).sum())

    if counting(most) >= COUNTING * KEPT:
        return most
    low, high = 0.0, most
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if counting(middle) >= COUNTING * KEPT else (low, middle)
    return high


def _weights(log_weights: Floats) -> Floats:
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _resampled(weights: Floats, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Which settings to keep, [KEPT]: each as often as its weight says, but for rounding."""
    shares = (rng.uniform() + np.arange(KEPT)) / KEPT
    return np.minimum(np.searchsorted(np.cumsum(weights), shares), weights.size - 1)


def _moved(settings: Floats, rng: np.random.Generator) -> Floats:
    """Each setting, moved by a part of the difference of two others."""
    # Swapping the lengths and a quarter turn change nothing: the longer first, turns compare.
    swapped = settings[:, 1] < settings[:, 2]
    settings[swapped] = settings[swapped][:, [0, 2, 1, 3, 4]]
    settings[swapped, ANGLE] += np.pi / 2
    one, other = rng.permutation(KEPT), rng.permutation(KEPT)
    apart = settings[one] - settings[other]
    apart[:, ANGLE] = (apart[:, ANGLE] + np.pi / 2) % np.pi - np.pi / 2  # half a turn is none
    part = MOVE * rng.uniform(0.2, 1.0, (KEPT, 1))
    return settings + part * apart + JOLT * rng.normal(size=settings.shape)


def _likelihoods(trials: Trials, settings: Floats) -> Floats:
    """`log_likelihoods` in blocks, which bounds the memory."""
    return np.concatenate([log_likelihoods(trials, block) for block in _blocks(settings)])


def _blocks(settings: Floats) -> list[Floats]:
    return np.split(settings, range(AT_ONCE, len(settings), AT_ONCE))


def log_likelihoods(trials: Trials, settings: Floats) -> Floats:
    """Log marginal likelihood of settings [H, 5], as scikit-learn's, [H]: many at once."""
    # Of the covariance with the heights as one more row, the factor solves for them as well.
    covariance = _noisy_covariances(trials, settings, further=1)
    covariance[:, -1, :-1], covariance[:, -1, -1] = trials.height, ENOUGH
    whole = np.linalg.cholesky(covariance)
    root, white = whole[:, :-1, :-1], whole[:, -1, :-1]
    log_determinant = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    constant = trials.n.size * np.log(2 * np.pi)
    return np.asarray(-0.5 * ((white**2).sum(axis=-1) + log_determinant + constant))


def _noisy_root(trials: Trials, settings: Floats) -> Floats:
    """Cholesky factors of the covariances of noisy trials, [H, N, N]."""
    return np.asarray(np.linalg.cholesky(_noisy_covariances(trials, settings)))


def _noisy_covariances(trials: Trials, settings: Floats, further: int = 0) -> Floats:
    """Lower triangles of the covariances of noisy trials, and zeros, [H, N, N].

    Args:
        further: rows and columns of zeros at the end.
    """
    each, size = range(trials.n.size), trials.n.size + further
    covariance = np.zeros((len(settings), size, size))
    covariance[:, *trials.pairs] = _covariances(trials.products, settings)
    covariance[:, each, each] += np.exp(2 * settings[:, LOUD, None]) / trials.n + JITTER
    return covariance


def _products(apart: Floats) -> Floats:
    """Squares and product of differences of places [..., 2]: x², x·y and y², [3, ...]."""
    x, y = np.moveaxis(apart, -1, 0)
    return np.stack([x * x, x * y, y * y])


def _covariances(products: Floats, settings: Floats) -> Floats:
    """Covariances of the surface at pairs of places under settings [H, 5], [H, ...].

    Args:
        products: of the differences of the pairs, [3, ...].
    """
    cos, sin = np.cos(settings[:, ANGLE]), np.sin(settings[:, ANGLE])
    along, across = 2 * SMOOTHNESS * np.exp(-2 * settings[:, LENGTHS]).T
    metric = np.column_stack(
        [
            cos**2 * along + sin**2 * across,
            2 * cos * sin * (along - across),
            sin**2 * along + cos**2 * across,
        ]
    )
    # In place: to write tables anew took longer than to compute them.
    squares = metric @ products.reshape(3, -1)
    np.maximum(squares, 0, out=squares)  # where rounding says less
    r = np.sqrt(squares)
    squares /= 3
    squares += r
    squares += 1
    squares *= np.exp(np.negative(r, out=r), out=r)
    squares *= np.exp(2 * settings[:, TALL, None])
    squares += MEAN**2
    return np.asarray(squares.reshape(len(settings), *products.shape[1:]))


def _solved(roots: Floats, right: Floats) -> Floats:
    """Solutions of systems of lower triangles [H, N, N], right sides [N, M] or [H, N, M]."""
    from scipy.linalg.lapack import dtrtrs  # 0.2 s, which reports of grids need not wait for

    rights = np.broadcast_to(right, (len(roots), *right.shape[-2:]))
    pairs = zip(roots, rights, strict=True)
    return np.stack([dtrtrs(root.T, one, trans=1)[0] for root, one in pairs])
